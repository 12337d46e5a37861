"""A gateway that reads slowly or not at all: bounded memory and disk, and nothing lost."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from afterlife import LastingGateway, life
from fake_gateway import script

from runner_shell import Adapter, Ending, Turn, events
from runner_shell.shell.reception import Reception
from runner_shell.shell.thread.crossing import Pressure
from runner_shell.testing.adapters import ScriptedAdapter
from runner_shell.testing.hosting import host

HERE = Path(__file__).parent


class Floods(Adapter):
    """Emits without ever awaiting an emit, but lets its loop rest."""

    name: ClassVar[str] = "floods"
    deltas = True
    count = 3000

    async def turn(self, turn: Turn) -> Ending:
        turn.emit(events.MessageStarted(id="m"))
        turn.emit(events.BlockStarted(message="m", index=0))
        for number in range(self.count):
            text = f"{number} ".ljust(100, ".")
            if self.deltas:
                turn.emit(events.BlockDelta(message="m", index=0, text=text))
            else:
                turn.emit(events.Custom(name="n", data=text))
            if not number % 100:
                await asyncio.sleep(0)
        turn.emit(events.BlockFinished(message="m", index=0))
        turn.emit(events.MessageFinished(id="m"))
        return Ending("completed")


class FloodsWithEvents(Floods):
    """What cannot be merged."""

    deltas = False
    count = 1_000_000

    async def interrupt(self, reason: str) -> bool:
        self.told = reason
        return False


def test_what_pressure_lets_go_of_is_delivered_too() -> None:
    """What crossed is delivered before pressure is looked at; what waited for that, behind it."""
    done: list[str] = []
    pressure = Pressure(high_bytes=100, low_bytes=50)
    runner: Any = SimpleNamespace(
        pressure=pressure,
        journal=SimpleNamespace(backlog_bytes=0),
        link=SimpleNamespace(outbox=()),
        restart=SimpleNamespace(recorded=None),
        settings=SimpleNamespace(journal_limit_bytes=1000),
        outlet=SimpleNamespace(merge=lambda on: done.append(f"merge {on}")),
        delivery=SimpleNamespace(deliver=lambda: done.append("deliver")),
    )
    reception = Reception(runner)
    reception.rest()
    assert done == ["deliver"]
    pressure.update(120)
    reception.rest()
    assert done == ["deliver", "deliver", "merge False", "deliver"]


async def test_past_the_high_mark_deltas_merge_and_the_text_stays_exact(tmp_path: Path) -> None:
    """A gateway that takes nothing for a while costs few numbers; then everything is there."""
    gateway = LastingGateway(acknowledges=False, credit=1000)
    make = lambda: Floods(Floods.Settings())  # noqa: E731
    async with life(
        gateway, tmp_path / "j", "x", make=make, high_mark_bytes=64 * 1024, grace_seconds=60
    ) as run:
        await gateway.wait_for("session.started")
        while run.runner.turn or not run.runner.working.turn_count:  # noqa: ASYNC110 — no event tells it
            await asyncio.sleep(0.01)
        assert run.runner.link.backlog < 1000
        await gateway.acknowledge()
        assert (await run.end()).exit_code == 0
    gateway.check()
    assert gateway.text() == "".join(f"{number} ".ljust(100, ".") for number in range(3000))
    assert len(gateway.of_type("block.delta")) < 1000


class Drips(Adapter):
    """Emits each delta only when the one before has crossed, so that none are joined on the way."""

    name: ClassVar[str] = "drips"

    async def turn(self, turn: Turn) -> Ending:
        turn.emit(events.MessageStarted(id="m"))
        turn.emit(events.BlockStarted(message="m", index=0))
        for text in ("x" * 3000, *(f" {number}" for number in range(20))):
            turn.emit(events.BlockDelta(message="m", index=0, text=text))
            while turn._port._crossing.things:  # type: ignore[attr-defined]  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        turn.emit(events.BlockFinished(message="m", index=0))
        turn.emit(events.MessageFinished(id="m"))
        return Ending("completed")


@pytest.mark.parametrize(("high_mark_bytes", "merges"), [(2000, True), (1_000_000, False)])
async def test_only_past_the_high_mark_deltas_merge_that_cross_alone(
    tmp_path: Path, high_mark_bytes: int, merges: bool
) -> None:
    """What comes behind is added to what waits for its number, and not only what comes together."""
    gateway = LastingGateway(acknowledges=False, credit=1000)
    make = lambda: Drips(Drips.Settings())  # noqa: E731
    async with life(
        gateway, tmp_path / "j", "x", make=make, high_mark_bytes=high_mark_bytes, grace_seconds=60
    ) as run:
        await gateway.wait_for("turn.started")
        while run.runner.turn:  # noqa: ASYNC110 — no event tells it
            await asyncio.sleep(0.01)
        await gateway.acknowledge()
        assert (await run.end()).exit_code == 0
    gateway.check()
    assert gateway.text() == "x" * 3000 + "".join(f" {number}" for number in range(20))
    assert (len(gateway.of_type("block.delta")) < 5) == merges


async def test_at_the_journals_limit_the_turn_is_interrupted(tmp_path: Path) -> None:
    """An adapter that never waits, and says what cannot be merged: its turn ends with the cause."""
    gateway = LastingGateway(acknowledges=False, credit=1000)
    made: list[FloodsWithEvents] = []

    def make() -> FloodsWithEvents:
        made.append(FloodsWithEvents(FloodsWithEvents.Settings()))
        return made[0]

    async with life(
        gateway, tmp_path / "j", "x", make=make, journal_limit_bytes=2_000_000, grace_seconds=60
    ) as run:
        await gateway.wait_for("session.started")
        while run.runner.turn or not run.runner.working.turn_count:  # noqa: ASYNC110 — no event tells it
            await asyncio.sleep(0.01)
        assert run.runner.journal.backlog_bytes < 60_000_000  # of 200 that it would have said
        await gateway.acknowledge()
        await run.end()
    gateway.check()
    assert made[0].told == "backpressure"
    (turn,) = gateway.of_type("turn.finished")
    assert (turn["outcome"], turn["reason"]) == ("interrupted", "backpressure")


async def test_heartbeats_go_on_under_pressure(tmp_path: Path) -> None:
    """With no credit left and an awaited emit that waits, the link is still heard and obeyed."""
    gateway = LastingGateway(acknowledges=False, credit=1000, heartbeat_seconds=0.2)
    prompt = script({"emit": {"events": 100_000, "size": 1000}})
    async with life(gateway, tmp_path / "j", prompt, high_mark_bytes=64 * 1024) as run:
        await gateway.until(lambda: run.runner.pressure._waiting)
        gateway.frames.clear()
        beats = gateway.until(lambda: len(gateway.frames) >= 3)
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(beats)
            while not waiting.done():
                await gateway.send("heartbeat")
                await asyncio.sleep(0.1)
        await gateway.hand_over("turn.interrupt", reason="enough")
        await gateway.until(lambda: not run.runner.turn)
        await gateway.acknowledge()
        assert (await run.end()).exit_code == 130
    gateway.check()


@pytest.mark.slow
async def test_a_large_result_arrives_like_a_small_one() -> None:
    """20 MB of a tool, in parts, and a delta of one character."""

    class Large(ScriptedAdapter):
        async def turn(self, turn: Turn) -> Ending:
            await turn.emit(events.ToolStarted(call="c", name="cat"))
            await turn.emit(events.ToolFinished(call="c", output="ü" * 10_000_000))
            async with turn.message("m") as message:
                await message.text("x")
            return Ending("completed")

    async with host(Large, prompt="go", grace_seconds=60.0) as session:
        assert (await session.end()).exit_code == 0
        stored = await session.stored()
    (tool,) = [event for event in stored if event["type"] == "tool.finished"]
    (delta,) = [event for event in stored if event["type"] == "block.delta"]
    digest = hashlib.sha256(str(tool["output"]).encode()).hexdigest()
    assert digest == hashlib.sha256(("ü" * 10_000_000).encode()).hexdigest()
    assert delta["text"] == "x"


OUTAGE = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = [".", ".."]
from afterlife import life, LastingGateway
from test_pressure import TenMinutes

def rss():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

async def main():
    gateway = LastingGateway(acknowledges=False, credit=1000)
    make = lambda: TenMinutes(TenMinutes.Settings())
    async with life(gateway, Path(sys.argv[1]), "x", make=make, grace_seconds=0.1) as run:
        await gateway.wait_for("turn.started")
        run.runner.outlet.taps.clear()  # the test's own list of what was told
        before = rss()
        while run.runner.turn:
            await asyncio.sleep(0.01)
        print(rss() - before, run.runner.link.backlog, run.runner.journal.backlog_bytes)

asyncio.run(main())
"""


class TenMinutes(Adapter):
    """Ten minutes at 500 events a second, a message for each minute, in no time.

    A second is over when what was emitted in it has crossed, as it has in a real one.
    """

    name: ClassVar[str] = "ten-minutes"

    async def turn(self, turn: Turn) -> Ending:
        for minute in range(10):
            turn.emit(events.MessageStarted(id=f"m{minute}"))
            turn.emit(events.BlockStarted(message=f"m{minute}", index=0))
            for number in range(30_000):
                turn.emit(events.BlockDelta(message=f"m{minute}", index=0, text=f"{number} "))
                if not number % 500:
                    await self._second(turn)
            turn.emit(events.BlockFinished(message=f"m{minute}", index=0))
            turn.emit(events.MessageFinished(id=f"m{minute}"))
        return Ending("completed")

    async def _second(self, turn: Turn) -> None:
        await asyncio.sleep(0)
        while len(turn._port._crossing.things) > 500:  # type: ignore[attr-defined]  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ten_minutes_without_a_gateway_cost_bounded_memory(tmp_path: Path) -> None:
    """At 500 events a second: the journal's part in memory, and little more."""
    command = [sys.executable, "-c", OUTAGE, str(tmp_path / "j")]
    done = subprocess.run(
        command, cwd=HERE, capture_output=True, text=True, timeout=120, check=True
    )
    growth, backlog, backlog_bytes = map(int, done.stdout.split())
    assert growth < (8 + 5) * 1024 * 1024
    assert backlog < 50_000
    assert backlog_bytes > 1_000_000
