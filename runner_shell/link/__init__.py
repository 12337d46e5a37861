"""The resumable connection as two pure state machines, one for each side.

Nothing here reads a clock, a socket or a file: frames and times go in, effects and frames come
out, and `transport` or the gateway carries them. Rooms: `states` (the tables), `effects`, `runner`
with its `outbox` (what is not acknowledged), `gateway`, `batching` (what goes into which frame),
`diagram` (draws the tables).
"""
