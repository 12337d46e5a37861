"""A message during a turn: folded into it where the adapter can, and never run twice."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from afterlife import LastingGateway, deaths, life
from fake_gateway import script

from runner_shell import Capabilities, Ending, Turn, UserMessage
from runner_shell.testing.adapters import ScriptedAdapter
from runner_shell.testing.hosting import host


class Hears(ScriptedAdapter):
    """A turn that lasts until it has heard "enough"; "no" is refused."""

    capabilities = Capabilities(resume=True, inject=True)

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.heard: asyncio.Queue[str] = asyncio.Queue()

    async def turn(self, turn: Turn) -> Ending:
        if not isinstance(turn.input, UserMessage) or turn.input.text() != "listen":
            return await super().turn(turn)
        while (text := await self.heard.get()) != "enough":
            async with turn.message(f"m-{text}") as message:
                await message.text(f"heard {text}")
        return Ending("completed")

    async def inject(self, message: UserMessage) -> bool:
        if message.text() in ("no", script({"say": "queued"})):
            return False
        self.heard.put_nowait(message.text())
        return True


class Quick(ScriptedAdapter):
    """As `Hears`, in a process that has nothing to listen to: what it did not hear, it says."""

    capabilities = Hears.capabilities


def hears() -> Hears:
    return Hears(Hears.Settings())


def quick() -> Quick:
    return Quick(Quick.Settings())


async def test_a_message_is_folded_into_the_running_turn() -> None:
    """The reply names the turn, the transcript has the message, and no turn of its own follows."""
    async with host(hears, prompt="listen", interactive=True) as session:
        started = await session.wait_for("turn.started")
        id = await session.send("turn.start", content="one")
        reply = await session.wait_for("command.done", command=id)
        assert reply["result"] == {"folded_into": started["turn"]}
        said = await session.wait_for("message.started", role="user")
        assert (said["id"], said["turn"]) == (id, started["turn"])
        block = await session.wait_for("block.finished", message=id)
        assert block["content"] == "one"
        await session.send("turn.start", content="enough")
        await session.wait_for("turn.finished", outcome="completed")
        await session.send("session.end")
        await session.end()
    assert "heard one" in session.text()
    assert len(session.of_type("turn.started")) == 1


async def test_a_refused_message_is_queued_and_nothing_overtakes_it() -> None:
    """What comes behind a queued message is queued too: people are heard in their order."""
    async with host(hears, prompt="listen", interactive=True) as session:
        await session.wait_for("turn.started")
        first = await session.send("turn.start", content=script({"say": "queued"}))
        assert (await session.wait_for("command.done", command=first)).get("result") is None
        second = await session.send("turn.start", content="enough")
        assert (await session.wait_for("command.done", command=second)).get("result") is None
        await session.send("turn.interrupt")
        await session.wait_for("turn.finished", 3)
    begun = [turn.get("command") for turn in session.of_type("turn.started")]
    assert begun[1:] == [first, second]


async def test_an_adapter_without_the_capability_is_not_asked() -> None:
    """Its messages are queued as ever."""

    class Deaf(Hears):
        capabilities = Capabilities()

        async def inject(self, message: UserMessage) -> bool:
            raise AssertionError("asked")

    async with host(lambda: Deaf(Deaf.Settings()), prompt="listen", interactive=True) as session:
        await session.wait_for("turn.started")
        id = await session.send("turn.start", content=script({"say": "later"}))
        assert (await session.wait_for("command.done", command=id)).get("result") is None
        await session.send("turn.interrupt")
        await session.wait_for("turn.finished", outcome="completed")
    assert session.text() == "later"


async def test_an_interrupted_turn_takes_no_message() -> None:
    """Who interrupts and then speaks begins a new turn."""

    class Slow(Hears):
        async def interrupt(self, reason: str) -> bool:
            self.told.set()
            await self.go.wait()
            return False

        async def inject(self, message: UserMessage) -> bool:
            raise AssertionError("asked")

        told = asyncio.Event()
        go = asyncio.Event()

    async with host(
        lambda: Slow(Slow.Settings()), prompt="listen", interactive=True, grace_seconds=30.0
    ) as session:
        await session.wait_for("turn.started")
        await session.send("turn.interrupt")
        id = await session.send("turn.start", content=script({"say": "anew"}))
        assert (await session.wait_for("command.done", command=id)).get("result") is None
        assert session.runner.host._loop is not None
        session.runner.host._loop.call_soon_threadsafe(Slow.go.set)
        await session.wait_for("turn.finished", outcome="completed")
    assert "anew" in session.text()


async def test_an_adapter_that_raises_fails_the_message() -> None:
    """The sender is told; the turn goes on."""

    class Raises(Hears):
        async def inject(self, message: UserMessage) -> bool:
            if message.text() == "enough":
                return await super().inject(message)
            raise ValueError("odd")

    async with host(
        lambda: Raises(Raises.Settings()), prompt="listen", interactive=True
    ) as session:
        await session.wait_for("turn.started")
        id = await session.send("turn.start", content="one")
        failed = await session.wait_for("command.failed", command=id)
        assert (failed["code"], failed["message"]) == ("failed", "ValueError: odd")
        await session.send("turn.start", content="enough")
        await session.wait_for("turn.finished", outcome="completed")


async def test_an_adapter_that_never_answers_has_the_message_queued() -> None:
    """It is cancelled after a share of the grace, with a warning; the message is the next turn."""

    class Hangs(Hears):
        async def inject(self, message: UserMessage) -> bool:
            await asyncio.sleep(1000)
            raise AssertionError("it was not cancelled")

    async with host(
        lambda: Hangs(Hangs.Settings()), prompt="listen", interactive=True, grace_seconds=2.0
    ) as session:
        await session.wait_for("turn.started")
        id = await session.send("turn.start", content=script({"say": "later"}))
        assert (await session.wait_for("command.done", command=id)).get("result") is None
        await session.wait_for("warning", code="inject_slow")
        await session.send("turn.interrupt")
        await session.wait_for("turn.finished", outcome="completed")
    assert session.text() == "later"
    assert [turn.get("command") for turn in session.of_type("turn.started")][1:] == [id]


async def test_a_message_that_was_taken_before_the_cancellation_is_folded_in() -> None:
    """An adapter that is slow but has handed it over says so, and it is not run again."""

    class Slow(Hears):
        async def inject(self, message: UserMessage) -> bool:
            taken = await super().inject(message)
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                return taken
            raise AssertionError("it was not cancelled")

    async with host(
        lambda: Slow(Slow.Settings()), prompt="listen", interactive=True, grace_seconds=4.0
    ) as session:
        started = await session.wait_for("turn.started")
        id = await session.send("turn.start", content="enough")
        reply = await session.wait_for("command.done", command=id)
        assert reply["result"] == {"folded_into": started["turn"]}
        await session.wait_for("turn.finished", outcome="completed")
    assert len(session.of_type("turn.started")) == 1


async def test_an_adapter_that_cannot_be_cancelled_fails_the_message_and_is_asked_no_more() -> None:
    """Nobody knows whether it took it, so its sender is told; what comes behind is queued."""

    class Stubborn(Hears):
        async def inject(self, message: UserMessage) -> bool:
            self.offered += 1
            while not self.go.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await self.go.wait()
            return True

        offered = 0
        go = asyncio.Event()

    adapter = Stubborn(Stubborn.Settings())
    async with host(
        lambda: adapter, prompt="listen", interactive=True, grace_seconds=2.0
    ) as session:
        await session.wait_for("turn.started")
        first = await session.send("turn.start", content="one")
        failed = await session.wait_for("command.failed", command=first)
        assert failed["code"] == "adapter_stuck"
        second = await session.send("turn.start", content=script({"say": "later"}))
        assert (await session.wait_for("command.done", command=second)).get("result") is None
        assert session.runner.host._loop is not None
        session.runner.host._loop.call_soon_threadsafe(Stubborn.go.set)
        await session.send("turn.interrupt")
        await session.wait_for("turn.finished", outcome="completed")
    assert adapter.offered == 1
    assert [turn.get("command") for turn in session.of_type("turn.started")][1:] == [second]


async def test_a_message_runs_at_most_once_wherever_the_process_dies(tmp_path: Path) -> None:
    """Folded in, it gets no turn; offered, and nobody knows: its sender is told. Else it runs."""
    (tmp_path / "whole").mkdir()
    whole = LastingGateway()
    async with life(whole, tmp_path / "whole", "listen", make=hears, interactive=True) as run:
        await whole.wait_for("turn.started")
        id = await whole.hand_over("turn.start", content="one")
        await whole.wait_for("command.done", command=id)
        await whole.hand_over("turn.start", content="enough")
        await whole.wait_for("turn.finished")
        await whole.hand_over("session.end")
        await run.end()
    seen = set()
    for directory, sendable in deaths(tmp_path / "whole", tmp_path):
        gateway = LastingGateway(sendable, epoch=1)
        gateway.commands = list(whole.commands)
        async with life(gateway, directory, make=quick, interactive=True, resume="fail") as run:
            await run.end()
        gateway.check()
        begun = [turn.get("command") for turn in gateway.of_type("turn.started")]
        replies = {
            reply["command"]: reply.get("code") or bool(reply.get("result"))
            for reply in gateway.of_type("command.done", "command.failed")
        }
        assert begun.count(id) == (replies[id] is False), (begun, replies)
        seen.add(replies[id])
    assert seen == {True, False, "interrupted"}
