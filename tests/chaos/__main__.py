"""The command line; see the package."""

from __future__ import annotations

import argparse
import asyncio
import random
import shlex
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.campaign import ENDLESS, KINDS, Campaign, Plan
from tests.chaos.mutants import MUTANTS


def main() -> int:
    """Play seed after seed until the time or the rounds are over; 1 with what was broken."""
    options = _options()
    plan = Plan(
        seed=options.seed if options.seed is not None else random.randrange(10**6),
        rounds=options.rounds or ENDLESS,
        seconds=options.seconds,
        runner_kills=options.runner_kills,
        only=tuple(options.only),
        mutant=options.mutant,
    )
    with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
        broken = _play(plan, Path(directory))
    if broken:
        print(f"again: python -m tests.chaos {shlex.join(_again(plan))}")
    return 1 if broken else 0


def _again(plan: Plan) -> list[str]:
    """The options that play this plan again."""
    options = ["--seed", str(plan.seed), "--seconds", f"{plan.seconds:g}"]
    options += ["--rounds", str(plan.rounds)] if plan.rounds != ENDLESS else []
    options += [] if plan.runner_kills else ["--no-runner-kills"]
    options += [word for kind in plan.only for word in ("--only", kind)]
    return options + (["--mutant", plan.mutant] if plan.mutant else [])


def _play(plan: Plan, directory: Path) -> list[str]:
    print(f"seed {plan.seed}", flush=True)
    began = time.monotonic()
    campaign = Campaign(plan, directory, lambda line: print(f"  {line}", flush=True))
    broken = asyncio.run(campaign.run())
    for line in broken[:20]:
        print(f"BROKEN: {line}")
    took = time.monotonic() - began
    print(
        f"seed {plan.seed}: {campaign.faults} faults, {campaign.stored} events stored,"
        f" {len(broken)} promises broken, {took:.0f} s"
    )
    return broken


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--seed", type=int, help="chooses the faults; random unless given")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults go on")
    parser.add_argument("--rounds", type=int, default=0, help="how many faults at most")
    parser.add_argument("--no-runner-kills", dest="runner_kills", action="store_false")
    parser.add_argument("--only", action="append", choices=[*KINDS], default=[], help="this fault")
    parser.add_argument(
        "--mutant", choices=["", *MUTANTS], default="", help="a mistake to patch in"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
