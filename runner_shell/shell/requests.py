"""The book of answers: which questions are open, who waits for them, what came of them.

It lives on the main side. Asking again under a key never asks a person twice.

Source: PROTOCOL, promise 5.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from ..adapter.session import Answer, Request
from ..journal.recovered import KnownRequest
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
        digest: SHA-256 of what is shown, in hex.
    """

    id: str
    request: Request
    deferrable: bool
    expires_at: datetime | None = None
    waiters: list[Reply] = []
    timers: list[asyncio.TimerHandle] = []
    answer: Answer | None = None
    digest: str = ""


OVERDUE_SECONDS = 5.0
"""How long a question that expired while no process was there still waits for its answer: one that
the gateway received in time is on its way."""

_EXACT = ("permission", "plan")
"""What was approved is what was shown: another content under the same key is asked anew."""


class RequestBook:
    """Opens, closes and defers questions.

    Args:
        say: Emits an event of the current turn.
        answered_later: Called when a question nobody waits for any more was answered.
        prefix: What the ids begin with; unique for the process in its session.
        defer_seconds: How long a question that can be deferred holds its turn.
        commit: Makes what was said durable; False where that failed, and nothing may follow.
        redact: Replaces secrets, so that the digest is of what a person sees.
        identify: Replaces known secrets in a key, as it is kept for the next process.
        away: Whether the gateway is away, which may hold an answer that came in time.

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
        commit: Callable[[], bool] = lambda: True,
        redact: Callable[[JSON], JSON] = lambda value: value,
        identify: Callable[[str], str] = lambda key: key,
        away: Callable[[], bool] = lambda: False,
    ) -> None:
        self.answers_due = False
        self._commit = commit
        self._redact = redact
        self._identify = identify
        self._away = away
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

    @property
    def has_deferrable(self) -> bool:
        """Whether a question is open that may outlive its turn."""
        return any(entry.answer is None and entry.deferrable for entry in self._by_id.values())

    def restore(self, known: Iterable[KnownRequest]) -> None:
        """Take over the questions of the processes before, with their answers.

        Those that were cancelled because their process died are forgotten by their key: nobody
        answered them, so asking again asks.
        """
        for one in known:
            entry = _restored(one)
            self._by_id[entry.id] = entry
            if entry.answer is None or entry.answer.how != "cancelled":
                self._by_key[one.opened.key] = entry

    def watch(self) -> None:
        """Let what was restored expire when its time comes."""
        for entry in self._by_id.values():
            if entry.answer is None and entry.expires_at is not None and not entry.timers:
                left = (entry.expires_at - datetime.now(UTC)).total_seconds()
                self._expire_in(entry, max(left, OVERDUE_SECONDS))

    def ask(self, request: Request, key: str, may_defer: bool, reply: Reply) -> None:
        """Ask, or give the answer that is there already."""
        key = self._identify(key)
        entry = self._by_key.get(key)
        if entry is None or self._is_another(entry, request):
            entry = self._open(request, key, may_defer)
        if entry.answer is not None:
            reply(entry.answer)
            return
        entry.waiters.append(reply)
        if may_defer and self._deferring:
            self._defer(entry)
        elif may_defer:
            entry.timers.append(self._later(self._defer_seconds, lambda: self._defer(entry)))

    def ask_to_resume(self, request: Request, key: str, reply: Reply) -> None:
        """Ask for the shell itself: it lives over processes and holds no turn."""
        entry = self._by_key.get(key) or self._open(request, key, may_defer=True)
        if entry.answer is not None:
            reply(entry.answer)
        else:
            entry.waiters.append(reply)

    def withdraw(self, key: str, reply: Reply) -> None:
        """The asker was cancelled; nobody needs to answer unless another one waits."""
        entry = self._by_key.get(self._identify(key))
        if entry is None or reply not in entry.waiters:
            return
        entry.waiters.remove(reply)
        if not entry.waiters:
            self._close(entry, "cancelled", entry.request.default)

    def answer(
        self, id: str, value: JSON, *, by: str, received_at: str, again: bool = False
    ) -> tuple[str, str] | None:
        """A person answered.

        Args:
            id: Of the request.
            value: The answer.
            by: Who gave it, as the gateway verified.
            received_at: When the gateway took it in.
            again: A process before had begun with this answer.

        Returns:
            None where it was taken, else a code and a reason for the refusal.
        """
        entry = self._by_id.get(id)
        if entry is None:
            return "unknown_request", f"no request has the id {id!r}"
        if entry.answer is not None and _same(entry.answer, value, by) and again:
            return None  # this very answer was taken, and the process died before it said so
        if entry.answer is not None:
            return "already_closed", f"the request is closed already ({entry.answer.how})"
        if entry.expires_at is not None and _time(received_at) > entry.expires_at:
            return "late", "the request expired before this answer was received"
        problem = _misfit(entry.request, value) or _not_an_option(entry.request, value)
        if problem:
            return "invalid", problem
        self._close(entry, "answered", value, by)
        return None

    def supersede(self) -> None:
        """A user's message came instead of an answer: close what is open."""
        self._close_all("superseded")

    def cancel(self, *, keep_deferrable: bool = False) -> None:
        """The turn or the session is over: close what is open."""
        self._close_all("cancelled", keep_deferrable=keep_deferrable)

    def defer_all(self) -> None:
        """The runner must go: askers that may be deferred are told so, now and from now on."""
        self._deferring = True
        for entry in self._by_id.values():
            if entry.answer is None and entry.deferrable:
                self._defer(entry)

    def _open(self, request: Request, key: str, may_defer: bool) -> Entry:
        id = f"{self._prefix}{len(self._by_id) + 1}"
        digest = self._digest(request)
        entry = Entry(
            id=id, request=request, deferrable=may_defer, waiters=[], timers=[], digest=digest
        )
        self._by_id[id] = self._by_key[key] = entry
        if request.timeout_seconds is not None:
            entry.expires_at = datetime.now(UTC) + timedelta(seconds=request.timeout_seconds)
            self._expire_in(entry, request.timeout_seconds)
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
                digest=digest,
            )
        )
        return entry

    def _expire_in(self, entry: Entry, seconds: float) -> None:
        entry.timers.append(self._later(seconds, lambda: self._expire(entry)))

    def _expire(self, entry: Entry) -> None:
        """Source: late is judged "by the time the gateway received it"."""
        if entry.answer is not None:
            return
        if self._away():
            self._expire_in(entry, OVERDUE_SECONDS)
        else:
            self._close(entry, "expired", entry.request.default)

    def _is_another(self, entry: Entry, request: Request) -> bool:
        answered = entry.answer is not None and entry.answer.how == "answered"
        return answered and request.kind in _EXACT and entry.digest != self._digest(request)

    def _digest(self, request: Request) -> str:
        """SHA-256 of what a person sees of it, as canonical JSON."""
        from hashlib import sha256  # the start path asks nothing

        shown = {
            "kind": request.kind,
            "title": request.title,
            "body": request.body,
            "schema": request.schema,
            "options": request.options,
        }
        plain = {name: self._redact(value) for name, value in msgspec.to_builtins(shown).items()}
        return sha256(msgspec.json.encode(plain, order="sorted")).hexdigest()

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
        self._say(RequestClosed(id=entry.id, how=how, answer=value, by=by, digest=entry.digest))
        if not self._commit():
            return  # the session ends: what is not on record must not be acted upon
        waiters, entry.waiters = entry.waiters, []
        for reply in waiters:
            reply(entry.answer)
        if not waiters and how in ("answered", "expired"):
            self.answers_due = True
            self._answered_later()

    def _close_all(self, how: How, *, keep_deferrable: bool = False) -> None:
        for entry in list(self._by_id.values()):
            if entry.answer is None and not (keep_deferrable and entry.deferrable):
                self._close(entry, how, entry.request.default)

    def _later(self, seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, call)


def _restored(known: KnownRequest) -> Entry:
    opened, closed = known.opened, known.closed
    request = Request(
        kind=opened.kind,
        title=opened.title,
        body=opened.body,
        schema=opened.schema,
        options=opened.options,
        default=opened.default,
    )
    answer = None if closed is None else Answer(value=closed.answer, how=closed.how, by=closed.by)
    return Entry(
        id=opened.id,
        request=request,
        deferrable=opened.deferrable,
        expires_at=_time(opened.expires_at) if opened.expires_at else None,
        waiters=[],
        timers=[],
        answer=answer,
        digest=opened.digest,
    )


def _same(answer: Answer, value: JSON, by: str) -> bool:
    return answer.how == "answered" and answer.value == value and answer.by == by


def _rfc3339(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="milliseconds")


def _time(received_at: str) -> datetime:
    """When the gateway received it; an answer that does not say so is judged by now."""
    try:
        time = datetime.fromisoformat(received_at)
    except ValueError:
        return datetime.now(UTC)
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _misfit(request: Request, value: JSON) -> str:
    """Why an answer does not fit the request's schema; empty where it does, or there is none."""
    if request.schema is None:
        return ""
    from jsonschema.exceptions import SchemaError, best_match  # only where somebody asks for it
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    kind = validator_for(request.schema)
    try:
        kind.check_schema(request.schema)
        # A registry of its own, or a `$ref` would be fetched from wherever it points.
        error = best_match(kind(request.schema, registry=Registry()).iter_errors(value))
    except (SchemaError, Unresolvable):
        return ""  # the asker's own fault: else nobody could answer at all
    if error is None:
        return ""
    place = error.json_path.removeprefix("$")
    wanted = request.schema.get("description")
    said = f"the answer does not fit its schema{f' at {place}' if place else ''}: {error.message}"
    return f"{said}. Wanted: {wanted}" if wanted else said


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
