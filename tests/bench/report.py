"""The samples as a table, and the table as a page."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from . import processes
from .measure import BARE, Contestant, Sample

Results = Mapping[Contestant, Sequence[Sample]]

HEAD = ("", "time", "CPU", "peak memory", "time, of bare", "CPU, of bare", "memory, of bare")
AIM = ("aim, to the first frame", "", "", "", "1.25", "", "1.20")

PAGE = """# Benchmarks: the start

A runner is a short-lived process, so what it costs before it does anything counts. The aim is that
saying the first frame costs at most a quarter more time and a fifth more memory than the least that
Python, asyncio and websockets can do it in.

{table}

The guardian is a process of its own with {guardian:.1f} MiB resident. It shares most of them with
the runner, which was forked from it; the peak above counts the shared ones too.

## How it was measured

`make bench` starts each contestant from nothing, {rounds} times, with a WebSocket server in the
process that starts them. All of them run once in a round, in an order that turns around, after a
round that is not counted; so bytecode and file caches are warm for all. Times and sizes are
medians; each ratio is the median of the ratios within a round, because a busy machine is busy for
both.

* **The bare client** is a script of one coroutine: `websockets.asyncio.client.connect` with the
  runner's own arguments, and one small text frame.
* **Time** runs from before the process is created to the frame's arrival at the server.
* **CPU** is user and system time of the runner and of its guardian, and **peak memory** the
  runner's `VmHWM`. Both are read in a start of their own, with the process stopped at the frame's
  arrival. To the first frame nothing of the adapter is imported; this is the memory before that.
* `session.started` is said when the adapter is imported and constructed: the echo adapter, which
  needs pydantic for its settings, or LangGraph's. A graph's own module is loaded after that.

Measured with Python {python} on {processors} processors, {system}. Compare ratios between machines,
never milliseconds, and take them on an idle one: from run to run the ratio of times wanders by a
tenth where other work competes for the processors.
"""


def table(results: Results, *, markdown: bool = False) -> str:
    """One row per contestant; ratios are to the bare client of the same round."""
    rows = [HEAD, *(_row(name, results[name], results[BARE]) for name in results), AIM]
    if not markdown:
        rows = [tuple(cell.replace("`", "") for cell in row) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = [_line(row, widths, markdown=markdown) for row in rows]
    rule = ["-" * width if i == 0 else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    if markdown:
        lines.insert(1, _line(tuple(rule), widths, markdown=True))
    return "\n".join(lines)


def page(results: Results) -> str:
    """The page of the documentation."""
    return PAGE.format(
        table=table(results, markdown=True),
        guardian=guardian_mib(results),
        rounds=len(results[BARE]),
        python=platform.python_version(),
        processors=processes.processors(),
        system=platform.system(),
    )


def guardian_mib(results: Results) -> float:
    """What is resident of the guardian at the runner's first frame."""
    samples = next(samples for name, samples in results.items() if name.guarded)
    return median(sample.guardian_mib for sample in samples)


def _row(name: Contestant, samples: Sequence[Sample], bare: Sequence[Sample]) -> tuple[str, ...]:
    def ratio(value: Callable[[Sample], float]) -> str:
        pairs = zip(samples, bare, strict=True)
        return f"{median(value(ours) / value(theirs) for ours, theirs in pairs):.2f}"

    return (
        name.label,
        f"{median(sample.wall_ms for sample in samples):.0f} ms",
        f"{median(sample.cpu_ms for sample in samples):.0f} ms",
        f"{median(sample.peak_mib for sample in samples):.1f} MiB",
        ratio(lambda sample: sample.wall_ms),
        ratio(lambda sample: sample.cpu_ms),
        ratio(lambda sample: sample.peak_mib),
    )


def _line(row: tuple[str, ...], widths: Sequence[int], *, markdown: bool) -> str:
    cells = [
        cell.ljust(width) if column == 0 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return f"| {' | '.join(cells)} |" if markdown else "  ".join(cells).rstrip()
