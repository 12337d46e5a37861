"""What a runner's link is told in the tests: literal frames, and a link with its journal."""

from __future__ import annotations

import json
from typing import Any

from runner_shell.link.effects import RunnerEffect
from runner_shell.link.runner import LinkSettings, RunnerLink

WELCOME = b'{"frame":"welcome","epoch":1,"acked":0,"credit":1000,"heartbeat_seconds":10.0}'

HEARTBEAT = b'{"frame":"heartbeat"}'


class Runner:
    """A link with its journal, and short words for what the tests do with them."""

    def __init__(
        self, *, next_seq: int = 1, last_command: int = 0, last_epoch: int = 0, **settings: Any
    ) -> None:
        self.journal: dict[int, bytes] = {}
        own = LinkSettings(session="s1", instance="i1", log="l1", **settings)
        self.link = RunnerLink(
            own, self, next_seq=next_seq, last_command=last_command, last_epoch=last_epoch
        )

    def read(self, seq: int) -> bytes:
        return self.journal[seq]

    def store(self, event: bytes, now: float = 0.0, *, lingers: bool = False) -> None:
        """Journal an event whose number the test has written into it."""
        seq = json.loads(event)["seq"]
        self.journal[seq] = event
        self.link.journaled(seq, len(event), lingers=lingers, now=now)

    def emit(self, now: float = 0.0, *, size: int = 0, lingers: bool = False) -> int:
        """Number and journal an event, of `size` bytes if that is said."""
        seq = self.link.number()
        self.store(event(seq, size), now, lingers=lingers)
        return seq

    def open(self, now: float = 0.0, welcome: bytes = WELCOME) -> list[RunnerEffect]:
        """Dial, greet and be welcomed."""
        self.link.connected(now)
        self.link.frames_to_send(now)
        return self.link.receive(welcome, now)

    def sent(self, now: float = 0.0) -> list[dict[str, Any]]:
        """What goes out now, decoded."""
        return [json.loads(frame) for frame in self.link.frames_to_send(now)]

    def sent_seqs(self, now: float = 0.0) -> list[list[int]]:
        """The numbers of the events that go out now, one list for each frame."""
        return [[e["seq"] for e in frame["events"]] for frame in self.sent(now)]


def event(seq: int, size: int = 0) -> bytes:
    bare = b'{"seq":%d,"time":"2026-11-21T10:00:00.000Z","type":"log","message":"%b"}'
    return bare % (seq, b"x" * max(0, size - len(bare % (seq, b""))))


def welcome(**changed: Any) -> bytes:
    return json.dumps({**json.loads(WELCOME), **changed}).encode()


def commands(*members: bytes) -> bytes:
    return b'{"frame":"commands","commands":[' + b",".join(members) + b"]}"


def interrupt(seq: int) -> bytes:
    return b'{"type":"turn.interrupt","id":"c%d","seq":%d,"by":"ada"}' % (seq, seq)


def ack(seq: int) -> bytes:
    return b'{"frame":"ack","seq":%d}' % seq
