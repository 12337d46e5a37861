"""A session's events as they come, through lost connections and restarts of the gateway.

Numbers decide: what comes again is passed over, and where one is missing the stream is opened anew
behind the last one that was handed out. So nothing is lost or repeated, whatever the network does.

Source: docs/reference/protocol.md, "Gateway".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing

import msgspec

from ..errors import RemoteProtocolError, RequestRefused, TransportBroken
from ..transport.backoff import Backoff
from .http import Http, refused
from .model import Problem, ReceivedEvent
from .sse import EventStream, Message

RENEWAL_SECONDS = 10.0
"""How long a token that was good may be refused: it, or the gateway's idea of it, is replaced."""

_log = logging.getLogger("runner_shell.client")

_BREAKS = frozenset({"draining", "cut"})
"""Messages that end a stream: the gateway goes, or this reader was too slow."""


class Following:
    """Follows one session.

    Args:
        http: What requests go by.
        path: The session's own path.
        since: Number of the last event that is known.
        types: The event types that are wanted, or None for all.
        patience_seconds: For how long the gateway may be away.
    """

    def __init__(
        self,
        http: Http,
        path: str,
        *,
        since: int,
        types: Collection[str] | None,
        patience_seconds: float,
    ) -> None:
        self._http = http
        self._path = f"{path}/events/live"
        self._since = since
        self._types = types
        self._patience_seconds = patience_seconds
        self._backoff = Backoff()
        self._holes = 0
        self._alive = 0.0
        self._was_good = False
        self._refused_since: float | None = None

    async def events(self) -> AsyncGenerator[ReceivedEvent]:
        """Every event after `since`, in order, without a gap or a repeat; never ends by itself.

        Raises:
            RequestRefused: The gateway said no, or the session was deleted.
            TransportBroken: The gateway is away for longer than the patience.
            RemoteProtocolError: What came is no stream of this session's events.
        """
        self._alive = _now()
        while True:
            await asyncio.sleep(self._backoff.next_seconds())
            try:
                async with aclosing(self._one_stream()) as stream:
                    async for event in stream:
                        yield event
                        self._alive = _now()  # the reader may have taken its time
            except (TransportBroken, RequestRefused) as error:
                late = _now() - self._alive > self._patience_seconds
                if late or self._is_final(error):
                    raise
                _log.info("the stream of %s broke, opening it again: %s", self._path, error)

    def _is_final(self, error: TransportBroken | RequestRefused) -> bool:
        """Whether opening the stream again cannot help."""
        if not isinstance(error, RequestRefused) or not error.final:
            return False
        if error.code != 401 or not self._was_good:
            return True
        # It was good before: a token's file, or what a gateway knows, may just be replaced.
        if self._refused_since is None:
            self._refused_since = _now()
        return _now() - self._refused_since > RENEWAL_SECONDS

    async def _one_stream(self) -> AsyncGenerator[ReceivedEvent]:
        query: dict[str, str | int] = {"since": self._since}
        if self._types is not None:
            query["types"] = ",".join(sorted(self._types))
        parser = EventStream()
        async with self._http.stream(self._path, query) as chunks:
            self._was_good, self._refused_since = True, None
            async for chunk in chunks:
                self._alive = _now()
                for message in parser.receive(chunk):
                    if message.event == "session.deleted":
                        raise _deleted(message)
                    if message.event in _BREAKS:
                        raise TransportBroken(_said(message).detail or message.event)
                    event = self._next(message)
                    if event is not None:
                        self._since = event.seq
                        self._backoff.reset()
                        self._holes = 0
                        yield event

    def _next(self, message: Message) -> ReceivedEvent | None:
        """The event that a message brings; None where it was handed out before."""
        number = message.id or ""
        if not (number.isascii() and number.isdigit()):
            raise RemoteProtocolError(f"an event of the stream has the id {message.id!r}")
        seq = int(number)
        if seq <= self._since:
            return None
        if self._types is None and seq != self._since + 1:
            self._holes += 1
            if self._holes > 1:
                raise RemoteProtocolError(
                    f"the gateway has no event {self._since + 1}: after {self._since} comes {seq}"
                )
            raise TransportBroken(f"after event {self._since} came {seq}")
        return ReceivedEvent(seq, message.data)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _said(message: Message) -> Problem:
    try:
        return msgspec.json.decode(message.data, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Problem()


def _deleted(message: Message) -> RequestRefused:
    problem = _said(message)
    if not problem.detail:
        problem = msgspec.structs.replace(problem, detail="the session was deleted")
    return refused(problem, status=problem.status or 410)
