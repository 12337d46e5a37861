"""Measure the gateway: `python -m tests.bench.gateway_load [--runners N] [--markdown FILE]`.

A thousand connected runners that send each event in a frame of its own, to one gateway process with
its store in a file, beside an echo server that is nothing but websockets; the server on one core,
the runners on another. Then what committing and reading cost, with up to a million events.
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

from runner_shell.gateway.app import Gateway
from runner_shell.gateway.core import GatewayCore
from runner_shell.gateway.server import serve
from runner_shell.gateway.sqlite import SqliteStore
from runner_shell.gateway.store import DEFAULT_TENANT, SessionKey
from runner_shell.gateway.tokens import Role, issue
from runner_shell.link.gateway import GatewayLink
from runner_shell.protocol import codec
from runner_shell.protocol.frames import SUBPROTOCOL

from .load_client import PADDING, LoadRunner
from .processes import cpu_seconds, memory_mib, processors

SECONDS = 10.0
CONNECT_AT_A_TIME = 50
KEY = SessionKey(DEFAULT_TENANT, "history")
FRAME = 64


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


# --- the servers -----------------------------------------------------------------------------


async def _serve_gateway(folder: str, runners: int) -> None:
    async with SqliteStore(Path(folder, "gateway.db")) as store:
        core = GatewayCore(store)
        _, admin = issue(Role.ADMIN, DEFAULT_TENANT)
        tokens = []
        for number in range(runners):
            _, token = await core.create_session(admin.principal(), f"s{number}")
            tokens.append(token)
        async with serve(Gateway(core)) as url:
            print(url.rpartition(":")[2], *tokens, flush=True)
            await asyncio.to_thread(sys.stdin.read)


async def _serve_echo(folder: str, runners: int) -> None:
    from websockets.asyncio.server import ServerConnection
    from websockets.asyncio.server import serve as serve_websockets
    from websockets.exceptions import ConnectionClosed
    from websockets.typing import Subprotocol

    async def echo(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for frame in connection:
                await connection.send(frame)

    async with serve_websockets(
        echo,
        "127.0.0.1",
        0,
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        compression=None,
        ping_interval=None,
    ) as server:
        port = server.sockets[0].getsockname()[1]
        print(port, *["-"] * runners, flush=True)
        await asyncio.to_thread(sys.stdin.read)


SERVERS = {"echo": _serve_echo, "gateway": _serve_gateway}


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


# --- the store -------------------------------------------------------------------------------


class Page(NamedTuple):
    """What reading costs at a number of stored events, in milliseconds."""

    events: int
    first: float
    last: float


class History(NamedTuple):
    """What one long session costs.

    Attributes:
        receiving: CPU µs an event in the link.
        storing: CPU µs an event in the store, the wait for its thread included.
        read: Events read back in a second.
        pages: What a page costs, at several lengths.
    """

    receiving: float
    storing: float
    read: float
    pages: list[Page]


async def _history(largest: int) -> History:
    """Store events up to this many, and read pages at every power of ten."""
    with tempfile.TemporaryDirectory() as folder:
        async with SqliteStore(Path(folder, "gateway.db")) as store:
            await store.create_session(KEY, created_at="2026-11-21T10:00:00Z", metadata={})
            epoch = await store.bump_epoch(KEY, "one")
            link = _welcomed()
            receiving = storing = 0.0
            pages, size, seq = [], 1000, 0
            while size <= largest:
                while seq < size:
                    frame = _frame(seq + 1, min(FRAME, size - seq))
                    began = time.process_time()
                    (received,) = link.receive(frame, 0.0)
                    between = time.process_time()
                    seq = await store.append_events(KEY, epoch, received.events)  # type: ignore[union-attr]
                    receiving += between - began
                    storing += time.process_time() - between
                pages.append(await _pages(store, size))
                size *= 10
            read = await _read_back(store, seq)
            return History(receiving / seq * 1e6, storing / seq * 1e6, read, pages)


def _welcomed() -> GatewayLink:
    link = GatewayLink(now=0.0)
    hello = b'{"frame":"hello","session":"history","epoch":null,"instance":"i","log":"l"'
    link.receive(hello + b',"next":1,"last_command":0}', 0.0)
    link.welcome(epoch=1, acked=0, now=0.0)
    return link


def _frame(first: int, count: int) -> bytes:
    return codec.join_events(
        [
            b'{"seq":%d,"time":"2026-11-21T10:00:00.000Z","turn":"t1","type":"block.delta",'
            b'"message":"m","index":0,"text":"%b"}' % (seq, PADDING)
            for seq in range(first, first + count)
        ]
    )


async def _pages(store: SqliteStore, events: int) -> Page:
    costs = []
    for since in (0, events - 100):
        began = time.perf_counter()
        for _ in range(200):
            await store.read_events(KEY, since=since, limit=100)
        costs.append((time.perf_counter() - began) / 200 * 1e3)
    return Page(events, *costs)


async def _read_back(store: SqliteStore, events: int) -> float:
    began, since, seen = time.perf_counter(), 0, 0
    while True:
        page = await store.read_events(KEY, since=since, limit=1000)
        seen += len(page.events)
        if page.next is None:
            break
        since = page.next
    assert seen == events
    return seen / (time.perf_counter() - began)


# --- the report ------------------------------------------------------------------------------


def _table(loads: list[Load]) -> str:
    lines = [
        "| server | events/s a runner | CPU, % of a core | CPU µs an event | answered/s | p50 ms "
        "| p99 ms | KiB a connection | CPU of the runners, % |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.server} | {one.rate:g} | {one.cpu * 100:.0f} "
        f"| {one.cpu / one.events * 1e6:.0f} | {one.events:.0f} | {one.p50:.1f} "
        f"| {one.p99:.1f} | {one.kib:.1f} | {one.client_cpu * 100:.0f} |"
        for one in loads
    ]
    return "\n".join(lines)


def _report(loads: list[Load], runners: int, history: History) -> str:
    receiving, storing, read, pages = history
    lines = [
        f"{runners} runners, each event in a frame of its own:",
        "",
        _table(loads),
        "",
        "The gateway answers after it has committed, at most every 100 ms; the echo server stores"
        " nothing and answers at once.",
        "",
        f"Taking in and storing a frame of {FRAME} events: {receiving:.2f} µs an event in the link,"
        f" {storing:.2f} in the store (CPU, the wait for the thread included). Read back:"
        f" {read:,.0f} events a second.",
        "",
        "| events stored | first page of 100, ms | last page of 100, ms |",
        "|---|---|---|",
        *[f"| {page.events:,} | {page.first:.2f} | {page.last:.2f} |" for page in pages],
    ]
    return "\n".join(lines) + "\n"


_HEAD = """\
# Benchmarks of the gateway

`make bench-gateway`; one run, both servers after one another on the same core, on a machine that
does other work too: the load was {load}. Where it is more than the processors have, a server waits
for its turn, and the latencies tell more of that than of the server; its CPU tells of the server.
Compare the rows, not the numbers with those of another machine.

"""


async def _measure(runners: int, rates: list[float], largest: int) -> str:
    cores = sorted(os.sched_getaffinity(0))
    pair = (cores[0], cores[-1])
    loads = [
        await _load(kind, runners, rate, pair) for rate in rates for kind in ("echo", "gateway")
    ]
    return _report(loads, runners, await _history(largest))


def main() -> None:
    """Serve, or measure and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gateway_load", description=__doc__)
    parser.add_argument("--runners", type=int, default=1000)
    parser.add_argument("--rates", type=float, nargs="+", default=[1.0, 10.0])
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
    report = asyncio.run(_measure(options.runners, options.rates, options.largest))
    print(report)
    if options.markdown is not None:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        load = f"{before:.1f} before and {os.getloadavg()[0]:.1f} after"
        options.markdown.write_text(_HEAD.format(load=load) + report)


if __name__ == "__main__":
    main()
