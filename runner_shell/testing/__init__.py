"""What adapters and gateways are tested with; public, for outside authors too.

Rooms: `adapters` (`EchoAdapter`, `ScriptedAdapter`), `hosting` (a real shell around an adapter, in
this process), `conformance` (the adapter contract as a pytest suite to subclass).
"""
