"""The rounds: in each, every contestant gets the same floods, one after another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Literal

from .contestants import Contestant, Flooded, Runner, peer, runner
from .flood import Flood, Kind

Name = Literal["shell", "shell, redacting", "bare", "naive"]

NAMES: tuple[Name, ...] = ("shell", "shell, redacting", "bare", "naive")
SHELLS = NAMES[:2]

FLAT_OUT = 50_000
PACED = Flood(kind="deltas", count=4000, rate=1000.0)
RESTS = Flood(kind="rests", count=4000, rate=1000.0)
LATE = Flood(kind="logs", count=600, rate=200.0)
SIZES = (10_000, 100_000, 1_000_000)
BACKLOG = 20_000
OUTAGE = Flood(kind="deltas", count=300_000, rate=20_000.0, awaits=False)
MEMORY_POLL_SECONDS = 0.02


@dataclass
class Costs:
    """What one contestant's floods took, a value for each round.

    Attributes:
        rate: Events a second, flat out, by kind.
        cpu_us: CPU of an event, flat out, by kind.
        receiver_cpu_us: The receiver's, deltas flat out.
        paced_cpu_us: CPU of a delta at 1,000 a second.
        resting_cpu_us: The same of nothing at all, at the bare peer only.
        received_ms: Median time until a log line arrives at 200 a second.
        committed_ms: And until it is committed.
    """

    rate: dict[Kind, list[float]] = field(default_factory=dict)
    cpu_us: dict[Kind, list[float]] = field(default_factory=dict)
    receiver_cpu_us: list[float] = field(default_factory=list)
    paced_cpu_us: list[float] = field(default_factory=list)
    resting_cpu_us: list[float] = field(default_factory=list)
    received_ms: list[float] = field(default_factory=list)
    committed_ms: list[float] = field(default_factory=list)

    def flat_out(self, kind: Kind, flooded: Flooded) -> None:
        """Note a flood."""
        self.rate.setdefault(kind, []).append(FLAT_OUT / flooded.seconds)
        self.cpu_us.setdefault(kind, []).append(flooded.cpu_us)
        if kind == "deltas":
            self.receiver_cpu_us.append(flooded.receiver_cpu_us)

    def late(self, flooded: Flooded) -> None:
        """Note how late log lines were."""
        self.received_ms.append(median(flooded.received) * 1e3)
        if flooded.committed:
            self.committed_ms.append(median(flooded.committed) * 1e3)


@dataclass(frozen=True)
class Growth:
    """What so many events more cost in one session.

    Attributes:
        count: How many.
        cpu_us: CPU of one.
        mib: What is resident of the runner afterwards.
        gateway_mib: And of the gateway.
    """

    count: int
    cpu_us: float
    mib: float
    gateway_mib: float


@dataclass(frozen=True)
class Outages:
    """What happens while the gateway is away.

    Attributes:
        drained_seconds: From the dial until 20,000 events are committed.
        found_seconds: From the beginning of a black hole to the next dial.
        grown_mib: By how much the runner grew in an outage of 300,000 events.
    """

    drained_seconds: float
    found_seconds: float
    grown_mib: float


@dataclass(frozen=True)
class Results:
    """Everything that was measured."""

    costs: dict[Name, Costs]
    growth: list[Growth]
    outages: Outages


async def measure(directory: Path, cores: tuple[int, int], rounds: int) -> Results:
    """Run everything; `directory` is for what the processes write."""
    costs = await _compare(directory, cores, rounds)
    async with runner(directory / "outages", cores, redacting=False, proxied=True) as broken:
        outages = await _outages(broken)
    async with runner(directory / "growth", cores, redacting=False) as grown:
        growth = [await _grow(grown, count) for count in SIZES]
    return Results(costs, growth, outages)


async def _compare(directory: Path, cores: tuple[int, int], rounds: int) -> dict[Name, Costs]:
    costs: dict[Name, Costs] = {name: Costs() for name in NAMES}
    async with AsyncExitStack() as stack:
        contestants: dict[Name, Contestant] = {}
        for name in SHELLS:
            place, redacting = directory / name, name == "shell, redacting"
            shell = runner(place, cores, redacting=redacting)
            contestants[name] = await stack.enter_async_context(shell)
        for kind in ("bare", "naive"):
            started = await stack.enter_async_context(peer(kind, directory / kind, cores))
            contestants[kind] = started  # type: ignore[index]
        for number in range(rounds):
            await _round(contestants, NAMES if number % 2 else NAMES[::-1], costs)
    return costs


async def _round(
    contestants: dict[Name, Contestant], order: Iterable[Name], costs: dict[Name, Costs]
) -> None:
    """Each kind of flood by itself: what is compared then runs right after one another."""
    order = list(order)
    for name in order:
        flooded = await contestants[name].flood(Flood(kind="deltas", count=FLAT_OUT))
        costs[name].flat_out("deltas", flooded)
    for name in order:
        if name in SHELLS:
            flooded = await contestants[name].flood(Flood(kind="tools", count=FLAT_OUT))
            costs[name].flat_out("tools", flooded)
    for name in order:
        costs[name].paced_cpu_us.append((await contestants[name].flood(PACED)).cpu_us)
        if name == "bare":
            costs[name].resting_cpu_us.append((await contestants[name].flood(RESTS)).cpu_us)
    for name in order:
        costs[name].late(await contestants[name].flood(LATE))


async def _grow(grown: Runner, count: int) -> Growth:
    flooded = await grown.flood(Flood(kind="deltas", count=count))
    return Growth(count, flooded.cpu_us, grown.sender.mib, grown.receiver.mib)


async def _outages(broken: Runner) -> Outages:
    found = await _black_hole(broken)
    drained = await _backlog(broken)
    return Outages(drained, found, await _long_outage(broken))


async def _black_hole(broken: Runner) -> float:
    proxy = broken.proxy
    assert proxy is not None
    before, began = proxy.connections, time.monotonic()
    proxy.black_hole()
    while proxy.connections == before:  # noqa: ASYNC110 — the proxy counts, and tells nobody
        await asyncio.sleep(0.02)
    found = time.monotonic() - began
    proxy.heal()
    await broken.flood(Flood(kind="deltas", count=1))
    return found


async def _backlog(broken: Runner) -> float:
    await _cut_off(broken, Flood(kind="deltas", count=BACKLOG, rate=10_000.0))
    await broken.notes.next("emitted")
    broken.notes.skip()
    await broken.restart_gateway()
    dialled = await broken.notes.next("dialled")
    stored = await broken.notes.next("stored")
    return float(stored["at"] - dialled["at"])


async def _long_outage(broken: Runner) -> float:
    await broken.flood(Flood(kind="deltas", count=FLAT_OUT))  # what ordinary work takes is taken
    before = broken.sender.mib
    await _cut_off(broken, OUTAGE)
    emitted = asyncio.ensure_future(broken.notes.next("emitted"))
    most = before
    while not emitted.done():
        most = max(most, broken.sender.mib)
        await asyncio.sleep(MEMORY_POLL_SECONDS)
    await emitted
    await broken.restart_gateway()
    await broken.notes.next("stored")
    return most - before


async def _cut_off(broken: Runner, flood: Flood) -> None:
    """Have it begin a flood, and kill the gateway at once."""
    broken.notes.skip()
    await broken.ask(flood)
    await broken.notes.next("began")
    await broken.kill_gateway()
