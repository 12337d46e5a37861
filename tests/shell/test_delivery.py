"""Kept before it is sent, at once, and an end where it cannot be kept."""

from __future__ import annotations

import asyncio
import json

import pytest
from fake_gateway import FakeGateway, running, script

from runner_shell import Adapter, Ending, Turn, events
from runner_shell.errors import JournalBroken
from runner_shell.journal import MemoryJournal
from runner_shell.protocol.events import Event, UnknownEvent
from runner_shell.shell.outbound.delivery import Delivery
from runner_shell.shell.outcome import Verdict
from runner_shell.shell.thread.crossing import LINGER_SECONDS
from runner_shell.transport.memory import MemorySocket
from runner_shell.transport.socket import PromptSocket

DROPS = 20


class NotingJournal(MemoryJournal):
    """Knows what it was told to keep, and what it keeps.

    Attributes:
        kept: The last event that a flush has written.
        kept_command: The last command, likewise.
        breaks: Whether reading an event back fails.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept = self.told = 0
        self.kept_command = self.told_command = 0
        self.breaks = False

    def append(self, seq: int, encoded: bytes, event: Event | UnknownEvent, turn: str) -> None:
        self.told = seq
        super().append(seq, encoded, event, turn)

    def accept(self, seq: int, command: bytes) -> None:
        self.told_command = seq
        super().accept(seq, command)

    def flush(self) -> None:
        self.kept, self.kept_command = self.told, self.told_command

    def read(self, seq: int) -> bytes:
        if self.breaks:
            raise JournalBroken("the journal's disk is at fault")
        return super().read(seq)


class WatchedGateway(FakeGateway):
    """Looks at each frame when it is sent, not when it is read."""

    def __init__(self, journal: NotingJournal) -> None:
        super().__init__()
        self.journal = journal
        self.early: list[int] = []
        self.early_commands: list[int] = []

    @property
    def command_acks(self) -> list[int]:
        return [one["seq"] for one in self.frames if one["frame"] == "ack"]

    async def dial(self) -> PromptSocket:
        socket = await super().dial()
        assert isinstance(socket, MemorySocket)
        send_now = socket.send_now

        def watched(data: bytes) -> None:
            kept, frame = self.journal.kept, json.loads(data)
            numbers = [event["seq"] for event in frame.get("events", ())]
            self.early += [seq for seq in numbers if seq > kept]
            if frame["frame"] == "ack" and frame["seq"] > self.journal.kept_command:
                self.early_commands.append(frame["seq"])
            send_now(data)

        socket.send_now = watched  # type: ignore[method-assign]
        return socket


async def test_nothing_is_on_its_way_before_it_is_kept() -> None:
    """Whatever is said, by the adapter or the shell, alone or much at a time."""
    journal = NotingJournal()
    gateway = WatchedGateway(journal)
    actions = script({"say": "a few words"}, {"emit": {"events": 3000}}, {"save": {"key": 1}})
    async with running(gateway, actions, journal=journal) as run:
        assert (await run.end()).exit_code == 0
    assert gateway.received > 10
    assert gateway.early == []


async def test_no_command_is_acknowledged_before_it_is_kept() -> None:
    """ "Accepted once (journaled, then acknowledged)": written, and not only on its way there."""
    journal = NotingJournal()
    gateway = WatchedGateway(journal)
    async with running(gateway, interactive=True, journal=journal) as run:
        await gateway.wait_for("session.started")
        for seq in (1, 2, 3):
            command = {"type": "state.get", "id": f"c{seq}", "seq": seq, "by": "ann"}
            await gateway.send("commands", commands=[command])
            await gateway.until(lambda: gateway.command_acks[-1:] == [seq])  # noqa: B023 — awaited
        assert journal.kept_command == 3
        run.runner.stop(Verdict.of("stopped", "enough"))
        await run.end()
    assert gateway.early_commands == []


class Dripping(Adapter):
    """Emits one delta after another, with time between them to be on its way alone."""

    name = "dripping"

    async def turn(self, turn: Turn) -> Ending:
        turn.emit(events.MessageStarted(id="m"))
        turn.emit(events.BlockStarted(message="m", index=0))
        for _ in range(DROPS):
            await turn.emit(events.BlockDelta(message="m", index=0, text="word "))
            await asyncio.sleep(2 * LINGER_SECONDS)
        turn.emit(events.BlockFinished(message="m", index=0))
        turn.emit(events.MessageFinished(id="m"))
        return Ending("completed")


async def test_what_crosses_is_delivered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the next turn of the loop nothing is looked for that went with the crossing."""
    delivered: list[int] = []
    deliver = Delivery.deliver

    def noting(delivery: Delivery) -> None:
        delivered.append(journal.told)
        deliver(delivery)

    monkeypatch.setattr(Delivery, "deliver", noting)
    journal = NotingJournal()
    gateway = FakeGateway()
    async with running(gateway, "go", make=lambda: Dripping(()), journal=journal) as run:
        assert (await run.end()).exit_code == 0
    assert len(delivered) - len(set(delivered)) < DROPS


async def test_a_journal_that_cannot_be_read_ends_the_session() -> None:
    """It is a fault to try again after, wherever it is found: not a frame that never comes."""
    journal = NotingJournal()
    gateway = FakeGateway()
    async with running(gateway, interactive=True, journal=journal) as run:
        await gateway.wait_for("session.started")
        journal.breaks = True
        await gateway.send(
            "commands",
            commands=[{"type": "turn.start", "id": "c1", "seq": 1, "by": "ann", "content": "x"}],
        )
        verdict = await run.end()
    assert verdict.exit_code == 75
    assert "at fault" in verdict.reason
