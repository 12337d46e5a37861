"""The fault suite: real runners and gateways that get killed, and a network that breaks.

    python -m tests.chaos --seed 7 --seconds 60
    python -m tests.chaos --seed 7 --rounds 40 --no-runner-kills

A run prints its seed; the same seed chooses the same faults in the same order. What they meet
depends on the machine, so a found fault may need its seed more than once. `oracle` says what must
hold.
"""
