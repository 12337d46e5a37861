"""Measure the start: `python -m tests.bench [--rounds N] [--markdown FILE]`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from . import report
from .measure import CONTESTANTS, measure


def main() -> None:
    """Measure, print the table, and write the page where one is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="how often each is started")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write a page")
    parser.add_argument(
        "--first-frame", action="store_true", help="leave out the starts with an adapter"
    )
    options = parser.parse_args()
    if sys.platform != "linux":
        parser.error("what a process costs is read from /proc: Linux only")
    contestants = CONTESTANTS[:2] if options.first_frame else CONTESTANTS
    results = asyncio.run(measure(max(1, options.rounds), contestants))
    print(report.table(results))
    print(f"\nguardian, beside the runner: {report.guardian_mib(results):.1f} MiB resident")
    if options.markdown is not None:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(report.page(results))


main()
