"""Measure the gateway: `python -m tests.bench.gateway_load [--runners N] [--markdown FILE]`.

A thousand connected runners that send each event in a frame of its own, to one gateway process with
its store in a file, beside servers that are little but websockets; the server on one core, the
runners on another. Then what committing and reading cost, with up to a million events.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

from .load_client import LoadRunner
from .load_servers import SERVERS
from .long_history import History, measure, table
from .processes import cpu_seconds, memory_mib, processors

SECONDS = 10.0
CONNECT_AT_A_TIME = 50


class Load(NamedTuple):
    """What one server took.

    Attributes:
        server: Which one.
        rate: Events of each runner in a second.
        cpu: Of the server, as a share of a core.
        events: Answered in a second, all runners together.
        p50: Milliseconds until an event is answered.
        p99: Likewise.
        kib: Memory of a connection.
        client_cpu: Of all runners, as a share of a core.
    """

    server: str
    rate: float
    cpu: float
    events: float
    p50: float
    p99: float
    kib: float
    client_cpu: float

    @property
    def cpu_us(self) -> float:
        """CPU of the server, in µs an event that was answered."""
        return self.cpu / self.events * 1e6


@contextlib.contextmanager
def _server(kind: str, runners: int, core: int) -> Iterator[tuple[int, int, list[str]]]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", __spec__.name, "--serve", kind, "--folder", folder]
        process = subprocess.Popen(
            [*command, "--runners", str(runners), "--core", str(core)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            port, *tokens = process.stdout.readline().split()
            yield process.pid, int(port), tokens
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()


# --- the load --------------------------------------------------------------------------------


async def _load(kind: str, runners: int, rate: float, cores: tuple[int, int]) -> Load:
    latencies: list[float] = []
    with _server(kind, runners, cores[1]) as (pid, port, tokens):
        before = memory_mib(pid, "VmRSS")
        async with _connected(port, tokens, latencies) as all_of_them:
            kib = (memory_mib(pid, "VmRSS") - before) * 1024 / runners
            emitting = [asyncio.create_task(_emit(one, rate)) for one in all_of_them]
            await asyncio.sleep(2.0)  # until it runs evenly
            for one in all_of_them:
                one.measuring = True
            cpu, own, began = cpu_seconds(pid), time.process_time(), time.perf_counter()
            await asyncio.sleep(SECONDS)
            cpu, own = cpu_seconds(pid) - cpu, time.process_time() - own
            took = time.perf_counter() - began
            for task in emitting:
                task.cancel()
            await asyncio.wait(emitting)
    ranks = statistics.quantiles(latencies, n=100)
    return Load(
        kind,
        rate,
        cpu / took,
        len(latencies) / took,
        ranks[49] * 1e3,
        ranks[98] * 1e3,
        kib,
        own / took,
    )


@contextlib.asynccontextmanager
async def _connected(
    port: int, tokens: list[str], latencies: list[float]
) -> AsyncIterator[list[LoadRunner]]:
    loop = asyncio.get_running_loop()
    made: list[LoadRunner] = []
    for start in range(0, len(tokens), CONNECT_AT_A_TIME):
        some = [
            LoadRunner(f"s{number}", tokens[number], latencies)
            for number in range(start, min(start + CONNECT_AT_A_TIME, len(tokens)))
        ]
        for one in some:
            await loop.create_connection(lambda one=one: one, "127.0.0.1", port)  # type: ignore[misc]
        await asyncio.gather(*[one.ready for one in some])
        made += some
    try:
        yield made
    finally:
        for one in made:
            one.close()


async def _emit(runner: LoadRunner, rate: float) -> None:
    loop = asyncio.get_running_loop()
    # Spread over the interval, or all would send at the same moment.
    due = loop.time() + (id(runner) >> 5) % 1000 / 1000 / rate
    while True:
        await asyncio.sleep(due - loop.time())
        runner.emit()
        due += 1 / rate


# --- the report ------------------------------------------------------------------------------


def _table(loads: list[Load]) -> str:
    lines = [
        "| server | events/s a runner | CPU µs an event | as a ratio to echo | to storing"
        " | CPU, % of a core | answered/s | p50 ms | p99 ms | KiB a connection"
        " | CPU of the runners, % |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in _medians(loads):
        echo, storing = (_ratio(loads, one, peer) for peer in ("echo", "storing"))
        lines.append(
            f"| {one.server} | {one.rate:g} | {one.cpu_us:.0f} | {echo:.2f} | {storing:.2f} "
            f"| {one.cpu * 100:.0f} | {one.events:.0f} | {one.p50:.1f} "
            f"| {one.p99:.1f} | {one.kib:.1f} | {one.client_cpu * 100:.0f} |"
        )
    return "\n".join(lines)


def _medians(loads: list[Load]) -> list[Load]:
    """One row for each server and rate; every column by itself is the median of the rounds."""
    rows = []
    for server, rate in dict.fromkeys((one.server, one.rate) for one in loads):
        same = [one for one in loads if (one.server, one.rate) == (server, rate)]
        columns = [statistics.median(column) for column in list(zip(*same, strict=True))[1:]]
        rows.append(Load(server, *columns))
    return rows


def _ratio(loads: list[Load], one: Load, peer: str) -> float:
    """CPU an event beside the peer's: the median of the rounds, each with the peer of its own."""
    mine, theirs = (
        [each.cpu_us for each in loads if (each.server, each.rate) == (server, one.rate)]
        for server in (one.server, peer)
    )
    return statistics.median(a / b for a, b in zip(mine, theirs, strict=True))


def _report(loads: list[Load], runners: int, rounds: int, history: History) -> str:
    lines = [
        f"{runners} runners, each event in a frame of its own; medians of {rounds} rounds, in each"
        " of which every server had its turn:",
        "",
        _table(loads),
        "",
        "*echo* is nothing but websockets: it stores nothing and answers at once. *storing* is what"
        " one would write first: websockets, `json`, and SQLite with one transaction for all that"
        " came in 100 ms; it checks nothing. The gateway answers after it has committed, 100 ms"
        " later at most.",
        "",
        table(history),
    ]
    return "\n".join(lines) + "\n"


_HEAD = """\
# Benchmarks of the gateway

`make bench-gateway`; one run, all servers after one another on the same core, on a machine that
does other work too: the load was {load}. Where it is more than the processors have, a server waits
for its turn, and the latencies tell more of that than of the server; its CPU tells of the server.
Compare the rows, not the numbers with those of another machine.

"""


async def _measure(runners: int, rates: list[float], rounds: int, largest: int) -> str:
    cores = sorted(os.sched_getaffinity(0))
    pair = (cores[0], cores[-1])
    os.sched_setaffinity(0, {pair[0]})
    loads = [
        await _load(kind, runners, rate, pair)
        for rate in rates
        for _ in range(rounds)
        for kind in SERVERS
    ]
    return _report(loads, runners, rounds, await measure(largest))


def main() -> None:
    """Serve, or measure and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gateway_load", description=__doc__)
    parser.add_argument("--runners", type=int, default=1000)
    parser.add_argument("--rates", type=float, nargs="+", default=[1.0, 10.0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--largest", type=int, default=1_000_000, help="events in one session")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write a page")
    parser.add_argument("--serve", choices=sorted(SERVERS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--core", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if sys.platform != "linux":
        parser.error("what a process costs is read from /proc: Linux only")
    if options.serve:
        os.sched_setaffinity(0, {options.core})
        asyncio.run(SERVERS[options.serve](options.folder, options.runners))
        return
    if processors() < 2:
        parser.error("the servers and the runners need a core each")
    before = os.getloadavg()[0]
    report = asyncio.run(_measure(options.runners, options.rates, options.rounds, options.largest))
    print(report)
    if options.markdown is not None:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        load = f"{before:.1f} before and {os.getloadavg()[0]:.1f} after"
        options.markdown.write_text(_HEAD.format(load=load) + report)


if __name__ == "__main__":
    main()
