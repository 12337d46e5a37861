"""Run trials: `python -m tests.fuzz [--trials N] [--seed S] [--first K] [--processes P]`."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from . import redaction

BATCH = redaction.TRIALS_PER_WORLD * 8
MILLION = 1_000_000


def main() -> int:
    """Run the trials and say how many; 1 where one failed, with how to run it again."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--trials", type=_some, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first trial")
    parser.add_argument("--processes", type=_some, default=2)
    options = parser.parse_args()
    began, done = time.monotonic(), 0
    end = options.first + options.trials
    starts = range(options.first, end, BATCH)
    sizes = [min(BATCH, end - first) for first in starts]
    try:
        with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
            for count in pool.map(redaction.run, [options.seed] * len(sizes), starts, sizes):
                done += count
                _say(done, options.trials, began)
    except redaction.Failure as failure:
        print(f"\n{failure}", file=sys.stderr)
        return 1
    print(f"{done} trials, seed {options.seed}, {time.monotonic() - began:.0f} s: nothing leaked")
    return 0


def _some(text: str) -> int:
    """A number of at least one: to have tried nothing is no success."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is none: give at least 1")
    return number


def _say(done: int, of: int, began: float) -> None:
    rate = done / max(0.001, time.monotonic() - began)
    if sys.stderr.isatty():
        print(f"\r{done} of {of}, {rate:.0f}/s ", end="", file=sys.stderr)
    elif done % MILLION < BATCH and done < of:  # a log gets a line now and then
        print(f"{done} of {of}, {rate:.0f}/s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
