"""Carries the link's effects out: sockets, back-off, and the loop that drives a runner's link.

Rooms: `driver` (dials, carries frames both ways, and dials again), `socket` (what a link needs of a
connection), `websocket` and `memory` (the two there are), `backoff`, `tokens` (when one is worth
reading again).
"""
