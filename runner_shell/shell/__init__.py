"""The shell: hosts one adapter in one runner, from start to exit code.

Rooms, in the order of a process's life: `process` and `guardian` (what is around a runner; `bond`
is the runner's end of it, `tree` the end of its descendants), `environment` and `settings` (what
it is told), `runner` (what joins the rest), `opening`, `working` and `closing` (the beginning, the
turns, the end), `reception` (what comes in), `outlet` (the one way out), `delivery` (kept, sent,
acknowledged), `agenda` and `stopping` (what is to be run, and the order to end), `turns` (one
turn), `requests` (questions), `commands`, `restart` (what the dead are owed), `host` and
`crossing` (the adapter's thread).
"""
