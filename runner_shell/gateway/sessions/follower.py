"""Follows a session's events: the stored ones first, then live, without a gap or a repeat."""

from __future__ import annotations

from collections.abc import Callable, Collection
from types import TracebackType
from typing import Self

from ...protocol import codec
from ..errors import DrainingError
from ..store import EventRow, Store
from .live import LiveSession
from .subscription import Subscription

PAGE_EVENTS = 1000

_GOING = "the gateway is going; come again"


class Follower:
    """Every event after a number; use it with `async with`, then ask for `batch` after `batch`.

    It listens first and reads the store then, until the store holds no more; what was committed
    meanwhile is in its queue, and is recognised by its number. Where the queue ran over before the
    store was read to its end, it begins a new one and reads on: a long history is no slowness.

    Args:
        live: The session's listeners.
        store: Where its history is.
        since: The number after which to begin.
        types: Of which types; None for all.
        patient: Whether a listener who is too slow for live events gets them from the store again.
        subscription: Makes its queues.
    """

    def __init__(
        self,
        live: LiveSession,
        store: Store,
        *,
        since: int = 0,
        types: Collection[str] | None = None,
        patient: bool = False,
        subscription: Callable[[], Subscription] = Subscription,
    ) -> None:
        self._live = live
        self._store = store
        self._since = since
        self._types = None if types is None else frozenset(types)
        self._patient = patient
        self._make = subscription
        self._queue = subscription()
        self._caught_up = False

    async def __aenter__(self) -> Self:
        self._live.listen(self._queue)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.unlisten(self._queue)

    async def batch(self) -> list[EventRow]:
        """The next events in order, at least one; wait for them where there are none yet.

        Cancelling the wait loses nothing.

        Raises:
            TooSlowError: The queue of live events ran over, and it is not patient. What was held
                has been handed out before.
            SessionDeletedError: There will be no more.
            DrainingError: The gateway is going.
        """
        while True:
            rows = await (self._from_queue() if self._caught_up else self._from_store())
            if self._types is not None:
                rows = [row for row in rows if row.type in self._types]
            if rows:
                return rows

    async def _from_store(self) -> list[EventRow]:
        if self._live.is_draining:
            raise DrainingError(_GOING)
        if self._queue.is_cut:
            self._listen_anew()
        page = await self._store.read_events(
            self._live.key, since=self._since, limit=PAGE_EVENTS, types=self._types
        )
        # A queue that was cut meanwhile lacks what came after this page.
        self._caught_up = page.next is None and not self._queue.is_cut
        self._since = max(self._since, page.last if page.next is None else page.next)
        return [_row(data) for data in page.events]

    async def _from_queue(self) -> list[EventRow]:
        if self._patient and self._queue.is_cut:
            self._caught_up = False
            return []
        try:
            rows = await self._queue.batch()
        except StopAsyncIteration:
            raise DrainingError(_GOING) from None
        fresh = [row for row in rows if row.seq > self._since]
        if fresh and fresh[0].seq != self._since + 1:
            # Another gateway commits to the same store.
            self._listen_anew()
            self._caught_up = False
            return []
        if fresh:
            self._since = fresh[-1].seq
        return fresh

    def _listen_anew(self) -> None:
        self._live.unlisten(self._queue)
        self._queue = self._make()
        self._live.listen(self._queue)


def _row(data: bytes) -> EventRow:
    envelope = codec.decode_envelope(data)
    return EventRow(envelope.seq, envelope.time, envelope.type, envelope.turn, data)
