"""Measure the Claude adapter: `python -m tests.bench.claude [--rounds N] [--markdown FILE]`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from . import messages, model, report, starts


async def _measure(words: int, rounds: int) -> report.Results:
    load = [os.getloadavg()[0]]
    async with model.running(words) as environment:
        costs = await messages.measure(environment, rounds)
        pairs = await starts.measure(environment, rounds)
    load.append(os.getloadavg()[0])
    return report.Results(words, rounds, costs, pairs, load)


def main() -> None:
    """Measure, print the tables, and write the page where one is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.claude", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="how often all are compared")
    parser.add_argument("--words", type=int, default=10_000, help="of the long reply, a delta each")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write a page")
    options = parser.parse_args()
    if sys.platform != "linux":
        parser.error("what a process costs is read from /proc: Linux only")
    results = asyncio.run(_measure(options.words, max(1, options.rounds)))
    print(report.messages(results), report.starts(results), sep="\n\n")
    if options.markdown is not None:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(report.page(results))


main()
