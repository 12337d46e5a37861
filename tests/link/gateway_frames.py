"""What a gateway's link is told in the tests: literal frames, and a link that is open."""

from __future__ import annotations

import base64
import json
from typing import Any

from runner_shell.link.effects import EventsReceived, NumberedEvent
from runner_shell.link.gateway import GatewayLimits, GatewayLink

HELLO = (
    b'{"frame":"hello","session":"s1","epoch":null,"instance":"i1","log":"l1","next":1,'
    b'"last_command":0}'
)
HEARTBEAT = b'{"frame":"heartbeat","progress":7}'
WELCOME = (
    b'{"frame":"welcome","epoch":1,"acked":0,"parts":0,"credit":1048576,'
    b'"max_frame_bytes":262144,"heartbeat_seconds":10.0,"state":{},"open_requests":[]}'
)


def numbered(data: bytes) -> NumberedEvent:
    """An event as the link hands it on: its envelope is read already."""
    head = json.loads(data)
    return NumberedEvent(head["seq"], head["time"], head["type"], head.get("turn", ""), data)


def event(seq: int, message: bytes = b"") -> bytes:
    return b'{"seq":%d,"time":"2026-11-21T10:00:00.000Z","type":"log","message":"%b"}' % (
        seq,
        message,
    )


def events(*seqs: int) -> bytes:
    return b'{"frame":"events","events":[' + b",".join(map(event, seqs)) + b"]}"


def received(*seqs: int) -> EventsReceived:
    return EventsReceived(tuple(numbered(event(seq)) for seq in seqs))


def part(seq: int, index: int, total: int, piece: bytes) -> bytes:
    data = base64.b64encode(piece)
    return b'{"frame":"part","seq":%d,"index":%d,"total":%d,"data":"%b"}' % (
        seq,
        index,
        total,
        data,
    )


def opened(
    now: float = 0.0, *, acked: int = 0, last_command: int = 0, **limits: Any
) -> GatewayLink:
    """A link that has welcomed its runner and said so."""
    limits = {"heartbeat_seconds": 10.0} | limits
    link = GatewayLink(now=now, limits=GatewayLimits(**limits))
    link.receive(HELLO, now)
    link.welcome(epoch=1, acked=acked, last_command=last_command, now=now)
    link.frames_to_send(now)
    return link


def interrupt(seq: int, size: int = 0) -> bytes:
    return b'{"type":"turn.interrupt","id":"c%d","seq":%d,"reason":"%b"}' % (seq, seq, b"x" * size)


def commands(*members: bytes) -> bytes:
    return b'{"frame":"commands","commands":[' + b",".join(members) + b"]}"
