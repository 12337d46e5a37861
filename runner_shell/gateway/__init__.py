"""What a runner dials: a library, and a server for development.

Rooms:

* `core`: everything a gateway does, without a web framework; it joins `access` with `tokens` (who
  may do what) and `quotas` (how much of it), `directory` (sessions by their ids) with
  `information` (what is told of them), `commands` with `submission`, `runners`, `live_sessions`
  with `live`, and `retention`; `errors` is what it says no to
* a connected runner: `connection`, with `home` (what it has around it), `welcome`, `feed` (its
  commands), `basket` and `intake` (what it brings, committed together), `rounds` (one timer for
  all), `errands` (short tasks), `line` (what it is spoken over)
* a listener: `follower` (stored events, then live ones), `subscription` (its queue)
* what is kept: `store` is the seam; the embedded one is `sqlite`, over `committer` (one thread,
  one transaction), `disk` (what must wait for it), `database`, `history`, `derived` and `schema`
* over HTTP and WebSocket, with the extra `gateway`: `rest` is the one table of endpoints, `app`
  serves them, `server` runs it; `incoming`, `sse`, `websocket`, `direct`, `guard` and `problems`
  are its parts, `openapi` and `reference` are made from the table; `logs`
"""
