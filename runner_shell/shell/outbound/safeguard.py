"""Redaction as the shell uses it: it never raises, and it looks a last time at what goes out.

What the redactor cannot look at is withheld, never shown raw; the session goes on, and is told.
What the redactor let through and should not have is found by a scan of the encoded event.

Source: docs/explanation/redaction.md, "When redaction fails".
"""

from __future__ import annotations

import os
from functools import cache
from hashlib import blake2b
from typing import Any, Literal, NamedTuple, get_origin

import msgspec
from msgspec.structs import replace

from ...protocol import codec
from ...protocol.events import JSON, BlockDelta, BlockFinished, BlockStarted, Error
from ...redaction import RedactingStream, Redactor
from .ledger import AnyEvent

WITHHELD = "[REDACTED:WITHHELD]"
"""Stands for what could not be redacted."""

_IDS = frozenset({"id", "call", "request", "command", "key", "scope"})
"""Fields in which a rule could make two names alike: known secrets only. So is a block's
`message`."""

_FAILED = (
    "redaction raised {error}; what it was redacting is withheld. This is a fault of the shell or "
    "of a rule of your own: report it, with this word"
)
_PASSED = (
    "a known secret was found in an event that had been redacted; where it stood is withheld. This "
    "is a fault of the shell: report it"
)


_OF_BLOCKS = (BlockStarted, BlockDelta, BlockFinished)


class Safeguard:
    """A redactor that fails closed.

    Args:
        redactor: Replaces secrets.

    Attributes:
        redactor: The same.
        failures: How often it raised.
        hits: In how many events the last look found a secret; each is a bug.
        troubles: What went wrong and is to be told, if anything; see `take_troubles`.
    """

    def __init__(self, redactor: Redactor) -> None:
        self.redactor = redactor
        self.failures = 0
        self.hits = 0
        self.troubles: list[Error] = []
        self._key = os.urandom(16)

    def take_troubles(self) -> list[Error]:
        """What went wrong since this was last called, as events to say; they hold no content."""
        troubles, self.troubles = self.troubles, []
        return troubles

    # --- texts and values --------------------------------------------------------------------

    def text(self, text: str) -> str:
        """A text without secrets."""
        try:
            return self.redactor.text(text)
        except Exception as error:  # noqa: BLE001 — fails closed, whatever it was
            self.failed(error)
            return WITHHELD

    def identifier(self, text: str) -> str:
        """An id without known secrets; where that fails, one that still tells it from others."""
        try:
            return self.redactor.identifier(text)
        except Exception as error:  # noqa: BLE001 — fails closed, whatever it was
            self.failed(error)
            return self._pseudonym(text)

    def payload(self, value: JSON, path: str = "") -> JSON:
        """A JSON value without secrets; where that fails, an empty one of its kind."""
        try:
            return self.redactor.payload(value, path)
        except Exception as error:  # noqa: BLE001 — fails closed, whatever it was
            self.failed(error)
            return _emptied(value)

    def stream(self, path: str) -> GuardedStream:
        """A text that comes in pieces; see `Redactor.stream`."""
        try:
            return GuardedStream(self, self.redactor.stream(path))
        except Exception as error:  # noqa: BLE001 — fails closed, whatever it was
            self.failed(error)
            return GuardedStream(self, None)

    def failed(self, error: Exception) -> None:
        """Redaction raised: count it, and have it told; its message may hold what it looked at."""
        self.failures += 1
        message = _FAILED.format(error=type(error).__name__)
        self.troubles.append(Error(code="redaction_failed", message=message, origin="shell"))

    # --- events ------------------------------------------------------------------------------

    def event(self, event: AnyEvent) -> AnyEvent:
        """An event without secrets in any field; itself where there were none."""
        changed: dict[str, JSON] = {}
        for field in _open_fields(type(event)):
            value = getattr(event, field.name)
            if not value:
                continue  # what is empty, and most fields are, holds nothing
            plain = value if type(value) is str else msgspec.to_builtins(value)
            if field.is_id:
                redacted = self._identifiers(plain)
            else:
                redacted = self.payload(plain, field.path or f"{_tag(event)}.{field.name}")
            if redacted != plain:
                changed[field.name] = _fitting(redacted, field.type)
        return replace(event, **changed) if changed else event

    def _identifiers(self, value: JSON) -> JSON:
        if isinstance(value, list | tuple):
            return type(value)(map(self._identifiers, value))  # a list is no tuple, so a change
        return self.identifier(value) if isinstance(value, str) and value else value

    def last_look(self, event: AnyEvent, payload: bytes) -> tuple[AnyEvent, bytes]:
        """The event as it may go out, and its encoding: what was handed in, unless a secret shows.

        A secret that is a word of the vocabulary, such as `block.delta`, shows in events by
        right; everything else is a bug, and is withheld.
        """
        try:
            if not self.redactor.backstop(payload):
                return event, payload
            fields = self._showing(event)
        except Exception as error:  # noqa: BLE001 — fails closed, whatever it was
            self.failed(error)
            fields = [field.name for field in _open_fields(type(event))]
        else:
            if not fields:
                return event, payload
            self.hits += 1
            self.troubles.append(Error(code="redaction_passed", message=_PASSED, origin="shell"))
        purged = self._without(event, fields)
        return purged, codec.encode_payload(purged)

    def _showing(self, event: AnyEvent) -> list[str]:
        """The fields to withhold; all, where a secret shows only across them."""
        names = [field.name for field in _open_fields(type(event))]
        showing = [name for name in names if self._shows(getattr(event, name))]
        if showing:
            return showing
        skeleton = codec.encode_payload(self._without(event, names))
        return [] if self.redactor.backstop(skeleton) else names

    def _shows(self, value: JSON) -> bool:
        return bool(self.redactor.backstop(msgspec.json.encode(value)))

    def _without(self, event: AnyEvent, fields: list[str]) -> AnyEvent:
        emptied = {
            field.name: self._renamed(getattr(event, field.name))
            if field.is_id
            else _fitting(_emptied(msgspec.to_builtins(getattr(event, field.name))), field.type)
            for field in _open_fields(type(event))
            if field.name in fields
        }
        return replace(event, **emptied)

    def _renamed(self, value: JSON) -> JSON:
        if isinstance(value, list | tuple):
            return tuple(self._renamed(item) for item in value)
        return self._pseudonym(value) if isinstance(value, str) and value else value

    def _pseudonym(self, name: str) -> str:
        """The same for the same name in this process; tells nothing of it."""
        digest = blake2b(name.encode("utf-8", "replace"), key=self._key, digest_size=8)
        return f"withheld-{digest.hexdigest()}"


class GuardedStream:
    """A redacting stream that says nothing more once it failed: what it holds may be half a secret.

    Args:
        guard: Is told of a failure.
        stream: The stream; None where it could not even be made.
    """

    __slots__ = ("_guard", "_mute", "_stream")

    def __init__(self, guard: Safeguard, stream: RedactingStream | None) -> None:
        self._guard = guard
        self._stream = stream
        self._mute = False

    @property
    def waiting(self) -> bool:
        """Whether `idle` could have something to say."""
        return self._stream is not None and self._stream.waiting

    def feed(self, text: str) -> str:
        """Take a piece in and return what is safe to show."""
        if self._stream is None:
            return self._silence()
        try:
            return self._stream.feed(text)
        except Exception as error:  # noqa: BLE001 — fails closed, whatever it was
            return self._failed(error)

    def finish(self) -> str:
        """The text has ended: return what was held back."""
        if self._stream is None:
            return ""
        try:
            return self._stream.finish()
        except Exception as error:  # noqa: BLE001 — fails closed, whatever it was
            return self._failed(error)

    def idle(self) -> str:
        """Nothing has come for a while: return what may be shown all the same."""
        if self._stream is None:
            return ""
        try:
            return self._stream.idle()
        except Exception as error:  # noqa: BLE001 — fails closed, whatever it was
            return self._failed(error)

    def _failed(self, error: Exception) -> str:
        self._stream = None
        self._guard.failed(error)
        return self._silence()

    def _silence(self) -> str:
        """The placeholder, once for all that follows."""
        mute, self._mute = self._mute, True
        return "" if mute else WITHHELD


def _tag(event: AnyEvent) -> str:
    return str(getattr(event, "type", "") or event.__struct_config__.tag)


class _OpenField(NamedTuple):
    name: str
    type: Any
    is_id: bool
    path: str
    """Its type and name; empty where each event says its own type."""


@cache
def _open_fields(event: type[AnyEvent]) -> tuple[_OpenField, ...]:
    """All fields but those that hold a word of the vocabulary, no secret even if one is alike."""
    ids = _IDS | {"message"} if event in _OF_BLOCKS else _IDS
    tag = event.__struct_config__.tag
    return tuple(
        _OpenField(field.name, field.type, field.name in ids, f"{tag}.{field.name}" if tag else "")
        for field in msgspec.structs.fields(event)
        if get_origin(field.type) is not Literal
    )


def _fitting(value: JSON, kind: Any) -> Any:
    """A redacted value as its field can hold it: a number that became a placeholder is left out."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return msgspec.convert(_emptied(value) if not isinstance(value, str) else 0, kind)


def _emptied(value: JSON) -> JSON:
    """What tells nothing of a value but its kind."""
    match value:
        case str():
            return WITHHELD
        case None | bool():
            return value
        case int() | float():
            return type(value)()
        case dict():
            return {}
        case _:
            return []
