"""The bench of delivery: what an event costs from an adapter to a gateway's store, end to end.

`python -m tests.bench.delivery` prints one table; `--markdown FILE` writes it as a page. A real
runner process (adapter, redaction, journal on disk, WebSocket) and a real gateway process with a
SQLite file run beside two peers that promise nothing: bare websockets with one frame an event, and
a naive shell. All of them are given the same floods, one after another in each round.

Rooms: `flood` (what is asked of each contestant), `adapter` and `runner` (the runner's process),
`gateway`, `peers` and `sink` (the other processes), `notes` (what they tell the bench),
`contestants` (how they are started and measured), `measure` (the rounds), `report`.
"""
