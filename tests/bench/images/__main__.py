"""Measure the images: `python -m tests.bench.images [--rounds N] [--markdown FILE]`."""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
from pathlib import Path

from runner_shell.images.catalogue import IMAGES, reference
from runner_shell.images.engine import find_engine
from runner_shell.images.project import read_project

from . import report, sizes, start


def main() -> None:
    """Measure what `make images` has built, and write the page where one is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.images", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="how often each is started")
    parser.add_argument("--engine", default="", help="podman or docker")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write a page")
    options = parser.parse_args()
    engine = find_engine(options.engine)
    project = read_project(Path(__file__).resolve().parents[3], os.environ)
    names = {image.name: reference(image.name, project.version) for image in IMAGES}
    taken = asyncio.run(start.measure(engine, start.contestants(**names), max(1, options.rounds)))
    more = shlex.split(os.environ.get("IMAGES_BUILD_OPTIONS", ""))
    aims = sizes.aims(project, engine, more)
    print(report.start_table(taken))
    print(report.aims_table(aims))
    if options.markdown is not None:
        rows = {name: sizes.written(project, name) for name in names}
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(report.page(taken, aims, rows, engine.name))


main()
