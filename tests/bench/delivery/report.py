"""What was measured as a table, and the table as a page."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence

from .. import processes
from .measure import BACKLOG, OUTAGE, SHELLS, Costs, Name, Results

CAP_MIB = 8
"""What the journal and the crossing may hold in memory at their marks."""

Row = tuple[str, ...]

PAGE = """# Benchmarks: the link

An event goes from an adapter's thread through redaction, the journal on disk and a WebSocket into
the gateway's store, and is acknowledged once it is committed. This page says what that costs,
beside (a) **bare** websockets, which send one prepared frame an event and keep nothing, and (b) a
**naive** shell, which builds a pydantic message for each event, sends `json.dumps` of it and keeps
nothing either; its receiver reads the JSON.

{table}

{growth}

## How it was measured

`make bench-link` measures everything in one run: {rounds} rounds, in each the same floods for all,
one after another, in an order that turns around. A real runner process (`python -m runner_shell`'s
own main, with an adapter that floods) and its guardian run on one core, a real gateway process with
a SQLite file on another; so do each peer and its sink. Rates are the best of the rounds and CPU is
the least, since other work only makes them worse; latencies are medians, of the best round.

* **Deltas** are counted as they are emitted. The shell joins those of a block that cross together
  ([0050](../decisions/0050-deltas-wait-where-they-cross.md)), flat out some hundred of them, so
  fewer events arrive; their text is the same to the character.
* **CPU** is user and system time of the runner and its guardian, or of the peer; the receiver's is
  in a row of its own. A text delta has 60 characters, and is about 200 bytes on the wire; a block
  has 1,000 of them. **Tools** are starts and ends of tool calls with 60 characters each.
* **Redacting** knows 100 secrets and applies every rule; the other shell has a redactor that does
  nothing, which no setting of the product gives.
* **At 1,000 a second** includes what it costs to sleep a thousand times a second, for all alike:
  {resting:.0f} µs each time, by the bare peer where it sends nothing.
* **Latency** is of log lines, which never linger, at 200 a second: until the gateway hands them,
  read and checked, to its store; until the naive peer's sink has read their JSON; until they are at
  the bare peer's. The shell's are committed after {committed:.2f} ms.
* **A backlog** is emitted while the gateway is killed; the time runs from the first request of the
  runner's next dial to the commit of the last event.
* **An outage** is {outage:,} deltas that the adapter does not await, at {outage_rate:,.0f} a
  second: as many as ten minutes at 500 a second. Memory is the most that is resident, polled.

The load was {load} on {processors} processors, with Python {python}. Compare ratios of one run,
never numbers of two.

## Where an aim is missed

* **At 1,000 a second** most of what each row says is the sleeping, which the bare client does too:
  it keeps the pace at {bare_share:.2f} times the naive shell's CPU and does nothing else. What
  the shell adds to that is mostly its look at what has crossed, every 20 ms: the same work for
  twenty deltas as for one, and on a processor whose caches are cold by then.
* **Latency** lies on its aim, a little below without redaction and a little above with it. It holds
  one hand-over more than a peer's, from the adapter's thread to the main one, and a write to the
  journal before anything is sent. The first is the price of an adapter that may block its thread
  without holding up a heartbeat or an interrupt: see [the architecture](architecture.md), "Two
  threads".
"""


def table(results: Results, *, markdown: bool = False) -> str:
    """One row for each aim."""
    return _lines(_rows(results), markdown=markdown)


def growth(results: Results, *, markdown: bool = False) -> str:
    """One row for each power of ten."""
    head: Row = ("events more in one session", "CPU an event", "runner", "gateway")
    rows = [
        (
            f"{one.count:,}",
            f"{one.cpu_us:.1f} µs",
            f"{one.mib:.1f} MiB",
            f"{one.gateway_mib:.1f} MiB",
        )
        for one in results.growth
    ]
    return _lines([head, *rows], markdown=markdown)


def page(results: Results, rounds: int, load: Sequence[float]) -> str:
    """The page of the documentation."""
    return PAGE.format(
        table=table(results, markdown=True),
        growth=growth(results, markdown=True),
        rounds=rounds,
        committed=min(results.costs["shell"].committed_ms),
        resting=min(results.costs["bare"].resting_cpu_us),
        bare_share=_paced(results, "bare") / _paced(results, "naive"),
        outage=OUTAGE.count,
        outage_rate=OUTAGE.rate,
        load=" to ".join(f"{one:.1f}" for one in load),
        processors=processes.processors(),
        python=platform.python_version(),
    )


def _paced(results: Results, name: Name) -> float:
    return min(results.costs[name].paced_cpu_us)


def _rows(results: Results) -> list[Row]:
    costs, outages = results.costs, results.outages
    off, on, bare, naive = (costs[name] for name in (*SHELLS, "bare", "naive"))
    resting = min(bare.resting_cpu_us)

    def row(what: str, value: Callable[[Costs], float], form: str, *aims: str) -> Row:
        values = [value(one) for one in (off, on, bare, naive)]
        ratios = " · ".join(f"{values[0] / peer:.2f}×" for peer in values[2:])
        redacting = " · ".join(f"{values[1] / peer:.2f}×" for peer in values[2:])
        return (what, *(form.format(one) for one in values), ratios, redacting, *aims)

    def own(what: str, off_value: str, on_value: str, aim: str = "") -> Row:
        return (what, off_value, on_value, "", "", "", "", aim)

    return [
        ("", "shell", "redacting", "(a) bare", "(b) naive", "shell of a · b",
         "redacting of a · b", "aim"),
        row("text deltas a second", lambda one: max(one.rate["deltas"]), "{:,.0f}",
            "≥ 2× a, ≥ 5× b; redacting ≥ 1× a"),
        row("CPU of a delta, flat out, µs", lambda one: min(one.cpu_us["deltas"]), "{:.1f}",
            "≤ 0.2× b"),
        row("receiver's CPU of a delta, µs", lambda one: min(one.receiver_cpu_us), "{:.1f}", ""),
        row("CPU of a delta at 1,000 a second, µs", lambda one: min(one.paced_cpu_us), "{:.0f}",
            "≤ 0.6× b"),
        row("the same without the sleeping, µs", lambda one: min(one.paced_cpu_us) - resting,
            "{:.0f}", ""),
        row("median latency, ms", lambda one: min(one.received_ms), "{:.2f}", "≤ 1× b"),
        own("tool events a second", *(f"{max(one.rate['tools']):,.0f}" for one in (off, on))),
        own("CPU of a tool event, µs", *(f"{min(one.cpu_us['tools']):.1f}" for one in (off, on))),
        own(f"{BACKLOG:,} events drained after the dial", f"{outages.drained_seconds:.2f} s", "",
            "≤ 0.5 s"),
        own("a black hole found", f"{outages.found_seconds:.1f} s", "", "≤ 20 s"),
        own(f"memory in an outage of {OUTAGE.count:,} events", f"{outages.grown_mib:.1f} MiB", "",
            f"≤ cap ({CAP_MIB} MiB) + 5"),
    ]  # fmt: skip


def _lines(rows: list[Row], *, markdown: bool) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [_line(row, widths, markdown=markdown) for row in rows]
    if markdown:
        rule = ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]
        lines.insert(1, _line(tuple(rule), widths, markdown=True))
    return "\n".join(lines)


def _line(row: Row, widths: list[int], *, markdown: bool) -> str:
    cells = [
        cell.ljust(width) if column == 0 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return f"| {' | '.join(cells)} |" if markdown else "  ".join(cells).rstrip()
