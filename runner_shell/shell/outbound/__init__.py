"""The way out: whatever leaves a runner is redacted, numbered, kept and sent in one order.

`outlet` is that order. It uses `ledger` (what a turn has open), `safeguard` and `streams`
(redaction) and `merging` (under pressure); `delivery` keeps and sends what it says. `logs` is the
way of everything that is no event.
"""
