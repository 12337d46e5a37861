"""HTTP and WebSocket, with the extra `gateway`: what `app` in the folder above serves with.

* `rest`: the one table of endpoints; `openapi` and `reference` are made from it
* in: `guard` (keeps out what a browser was tricked into), `incoming` (parameters and bodies)
* out: `problems` (errors as answers), `sse` (events as they are committed)
* `websocket`: Starlette's, as the socket that links run over
"""
