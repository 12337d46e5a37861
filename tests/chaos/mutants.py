"""The classic mistakes, patched into a process for a run; the suite must find each.

They are also found one by one, and every time, by the schedules of
tests/link/test_link_properties.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from runner_shell.gateway.sqlite import SqliteStore
from runner_shell.link.effects import EventsReceived, GatewayEffect, NumberedEvent
from runner_shell.link.gateway import GatewayLink
from runner_shell.link.outbox import Outbox
from runner_shell.protocol import codec

_LATE: set[asyncio.Future[None]] = set()

COMMIT_SECONDS = 1.0
"""How far a commit lags behind its acknowledgement in a gateway that does not wait for it."""


def forget_on_send() -> None:
    """A runner that takes what it has sent for delivered."""
    acknowledge = Outbox.acknowledge

    def forget(self: Any) -> None:
        self.acked += len(self._in_flight)
        self._in_flight.clear()
        self._in_flight_bytes = 0

    def lenient(self: Any, seq: int) -> None:
        if seq > self.acked:
            acknowledge(self, seq)

    Outbox.unsend = forget  # type: ignore[method-assign]
    Outbox.acknowledge = lenient  # type: ignore[method-assign]


def no_dedupe() -> None:
    """A gateway that stores whatever comes."""

    def take(self: Any, raws: Any, envelopes: Any) -> list[GatewayEffect]:
        new = []
        for raw in raws:
            head = codec.decode_envelope(data := bytes(raw))
            new.append(NumberedEvent(head.seq, head.time, head.type, head.turn, data))
        self._received = max(self._received, new[-1].seq)
        return [EventsReceived(tuple(new))]

    GatewayLink._take_events = take  # type: ignore[method-assign]


def acknowledge_before_commit() -> None:
    """A gateway that acknowledges what it has read, and stores it a little later."""
    commit = SqliteStore.append_frames

    async def later(self: Any, appends: Any) -> None:
        await asyncio.sleep(COMMIT_SECONDS)
        await commit(self, appends)

    async def hasty(self: Any, appends: Any) -> Any:
        task = asyncio.ensure_future(later(self, appends))
        _LATE.add(task)
        task.add_done_callback(_LATE.discard)
        return [append.rows[-1].seq for append in appends]

    SqliteStore.append_frames = hasty  # type: ignore[method-assign]


MUTANTS: dict[str, Callable[[], None]] = {
    each.__name__: each for each in (forget_on_send, no_dedupe, acknowledge_before_commit)
}


def apply(name: str) -> None:
    """Patch this process; an empty name leaves it whole."""
    if name:
        MUTANTS[name]()
