"""A session over processes that die: one gateway that stays, one journal, cut where one died."""

from __future__ import annotations

import json
import shutil
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fake_gateway import FakeGateway, Running, running

from runner_shell import Adapter, Capabilities
from runner_shell.journal import DurableJournal, open_journal
from runner_shell.journal.files import found
from runner_shell.journal.segments import Kind, Record, scan
from runner_shell.testing.adapters import ScriptedAdapter
from runner_shell.testing.conformance import check_order


class CannotResume(ScriptedAdapter):
    """Plays scripts, and nothing of what a process before it began."""

    capabilities = Capabilities(defer=True, commands=frozenset({"adapter.call"}))


class LastingGateway(FakeGateway):
    """Keeps its events over runners, and gives commands again until they are acknowledged.

    Attributes:
        store: Everything that came, over all runners.
        commands: What was given, in order.
        epoch: How many runners there were.
        committed_epoch: Which of them brought the last event.
    """

    def __init__(
        self,
        store: Iterable[dict[str, Any]] = (),
        *,
        epoch: int = 0,
        committed_epoch: int | None = None,
        **welcome: Any,
    ) -> None:
        super().__init__(**welcome)
        self.store = list(store)
        self.commands: list[dict[str, Any]] = []
        self.epoch = epoch
        latest = epoch if self.store else 0
        self.committed_epoch = latest if committed_epoch is None else committed_epoch
        self.acknowledged_command = 0
        self._pieces: list[bytes] = []

    def give(self, type: str, **fields: Any) -> str:
        """Number a command; it is sent when a runner is there."""
        seq = len(self.commands) + 1
        command = {"type": type, "id": f"c{seq}", "seq": seq, "by": "ann", **fields}
        self.commands.append(command)
        return str(command["id"])

    async def hand_over(self, type: str, **fields: Any) -> str:
        """Give a command to the runner that is there."""
        id = self.give(type, **fields)
        await self.send("commands", commands=self.commands[-1:])
        return id

    async def _take(self, frame: dict[str, Any]) -> None:
        if frame["frame"] == "hello":
            self.epoch += frame["epoch"] is None
            acked = self.store[-1]["seq"] if self.store else 0
            last = max(frame["last_command"], self.acknowledged_command)
            self.received = acked
            self._welcome |= {"epoch": self.epoch, "acked": acked, "last_command": last}
            self._welcome["committed_epoch"] = self.committed_epoch
        before = len(self.events)
        if frame["frame"] == "part":
            self._join(frame)
        await super()._take(frame)
        self.store += self.events[before:]
        if self.events[before:]:
            self.committed_epoch = self.epoch
        if frame["frame"] == "ack":
            self.acknowledged_command = frame["seq"]
        if frame["frame"] == "hello" and (new := self.commands[self._welcome["last_command"] :]):
            await self.send("commands", commands=new)

    def _join(self, part: dict[str, Any]) -> None:
        self._pieces.append(b64decode(part["data"]))
        if part["index"] == part["total"] - 1:
            self.events.append(json.loads(b"".join(self._pieces)))
            self._pieces.clear()

    def of_type(self, *types: str) -> list[dict[str, Any]]:
        """The stored events of these types."""
        return [event for event in self.store if event["type"] in types]

    def text(self) -> str:
        """All text that was streamed."""
        return "".join(event["text"] for event in self.of_type("block.delta"))

    def check(self) -> None:
        """Numbers have no holes, every start one ending, every command one reply."""
        assert [event["seq"] for event in self.store] == list(range(1, len(self.store) + 1))
        findings = check_order(self.store)
        assert not findings, "\n".join(map(str, findings))
        ends = {"turn.started": "turn.finished", "session.started": "session.finished"}
        for start, end in ends.items():
            assert len(self.of_type(start)) == len(self.of_type(end)), (start, self.store)
        replies = [event["command"] for event in self.of_type("command.done", "command.failed")]
        assert sorted(replies) == sorted(command["id"] for command in self.commands)


@asynccontextmanager
async def life(
    gateway: FakeGateway,
    directory: Path,
    prompt: str = "",
    *,
    make: Callable[[], Adapter] = lambda: ScriptedAdapter(ScriptedAdapter.Settings()),
    **settings: Any,
) -> AsyncIterator[Running]:
    """One process of the session, with the journal of `directory`; the block's end stops it."""
    directory.mkdir(exist_ok=True)  # noqa: ASYNC240 — a test's own, and in no hurry
    journal: DurableJournal = open_journal(directory, segment_bytes=1 << 30)
    try:
        async with running(gateway, prompt, make=make, journal=journal, **settings) as run:
            yield run
    finally:
        journal.close()


def records(directory: Path) -> tuple[Path, list[Record]]:
    """The records of the last process's segment."""
    last = found(directory)[-1]
    return last, scan(last.read_bytes()).records


def deaths(
    directory: Path, into: Path, before: Iterable[dict[str, Any]] = ()
) -> Iterable[tuple[Path, list[dict[str, Any]]]]:
    """The directory as every possible death leaves it: cut behind each record, or within.

    Args:
        directory: The journal of a process that has ended.
        into: Where the copies are made.
        before: The events of the processes before that one.

    The last record, that everything is acknowledged, is left out: it is no death.

    Yields:
        The directory, and the events that a gateway may have of it at most.
    """
    last, found_records = records(directory)
    whole = last.read_bytes()
    events = list(before)
    for number, record in enumerate(found_records):
        if record.kind == Kind.SETTLED:
            return
        if record.kind == Kind.EVENT:
            events.append(json.loads(record.body))
        end = record.start + len(record.body)
        for torn in (0, 9):
            copy = into / f"{number}-{torn}"
            shutil.copytree(directory, copy)
            (copy / last.name).write_bytes(whole[: end + torn])
            yield copy, list(events)
