"""What adapters and gateways are tested with; public, for outside authors too.

Rooms: `adapters` (`EchoAdapter`, `ScriptedAdapter`), `recorder` (an adapter's turns without a
shell), `hosting` (a real shell around an adapter, in this process), `conformance` (the adapter
contract as a pytest suite to subclass; `order` has the rules for events, `check` runs it without
pytest); for gateways `gateway_conformance`, which tries `gateway_rules` as a `gateway_peer`, and
`stores` (the contract of a store); `faults` (a network that breaks on order).
"""
