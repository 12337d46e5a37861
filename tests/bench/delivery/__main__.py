"""Measure delivery: `python -m tests.bench.delivery [--rounds N] [--markdown FILE]`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from .. import processes
from . import report
from .measure import measure


def main() -> None:
    """Measure, print the tables, and write the page where one is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.delivery", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often all are compared")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write a page")
    options = parser.parse_args()
    if sys.platform != "linux" or processes.processors() < 2:
        parser.error("it needs Linux, and a core each for senders and receivers")
    cores = sorted(os.sched_getaffinity(0))
    load = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        results = asyncio.run(
            measure(Path(directory), (cores[0], cores[-1]), max(1, options.rounds))
        )
    load.append(os.getloadavg()[0])
    print(report.table(results), report.growth(results), sep="\n\n")
    if options.markdown is not None:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(report.page(results, options.rounds, load))


main()
