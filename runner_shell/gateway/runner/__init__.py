"""Runners that are connected, from the gateway's side; of `sessions` it knows what it is handed.

* `connection`: drives one runner's link and carries its effects out; `home` is what it has around
  it, `line` what it is spoken over
* to the runner: `welcome` first, then its commands by `feed`
* from the runner: `basket` holds it until `intake` has it committed, together with all others'
* shared by all connections: `rounds` (one timer), `errands` (short tasks)
"""
