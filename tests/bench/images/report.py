"""The measurements as a page."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from statistics import median

from runner_shell.images.sizes import MEGABYTE, Row, table, total

from .. import processes
from .sizes import Aim
from .start import Contestant

Taken = Mapping[Contestant, Sequence[float]]

PAGE = """# Benchmarks: the images

## The start

From before `{engine} run` is called to the first frame's arrival at a server on the same machine.

{start}

`make bench-images` starts each contestant {rounds} times, once in a round, in an order that turns
around, after a round that is not counted. Times are medians; each ratio is the median of the
ratios within a round, because a busy machine is busy for all. What the engine does to make a
container is in every row; its clearing away is in the first only. **The bare client** is a script
of one coroutine that opens a WebSocket and sends one small frame, with the image's own packages.

## The size

{aims}

Bytes of all regular files in all layers, not compressed. *Wheels just installed* are what uv
alone makes of the same locked wheels, with bytecode: a container whose root is read-only would
otherwise compile at each start.

{tables}

Files belong to the Python distribution or the Debian package that lists them; *of no package* is
what neither does, such as certificates and dpkg's own records. *Python* is the interpreter with its
library.

Measured with {engine} on {processors} processors, {system}, on a base from Debian's packages.
Compare ratios between machines, never milliseconds.
"""


def page(
    taken: Taken, aims: Sequence[Aim], images: Mapping[str, Sequence[Row]], engine: str
) -> str:
    """The page of the documentation.

    Args:
        taken: Seconds of each contestant; the first two are the peers.
        aims: What is held against what.
        images: The rows of each image, the base first.
        engine: The engine's name.
    """
    return PAGE.format(
        start=start_table(taken),
        rounds=len(next(iter(taken.values()))),
        aims=aims_table(aims),
        tables="\n\n".join(size_table(name, rows) for name, rows in images.items()),
        engine=engine,
        processors=processes.processors(),
        system=platform.system(),
    )


def start_table(taken: Taken) -> str:
    """One row for each contestant, with its ratios to the two peers of the same round."""
    peers = list(taken)[:2]
    head = ("", "time", "of `python -c pass`", "of the bare client")
    rows = [
        (
            one.label,
            f"{median(seconds) * 1000:.0f} ms",
            *(_ratio(seconds, taken[peer]) for peer in peers),
        )
        for one, seconds in taken.items()
    ]
    return _table(head, rows)


def aims_table(aims: Sequence[Aim]) -> str:
    """One row for each aim."""
    head = ("", "ours", "the peer", "ratio", "aim")
    rows = [
        (
            one.what,
            f"{one.ours / MEGABYTE:.1f} MB",
            f"{one.peer / MEGABYTE:.1f} MB",
            f"{one.ours / one.peer:.3f}",
            f"{one.aim:.3f}",
        )
        for one in aims
    ]
    return _table(head, rows)


def size_table(name: str, rows: Sequence[Row]) -> str:
    """What each megabyte of an image is; of an adapter's image only its own layer."""
    top = max(row.layer for row in rows)
    shown = rows if name == "base" else [row for row in rows if row.layer == top]
    said = "in all" if name == "base" else "beyond the base"
    lines = [
        (owner, f"{megabytes:.1f}", f"{bytecode:.1f}")
        for owner, megabytes, bytecode in table(shown)
    ]
    lines.append((f"**{said}**", f"{total(shown) / MEGABYTE:.1f}", ""))
    return f"### {name}\n\n" + _table(("", "MB", "of this bytecode"), lines)


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    return f"{median(one / other for one, other in zip(ours, theirs, strict=True)):.2f}"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    rule = ("---", *("--:" for _ in head[1:]))
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))
