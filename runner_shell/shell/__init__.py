"""The shell: hosts one adapter in one runner, from start to exit code.

Here is a session's life; folders hold what it stands on.

* The process: `process` starts it, `signals` reach it, `outcome` is how it ends.
* The session: `runner` joins the rest, as its `settings` say; `opening`, `working` and `closing`
  are the beginning, the turns and the end; `agenda` and `stopping` what is to be run and the order
  to end; `restart` what the dead are owed.
* A turn: `turns`, `requests` (questions), `reception` (what comes in), `commands`, `injection` (a
  message for the turn that runs).
* The folders: `guard` (around a runner), `configuration` (what it is told), `thread` (the
  adapter's), `outbound` (the one way out).
"""
