"""How a running runner stands, for whoever asks on the same machine as the same user.

A Unix socket in the state directory gives one JSON object and takes nothing: who reads it can see,
and can do nothing. `python -m runner_shell.control` is the light way to ask, fit for a probe.
Rooms: `status` (what is said), `server`, `client`, `location` (where), `address` (by which name).
"""
