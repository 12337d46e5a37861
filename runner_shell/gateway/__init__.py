"""What a runner dials: a library, and a server for development.

Rooms: `core` (everything a gateway does, without a web framework), `connection` and `live` (what a
connected runner needs), `store` (the seam), `sqlite` (the embedded store), `tokens` (who may do
what), `app` (all of it over HTTP and WebSocket; needs the extra `gateway`), `server` (runs `app`).
"""
