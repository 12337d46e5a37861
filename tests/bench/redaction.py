"""What redaction costs: `python -m tests.bench.redaction [--markdown FILE]`.

Everything is measured in one process and one run, beside what else one could do, in CPU time of
the thread: on a busy machine the ratios hold, not the numbers.
"""

from __future__ import annotations

import argparse
import platform
import random
import re
import string
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import mean

from runner_shell.redaction import RedactingStream, Redactor, SecretRegistry

from . import redaction_corpus as corpus

SECRETS = 100
BLOCK = 65_536
CORPUS = 8_000_000
DELTAS = 60_000

PAGE = """# Benchmarks: redaction

Every text that leaves a runner passes the redactor, so it has to cost little: per block of tool
output, and per delta of a few characters. {secrets} secrets are known, in {patterns} forms, and all
{rules} rules are on.

{table}

## How it was measured

`make bench-redaction` measures everything in one run, on {megabytes:.0f} MB of the standard
library and the installed packages, in CPU time of the thread. **Blocks** are {block} characters.
**Deltas** are 5 to 50 characters, fed to one stream one after another; mean and 99th percentile of
what feeding one takes, each the best of three passes. **Registering** is making the forms of
{secrets} secrets (`Redactor.prepare`, in any thread) and taking them in (`Redactor.admit`, which is
all that a stream waits for). **Memory** is what the process grew by when the redactor compiled.

The peers do less: `str.replace` in a loop and an alternation of `re` replace the {secrets} values
as they are, in no other form, by no rule, and miss what is cut in two.

Measured with Python {python} on {processors} processors, {system}. Compare ratios between machines,
never numbers.
"""


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    what: str
    value: str
    aim: str = ""


def measure() -> tuple[list[Row], dict[str, object]]:
    """Measure everything; the rows, and what the page says besides."""
    chance = random.Random(2)
    letters = string.ascii_letters + string.digits
    secrets = [
        (f"SECRET_{n}", "".join(chance.choices(letters, k=chance.randint(20, 60))))
        for n in range(SECRETS)
    ]
    text = _text()
    blocks = [text[at : at + BLOCK] for at in range(0, len(text), BLOCK)]
    Redactor(SecretRegistry()).text("password=abc ghp_ " + text[:BLOCK])  # imports, caches
    before = _resident()
    redactor = Redactor(SecretRegistry(dict(secrets)))
    redactor.text("")
    grown = _resident() - before
    redactor.text(text)
    means, p99 = _deltas(redactor, text, chance)
    prepare, admit = _registering(secrets)
    values = [value for _, value in secrets]
    alternation = re.compile("|".join(map(re.escape, values)))
    looped = _speed(lambda: _replace(blocks, values), text)
    alternated = _speed(lambda: _sub(blocks[:4], alternation), text[: BLOCK * 4])
    speed = _speed(lambda: _stream(redactor, blocks), text)
    rows = [
        Row("memory bandwidth (a copy)", f"{_speed(lambda: _copy(blocks), text):.0f} MB/s"),
        Row("`str.replace` in a loop", f"{looped:.1f} MB/s"),
        Row("`re` alternation", f"{alternated:.2f} MB/s"),
        Row("redaction, blocks", f"{speed:.0f} MB/s", "≥ 80 MB/s"),
        Row("redaction, a delta", f"{means:.1f} µs mean, {p99:.1f} µs p99", "≤ 5 µs, ≤ 15 µs"),
        Row("`str.replace` in a loop, a delta", f"{_replaced_delta(text, values):.1f} µs"),
        Row("registering, prepared beside", f"{prepare:.0f} ms", "≤ 30 ms"),
        Row("registering, what a stream waits", f"{admit:.2f} ms"),
        Row("memory", f"{grown:.0f} MB", "≤ 20 MB"),
    ]  # fmt: skip
    patterns = sum(len(layer.patterns) for layer in redactor.layers())
    facts: dict[str, object] = {
        "secrets": SECRETS, "patterns": patterns, "rules": len(corpus.DEFAULT_RULES),
        "megabytes": len(text) / 1e6, "block": BLOCK, "python": platform.python_version(),
        "system": platform.system(), "processors": _processors(),
    }  # fmt: skip
    return rows, facts


def _text() -> str:
    parts, size = [], 0
    for _, text in islice(corpus.texts(), 0, None, 7):
        parts.append(text)
        size += len(text)
        if size >= CORPUS:
            break
    return "".join(parts)


def _speed(run: Callable[[], object], text: str) -> float:
    """Megabytes a second, the best of three."""
    best = float("inf")
    for _ in range(3):
        began = time.thread_time()
        run()
        best = min(best, time.thread_time() - began)
    return len(text) / best / 1e6


def _stream(redactor: Redactor, blocks: list[str]) -> int:
    stream = redactor.stream()
    return sum(len(stream.feed(block)) for block in blocks) + len(stream.finish())


def _copy(blocks: list[str]) -> int:
    return sum(len(block[1:]) for block in blocks)


def _replace(blocks: list[str], values: list[str]) -> None:
    for block in blocks:
        for value in values:
            block = block.replace(value, "[REDACTED]")


def _sub(blocks: list[str], pattern: re.Pattern[str]) -> None:
    for block in blocks:
        pattern.sub("[REDACTED]", block)


def _deltas(redactor: Redactor, text: str, chance: random.Random) -> tuple[float, float]:
    """Mean and 99th percentile of what a delta takes, each the best of three passes."""
    pieces, at = [], 0
    for _ in range(DELTAS):
        size = chance.randint(5, 50)
        pieces.append(text[at : at + size])
        at = (at + size) % (len(text) - 100)
    passes = [_pass(redactor.stream(), pieces) for _ in range(3)]
    clock = _clock()
    taken = sorted(min(times) - clock for times in zip(*passes, strict=True))
    return mean(taken) / 1e3, taken[int(len(taken) * 0.99)] / 1e3


def _pass(stream: RedactingStream, pieces: list[str]) -> list[int]:
    taken = []
    for piece in pieces:
        began = time.thread_time_ns()
        stream.feed(piece)
        taken.append(time.thread_time_ns() - began)
    return taken


def _clock() -> int:
    """What asking for the time takes, in nanoseconds."""
    taken = []
    for _ in range(10_000):
        began = time.thread_time_ns()
        taken.append(time.thread_time_ns() - began)
    return sorted(taken)[len(taken) // 2]


def _replaced_delta(text: str, values: list[str]) -> float:
    pieces = [text[at : at + 27] for at in range(0, 27 * 2_000, 27)]
    began = time.thread_time()
    _replace(pieces, values)
    return (time.thread_time() - began) / len(pieces) * 1e6


def _registering(secrets: list[tuple[str, str]]) -> tuple[float, float]:
    best, waits = float("inf"), float("inf")
    for _ in range(5):
        redactor = Redactor(SecretRegistry())
        redactor.text("")
        began = time.thread_time()
        prepared, _ = redactor.prepare(secrets)
        ready = time.thread_time()
        redactor.admit(prepared)
        best, waits = min(best, ready - began), min(waits, time.thread_time() - ready)
    return best * 1e3, waits * 1e3


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def _processors() -> int:
    import os

    return len(os.sched_getaffinity(0))


def main() -> None:
    """Measure, print, and write the page where one is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.redaction", description=__doc__)
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write a page")
    options = parser.parse_args()
    rows, facts = measure()
    found = corpus.scan()
    rows += [
        Row("false positives, all rules", f"{found.per_megabyte:.2f} a MB", "≤ 1 a MB"),
        Row("false positives, formats", f"{found.formats_per_megabyte:.3f} a MB", "≤ 0.1 a MB"),
    ]
    for row in rows:
        print(f"{row.what:36} {row.value:28} {row.aim}")
    if options.markdown is not None:
        lines = ["| | measured | aim |", "|---|---|---|"]
        lines += [f"| {row.what} | {row.value} | {row.aim} |" for row in rows]
        options.markdown.write_text(PAGE.format(table="\n".join(lines), **facts), "utf-8")


if __name__ == "__main__":
    main()
