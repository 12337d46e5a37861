"""What was measured as two tables, and the tables as a page."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from runner_shell_claude.sdk import versions

from .. import processes
from .messages import Cost
from .starts import BARE, RUNNER, Pair

Row = tuple[str, ...]

PAGE = """# Benchmarks: the Claude adapter

What Claude Code costs as a runner, beside the least that one can write with the Claude Agent SDK:
a script that iterates its messages and keeps nothing. The real Claude Code runs in both, as a
process of its own, and a scripted model answers.

## A message

{messages}

A reply of {words:,} words, a delta each, is {seen:,} messages for the SDK's caller. The adapter
takes the same frames before the SDK makes objects of them.

## A start

{starts}

## How it was measured

`make bench-claude` measures everything in one run: {rounds} rounds after one that is not counted,
in an order that turns around. Times and CPU are the least of the rounds, since other work only
makes them worse; memory is the median. Ratios are of these.

* **A message**: all ways run in one process, each with a CLI that has had a short turn before, from
  the prompt to the turn's end. CPU is that process's own, user and system: in the last row the
  adapter's thread, the shell's, and a gateway with its store in memory. CLI and model are other
  processes. What a message costs depends on how many come at once, which other work changes too:
  the least of several runs still wanders by a fifth.
* **A start** is a process from nothing: `python -m runner_shell`, with a gateway's end in the
  process that starts it, or the script. The SDK's first message is Claude Code's account of itself;
  the first event is `session.started`, which is said when the adapter is open, before the CLI is
  started. The model's first word is the beginning of its message, as the script's `StreamEvent` or
  as `message.started` at the gateway.
* **CPU of the short turn** is all until a turn of one word has ended, imports and a guardian
  included; importing the SDK is most of it in either. **CPU of a message more** is what the long
  turn takes beyond it, by its messages: in a real runner the adapter, redaction, the journal on
  disk and the WebSocket.
* **Peak memory** is `VmHWM` at the end of the long turn, without the CLI's own, which is
  {cli:.0f} MiB in either. The guardian has {guardian:.1f} MiB resident, most of them shared with
  the runner.

The load was {load} on {processors} processors, with Python {python}, claude-agent-sdk {sdk} and
Claude Code {code}. Compare ratios of one run, never numbers of two.
"""


class Results(NamedTuple):
    """What was measured.

    Attributes:
        words: Of the long reply.
        rounds: How many.
        messages: What a message costs, by way.
        starts: The starts, by contestant.
        load: Before and after.
    """

    words: int
    rounds: int
    messages: Mapping[str, Cost]
    starts: Mapping[str, Sequence[Pair]]
    load: Sequence[float]


def messages(results: Results, *, markdown: bool = False) -> str:
    """One row for each way."""
    head: Row = (
        *("", "messages or events", "CPU of a message, µs", "more, µs"),
        *("CPU, of the SDK", "time, of the SDK"),
    )
    alone = next(iter(results.messages.values()))
    rows = [
        (
            name,
            f"{cost.seen:,}",
            f"{cost.cpu / alone.seen * 1e6:.1f}",
            f"{(cost.cpu - alone.cpu) / alone.seen * 1e6:+.1f}",
            f"{cost.cpu / alone.cpu:.2f}×",
            f"{cost.wall / alone.wall:.2f}×",
        )
        for name, cost in results.messages.items()
    ]
    return _lines([head, *rows], markdown=markdown)


def starts(results: Results, *, markdown: bool = False) -> str:
    """One row for each thing that was measured of a start."""
    seen = next(iter(results.messages.values())).seen
    rows: list[Row] = [("", BARE, RUNNER, "runner, of the SDK")]

    def row(name: str, value: Callable[[Sequence[Pair]], float], shown: str) -> None:
        bare, runner = (value(results.starts[each]) for each in (BARE, RUNNER))
        rows.append((name, shown.format(bare), shown.format(runner), f"{runner / bare:.2f}×"))

    def least(value: Callable[[Pair], float]) -> Callable[[Sequence[Pair]], float]:
        return lambda pairs: min(map(value, pairs))

    def more(pairs: Sequence[Pair]) -> float:
        long, short = min(pair.long.cpu for pair in pairs), min(pair.short.cpu for pair in pairs)
        return (long - short) / seen * 1e6

    row("first message, or event", least(lambda pair: pair.short.first * 1000), "{:.0f} ms")
    row("the model's first word", least(lambda pair: pair.short.word * 1000), "{:.0f} ms")
    row("CPU of the short turn", least(lambda pair: pair.short.cpu * 1000), "{:.0f} ms")
    row("CPU of a message more", more, "{:.1f} µs")
    row("peak memory", lambda pairs: median(pair.long.peak_mib for pair in pairs), "{:.1f} MiB")
    return _lines(rows, markdown=markdown)


def page(results: Results) -> str:
    """The page of the documentation."""
    found = versions()
    long = [pair.long for pairs in results.starts.values() for pair in pairs]
    return PAGE.format(
        messages=messages(results, markdown=True),
        starts=starts(results, markdown=True),
        seen=next(iter(results.messages.values())).seen,
        words=results.words,
        rounds=results.rounds,
        cli=median(start.cli_mib for start in long),
        guardian=median(pair.long.guardian_mib for pair in results.starts[RUNNER]),
        load=" to ".join(f"{one:.1f}" for one in results.load),
        processors=processes.processors(),
        python=platform.python_version(),
        sdk=found["sdk"],
        code=found.get("cli", "of the PATH"),
    )


def _lines(rows: Sequence[Row], *, markdown: bool) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    shown = [
        [cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(pairs)]
        for pairs in (zip(row, widths, strict=True) for row in rows)
    ]
    if not markdown:
        return "\n".join("  ".join(row).rstrip() for row in shown)
    rule = ["-" * width if i == 0 else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [shown[0], rule, *shown[1:]])
