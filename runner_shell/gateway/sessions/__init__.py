"""What the core joins, each around the gateway's sessions.

* by their ids: `directory`, with `information` (what a client is told) and `retention`
* commands: `submission` (pure), then `commands`
* in memory: `live` is one session's connection and listeners, `live_sessions` all of them,
  `runners` takes connections in and sends them away
* a listener: `follower` (stored events, then live ones), over `subscription` (its queue)
"""
