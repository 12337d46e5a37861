"""Commands: each gets exactly one reply, true and in order."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from fake_gateway import FakeGateway, running, script

from runner_shell import AgentFailed, Capabilities
from runner_shell.adapter.session import Session
from runner_shell.protocol.commands import Command, ReservedCommand
from runner_shell.testing.adapters import EchoAdapter, ScriptedAdapter
from runner_shell.testing.hosting import host, person


class Handles(EchoAdapter):
    """Carries two commands out; `result` is called for what comes of them."""

    capabilities = Capabilities(commands=frozenset({"adapter.call", "state.fork", "repo.remove"}))

    async def handle(self, command: Command | ReservedCommand) -> Any:
        return self.result()

    def result(self) -> Any:
        return {"n": 1}


async def reply_to(adapter: Any, type: str, **fields: Any) -> dict[str, Any]:
    """The one reply to a command."""
    async with host(adapter, interactive=True) as session:
        await session.wait_for("session.started")
        command = await session.send(type, **fields)
        # Commands are answered in order, but for what takes its time: only one is on its way.
        await session.until(lambda: session.of_type("command.done", "command.failed"))
    (reply,) = session.of_type("command.done", "command.failed")
    assert reply["command"] == command
    return reply


async def test_a_command_that_the_adapter_carries_out_gives_its_result() -> None:
    """Known and reserved types alike."""
    assert (await reply_to(Handles, "adapter.call", method="m"))["result"] == {"n": 1}
    assert (await reply_to(Handles, "repo.remove"))["result"] == {"n": 1}


async def test_the_adapter_names_the_code_of_a_refusal() -> None:
    """What `handle` raises as `AgentFailed` is the reply, with its code and its words."""

    class Busy(Handles):
        def result(self) -> Any:
            raise AgentFailed("a turn is running", code="busy")

    reply = await reply_to(Busy, "state.fork", checkpoint="c")
    assert (reply["code"], reply["message"]) == ("busy", "a turn is running")


@pytest.mark.parametrize("type", ["settings.update", "repo.add", "no.such.thing"])
async def test_what_the_adapter_does_not_claim_is_not_supported(type: str) -> None:
    """Never ignored."""
    reply = await reply_to(Handles, type, settings={})
    assert (reply["type"], reply["code"]) == ("command.failed", "not_supported")


async def test_what_the_adapter_refuses_is_not_supported() -> None:
    """It claims the type but not this method."""
    reply = await reply_to(ScriptedAdapter, "adapter.call", method="no-such")
    assert reply["code"] == "not_supported"


async def test_a_handler_that_raises_fails_the_command() -> None:
    """And nothing else."""

    class Raises(Handles):
        def result(self) -> Any:
            raise KeyError("key")

    reply = await reply_to(Raises, "adapter.call", method="m")
    assert (reply["code"], reply["message"]) == ("failed", "KeyError: 'key'")


async def test_a_result_that_is_not_json_fails_the_command() -> None:
    """There is always a reply."""

    class Odd(Handles):
        def result(self) -> Any:
            return {"object": object()}

    reply = await reply_to(Odd, "adapter.call", method="m")
    assert reply["code"] == "failed"
    assert "object" in reply["message"]


async def test_an_interrupt_without_a_turn_is_not_running() -> None:
    """It is told, and does not hit the next turn."""
    async with host(EchoAdapter, interactive=True) as session:
        await session.send("turn.interrupt")
        assert (await session.wait_for("command.failed"))["code"] == "not_running"
        await session.send("turn.start", content="hello")
        await session.wait_for("turn.finished", outcome="completed")


async def test_an_invalid_command_is_answered() -> None:
    """Wrong fields are its client's fault; the session goes on."""
    gateway = FakeGateway()
    async with running(gateway, interactive=True):
        await gateway.wait_for("session.started")
        wrong = {"type": "turn.interrupt", "id": "c1", "seq": 1, "reason": 7}
        await gateway.send("commands", commands=[wrong])
        failed = await gateway.wait_for("command.failed")
        assert (failed["command"], failed["code"]) == ("c1", "invalid")
        right = {"type": "turn.start", "id": "c2", "seq": 2, "content": "hello"}
        await gateway.send("commands", commands=[right])
        await gateway.wait_for("turn.finished", outcome="completed")


async def test_a_command_that_comes_twice_is_carried_out_once() -> None:
    """The second is acknowledged again, for the gateway did not hear the first time."""
    gateway = FakeGateway()
    async with running(gateway, interactive=True) as run:
        await gateway.wait_for("session.started")
        command = {"type": "turn.start", "id": "c1", "seq": 1, "content": "hello"}
        await gateway.send("commands", commands=[command])
        await gateway.wait_for("turn.finished")
        await gateway.send("commands", commands=[command])
        await gateway.until(
            lambda: sum(frame == {"frame": "ack", "seq": 1} for frame in gateway.frames) == 2
        )
    assert sum(event["type"] == "turn.started" for event in run.told) == 1


async def test_a_command_after_the_last_word_is_left_to_the_next_process() -> None:
    """It is not acknowledged, and so not lost."""
    gateway = FakeGateway(acknowledges=False)
    async with running(gateway, "hello", grace_seconds=5.0) as run:
        await gateway.wait_for("session.finished")
        command = {"type": "turn.start", "id": "c1", "seq": 1, "content": "more"}
        await gateway.send("commands", commands=[command])
        await gateway.acknowledge()
        assert (await run.end()).exit_code == 0
    assert run.told[-1]["type"] == "session.finished"
    assert not [frame for frame in gateway.frames if frame["frame"] == "ack"]


async def test_a_command_that_is_being_carried_out_at_the_end_is_answered() -> None:
    """As `interrupted`, and its handler is cancelled."""
    cancelled, begun = threading.Event(), threading.Event()

    class Slow(Handles):
        async def handle(self, command: Command | ReservedCommand) -> Any:
            begun.set()
            try:
                await asyncio.sleep(600)
            finally:
                cancelled.set()

    async with host(Slow, interactive=True) as session:
        await session.wait_for("session.started")
        command = await session.send("adapter.call", method="m")
        await asyncio.to_thread(begun.wait)
        await session.send("session.stop")
        await session.end()
    (failed,) = session.of_type("command.failed")
    assert (failed["command"], failed["code"]) == (command, "interrupted")
    assert cancelled.is_set()
    assert session.types()[-1] == "session.finished"


# --- secrets -------------------------------------------------------------------------------------

SECRET = "hunter2hunter2"


async def test_a_command_that_the_end_overtakes_is_answered() -> None:
    """Also one whose carrying out has not begun when `session.end` behind it is obeyed."""
    opened = threading.Event()

    class Slow(Handles):
        async def open(self, session: Session) -> None:
            await asyncio.to_thread(opened.wait)
            await super().open(session)

    async with host(Slow, interactive=True) as session:
        call = await session.send("adapter.call", method="m")
        end = await session.send("session.end")
        while (await session.core.session(person(), session.id)).acknowledged_command < 2:  # noqa: ASYNC110 — no event tells
            await asyncio.sleep(0.005)
        opened.set()
        await session.end()
    replies = session.of_type("command.done", "command.failed")
    assert sorted(reply["command"] for reply in replies) == sorted([call, end])


async def test_an_added_secret_does_not_cross_from_then_on() -> None:
    """Also in the middle of a turn, and the command itself is never stored."""
    prompt = script({"say": "before"}, {"ask": {"key": "k"}}, {"say": f"my {SECRET}"})
    async with host(ScriptedAdapter, prompt=prompt, interactive=True) as session:
        opened = await session.wait_for("request.opened")
        await session.send("secret.add", name="PASSWORD", value=SECRET)
        await session.send("request.answer", request=opened["id"], answer=f"it is {SECRET}")
        await session.wait_for("turn.finished")
        stored = await session.stored()
    after = [event for event in stored if event["seq"] > opened["seq"]]
    assert SECRET not in str(after)
    assert session.text() == 'beforeanswered: "it is [REDACTED:PASSWORD]"my [REDACTED:PASSWORD]'
    assert session.of_type("request.closed")[0]["answer"] == "it is [REDACTED:PASSWORD]"


async def test_a_secret_crosses_nowhere() -> None:
    """Not split over deltas, in tools, keys, errors, questions, state, logs, results or reasons."""
    half = len(SECRET) // 2
    delta = {"type": "block.delta", "message": SECRET, "index": 0}
    actions = [
        {"event": {"type": "message.started", "id": SECRET, "scope": [SECRET]}},
        *({"event": delta | {"text": letter}} for letter in f"a {SECRET} b"),
        {"event": {"type": "block.finished", "message": SECRET, "index": 0}},
        {"event": {"type": "message.finished", "id": SECRET}},
        {"event": {"type": "tool.started", "call": SECRET, "name": "sh", "input": {SECRET: 1}}},
        {"event": {"type": "tool.output", "call": SECRET, "text": SECRET[:half]}},
        {"event": {"type": "tool.output", "call": SECRET, "text": SECRET[half:]}},
        {"event": {"type": "tool.finished", "call": SECRET, "output": [{"k": SECRET}]}},
        {"event": {"type": "custom", "name": "n", "data": {SECRET: {f"x{SECRET}": SECRET}}}},
        {"event": {"type": "log", "message": SECRET, "fields": {SECRET: SECRET}}},
        {"save": {SECRET: SECRET}},
        {"ask": {"key": SECRET, "title": SECRET, "body": SECRET, "options": [SECRET, "b"],
                 "default": SECRET, "timeout_seconds": 0.02}},
        {"fail": {"message": f"no {SECRET}", "code": SECRET}},
    ]  # fmt: skip
    async with host(
        ScriptedAdapter, prompt=script(*actions), secrets={"KEY": SECRET}, interactive=True
    ) as session:
        await session.wait_for("turn.finished")
        await session.send("adapter.call", method="echo", params={SECRET: SECRET})
        await session.wait_for("command.done")
        await session.send("session.end")
        verdict = await session.end()
        stored = await session.stored()
    assert SECRET not in str(stored)
    assert SECRET not in verdict.reason
    assert session.text().startswith("a [REDACTED:KEY] b")
    assert session.of_type("block.finished")[0]["content"] == "a [REDACTED:KEY] b"
    assert [event["text"] for event in session.of_type("tool.output")] == ["[REDACTED:KEY]"]
    assert session.of_type("error")[0]["message"] == "no [REDACTED:KEY]"


async def test_a_secret_that_is_a_word_of_the_protocol_breaks_nothing() -> None:
    """Names of fields and words of the vocabulary are no secrets."""
    secrets = {"A": "message", "B": "completed", "C": "content", "D": "reason"}
    prompt = script({"say": "a message"}, {"end": {"outcome": "completed", "reason": "reason"}})
    async with host(ScriptedAdapter, prompt=prompt, secrets=secrets) as session:
        assert (await session.end()).exit_code == 0
    (finished,) = session.of_type("turn.finished")
    assert (finished["outcome"], finished["reason"]) == ("completed", "[REDACTED:D]")
    assert session.text() == "a [REDACTED:A]"
