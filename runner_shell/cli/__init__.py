"""The command line.

Rooms: `app` (the commands and their options), a module for each of them or for several (`run`,
`serve`, `attach`, `events`, `sessions`, `commands`, `status`, `adapters`, `validate`, `check`,
`images`), with `options`, `place` (which gateway, which token), `complete`, `wording` and `logs`
for all; `checking` (the conformance suite in a process of its own), `surroundings` (what
`validate` looks at), `stored` (a gateway's file); and the terminal: `terminal` joins `view`
(events as text), `screen` (text that fits), `keyboard` and `questions`.

Imports are inside the commands, so that each loads only what it needs.
"""
