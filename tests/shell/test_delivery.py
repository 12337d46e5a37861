"""Kept before it is sent, at once, and an end where it cannot be kept."""

from __future__ import annotations

import json

from fake_gateway import FakeGateway, running, script

from runner_shell.errors import JournalBroken
from runner_shell.journal import MemoryJournal
from runner_shell.protocol.events import Event, UnknownEvent
from runner_shell.transport.memory import MemorySocket
from runner_shell.transport.socket import PromptSocket


class NotingJournal(MemoryJournal):
    """Knows what it was told to keep, and what it keeps.

    Attributes:
        kept: The last event that a flush has written.
        idle: How many flushes had nothing to write.
        breaks: Whether reading an event back fails.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept = self.told = self.idle = 0
        self.breaks = False

    def append(self, seq: int, encoded: bytes, event: Event | UnknownEvent, turn: str) -> None:
        self.told = seq
        super().append(seq, encoded, event, turn)

    def flush(self) -> None:
        self.idle += self.kept == self.told
        self.kept = self.told

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

    async def dial(self) -> PromptSocket:
        socket = await super().dial()
        assert isinstance(socket, MemorySocket)
        send_now = socket.send_now

        def watched(data: bytes) -> None:
            kept = self.journal.kept
            numbers = [event["seq"] for event in json.loads(data).get("events", ())]
            self.early += [seq for seq in numbers if seq > kept]
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


async def test_what_crosses_is_delivered_once() -> None:
    """Nothing is looked for again, at the next turn of the loop, that went with the crossing."""
    journal = NotingJournal()
    work = [action for n in range(20) for action in ({"say": f"<{n}>"}, {"delay": 0.05})]
    async with running(FakeGateway(), script(*work), journal=journal) as run:
        assert (await run.end()).exit_code == 0
    assert journal.idle < 20


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
