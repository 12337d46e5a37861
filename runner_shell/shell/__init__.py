"""The shell: hosts one adapter in one runner, from start to exit code.

Rooms, in the order of a process's life:

* around a runner: `process`, `guardian` (with `bond`, the runner's end of it, and `tree`, the end
  of its descendants), `hygiene` (secrets leave the environment), `signals`, `termination_log`,
  `linux`
* what it is told: `environment` and `settings`, `mounted` (files), `known_secrets`
* its life: `runner` joins the rest; `opening`, `working` and `closing` are the beginning, the
  turns and the end, `agenda` and `stopping` what is to be run and the order to end, `restart`
  what the dead are owed, `outcome` how it ends
* a turn: `turns`, `requests` (questions), `commands`, `injection` (a message for the turn that
  runs)
* what comes in: `reception`; the adapter's thread: `host`, `crossing`, `joining`
* the one way out: `outlet`, with `ledger` (what is open), `safeguard` and `streams` (redaction),
  `merging` (under pressure); `delivery` keeps and sends it; `logs` is the way of everything else

`reference` writes the page of the environment.
"""
