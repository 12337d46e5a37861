"""The book of answers: which questions are open, who waits for them, what came of them.

It lives on the main side. Asking again under a key never asks a person twice.

Source: PROTOCOL, promise 5.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from ..adapter.session import Answer, Request
from ..protocol.events import JSON, Event, RequestClosed, RequestOpened

Reply = Callable[[Answer | None], None]
How = Literal["answered", "expired", "cancelled", "superseded"]


class Entry(msgspec.Struct):
    """One question.

    Attributes:
        id: The shell's id of it.
        request: What was asked.
        deferrable: Whether its asker may be told to come back later.
        expires_at: When the default becomes the answer.
        waiters: Who waits for the answer.
        timers: What is to happen to it later.
        answer: What came of it, once it is closed.
    """

    id: str
    request: Request
    deferrable: bool
    expires_at: datetime | None = None
    waiters: list[Reply] = []
    timers: list[asyncio.TimerHandle] = []
    answer: Answer | None = None


class RequestBook:
    """Opens, closes and defers questions.

    Args:
        say: Emits an event of the current turn.
        answered_later: Called when a question nobody waits for any more was answered.
        prefix: What the ids begin with; unique for the process in its session.
        defer_seconds: How long a question that can be deferred holds its turn.

    Attributes:
        answers_due: Whether an answer came that nobody waited for, and no turn began with since.
    """

    def __init__(
        self,
        say: Callable[[Event], None],
        answered_later: Callable[[], None],
        *,
        prefix: str,
        defer_seconds: float,
    ) -> None:
        self.answers_due = False
        self._say = say
        self._answered_later = answered_later
        self._prefix = prefix
        self._defer_seconds = defer_seconds
        self._by_key: dict[str, Entry] = {}
        self._by_id: dict[str, Entry] = {}
        self._deferring = False

    @property
    def has_open(self) -> bool:
        """Whether a question is open."""
        return any(entry.answer is None for entry in self._by_id.values())

    def ask(self, request: Request, key: str, may_defer: bool, reply: Reply) -> None:
        """Ask, or give the answer that is there already."""
        entry = self._by_key.get(key)
        if entry is None:
            entry = self._open(request, key, may_defer)
        if entry.answer is not None:
            reply(entry.answer)
            return
        entry.waiters.append(reply)
        if may_defer and self._deferring:
            self._defer(entry)
        elif may_defer:
            entry.timers.append(self._later(self._defer_seconds, lambda: self._defer(entry)))

    def withdraw(self, key: str, reply: Reply) -> None:
        """The asker was cancelled; nobody needs to answer unless another one waits."""
        entry = self._by_key.get(key)
        if entry is None or reply not in entry.waiters:
            return
        entry.waiters.remove(reply)
        if not entry.waiters:
            self._close(entry, "cancelled", entry.request.default)

    def answer(self, id: str, value: JSON, *, by: str, received_at: str) -> tuple[str, str] | None:
        """A person answered.

        Returns:
            None where it was taken, else a code and a reason for the refusal.
        """
        entry = self._by_id.get(id)
        if entry is None:
            return "unknown_request", f"no request has the id {id!r}"
        if entry.answer is not None:
            return "already_closed", f"the request is closed already ({entry.answer.how})"
        if entry.expires_at is not None and _time(received_at) > entry.expires_at:
            return "late", "the request expired before this answer was received"
        problem = _not_an_option(entry.request, value)
        if problem:
            return "invalid", problem
        self._close(entry, "answered", value, by)
        return None

    def supersede(self) -> None:
        """A user's message came instead of an answer: close what is open."""
        self._close_all("superseded")

    def cancel(self) -> None:
        """The turn or the session is over: close what is open."""
        self._close_all("cancelled")

    def defer_all(self) -> None:
        """The runner must go: askers that may be deferred are told so, now and from now on."""
        self._deferring = True
        for entry in self._by_id.values():
            if entry.answer is None and entry.deferrable:
                self._defer(entry)

    def _open(self, request: Request, key: str, may_defer: bool) -> Entry:
        id = f"{self._prefix}{len(self._by_id) + 1}"
        entry = Entry(id=id, request=request, deferrable=may_defer, waiters=[], timers=[])
        self._by_id[id] = self._by_key[key] = entry
        if request.timeout_seconds is not None:
            entry.expires_at = datetime.now(UTC) + timedelta(seconds=request.timeout_seconds)
            entry.timers.append(self._later(request.timeout_seconds, lambda: self._expire(entry)))
        self._say(
            RequestOpened(
                id=id,
                key=key,
                kind=request.kind,
                title=request.title,
                body=request.body,
                schema=request.schema,
                options=request.options,
                deferrable=may_defer,
                expires_at=_rfc3339(entry.expires_at),
                default=request.default,
            )
        )
        return entry

    def _expire(self, entry: Entry) -> None:
        if entry.answer is None:
            self._close(entry, "expired", entry.request.default)

    def _defer(self, entry: Entry) -> None:
        """Release who waits; the question itself stays open."""
        waiters, entry.waiters = entry.waiters, []
        for reply in waiters:
            reply(None)

    def _close(self, entry: Entry, how: How, value: JSON, by: str = "") -> None:
        for timer in entry.timers:
            timer.cancel()
        entry.timers.clear()
        entry.answer = Answer(value=value, how=how, by=by)
        self._say(RequestClosed(id=entry.id, how=how, answer=value, by=by))
        waiters, entry.waiters = entry.waiters, []
        for reply in waiters:
            reply(entry.answer)
        if not waiters and how in ("answered", "expired"):
            self.answers_due = True
            self._answered_later()

    def _close_all(self, how: How) -> None:
        for entry in list(self._by_id.values()):
            if entry.answer is None:
                self._close(entry, how, entry.request.default)

    def _later(self, seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, call)


def _rfc3339(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="milliseconds")


def _time(received_at: str) -> datetime:
    """When the gateway received it; an answer that does not say so is judged by now."""
    try:
        time = datetime.fromisoformat(received_at)
    except ValueError:
        return datetime.now(UTC)
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _not_an_option(request: Request, value: JSON) -> str:
    if not request.options or request.schema is not None:
        return ""
    allowed = [
        option.get("value", option.get("label")) if isinstance(option, dict) else option
        for option in request.options
    ]
    if value in allowed or value == request.default:
        return ""
    return f"the answer must be one of {allowed!r}"
