"""Text in, text out."""

from __future__ import annotations

import re

from ..protocol.events import JSON
from .registry import Registry, Snapshot

PARTIAL_LENGTH = 8
"""A text's tail of this many characters can be redacted as part of a secret."""


class Redactor:
    """Replaces every known secret by `[REDACTED:NAME]`."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def text(self, text: str) -> str:
        """Redact a whole text."""
        return _replace(self.registry.snapshot, text)

    def value(self, value: JSON) -> JSON:
        """Redact every string in a JSON value, keys included; other values come back as they are.

        Keys that become alike are told apart by `#2`, `#3`, so that no value is lost.
        """
        if self.registry.snapshot.pattern is None:
            return value
        return self._walk(value)

    def stream(self) -> Stream:
        """A text that comes in pieces: a block, or the output of a tool call."""
        return Stream(self.registry)

    def _walk(self, value: JSON) -> JSON:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return self._walk_dict(value)
        if isinstance(value, list | tuple):
            return [self._walk(item) for item in value]
        return value

    def _walk_dict(self, value: dict[str, JSON]) -> dict[str, JSON]:
        result: dict[str, JSON] = {}
        for key, item in value.items():
            redacted = name = self.text(key)
            copy = 1
            while name in result:
                copy += 1
                name = f"{redacted}#{copy}"
            result[name] = self._walk(item)
        return result


class Stream:
    """Redacts a text that comes in pieces; how it is cut never changes the result.

    What could still become a secret is held back: at most the longest secret's length, less one.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._held = ""

    def feed(self, text: str) -> str:
        """Take a piece in and return what is safe to show."""
        snapshot = self._registry.snapshot
        text = self._held + text
        if snapshot.pattern is None or not text:
            self._held = ""
            return text
        safe = _safe_length(snapshot, text)
        self._held = text[safe:]
        return _replace(snapshot, text[:safe])

    def flush(self) -> str:
        """The text has ended: return what was held back.

        A tail that is at least half of a secret, and at least 8 characters, is replaced too.
        """
        snapshot, text, self._held = self._registry.snapshot, self._held, ""
        if not text:
            return ""
        for start in range(len(text) - PARTIAL_LENGTH + 1):
            placeholder = _partial(snapshot, text[start:])
            if placeholder:
                # A secret that ends behind `start` is replaced whole, not shown up to there.
                cut = _end_of_match_over(snapshot, text, start)
                return _replace(snapshot, text[:cut]) + placeholder
        return _replace(snapshot, text)


def _partial(snapshot: Snapshot, tail: str) -> str:
    """The placeholder of the secret that this is a good part of; empty where it is none."""
    if tail in snapshot.placeholders:
        return snapshot.placeholders[tail]
    for value, placeholder in snapshot.placeholders.items():
        if value.startswith(tail) and 2 * len(tail) >= len(value):
            return placeholder
    return ""


def _safe_length(snapshot: Snapshot, text: str) -> int:
    """How much of the text no later piece can change."""
    safe = snapshot.open_prefix(text)
    while (end := _end_of_match_over(snapshot, text, safe)) > safe:
        # What a secret took cannot begin another one: look again behind it.
        safe = end + snapshot.open_prefix(text[end:])
    return safe


def _end_of_match_over(snapshot: Snapshot, text: str, position: int) -> int:
    """Where the secret ends that begins before `position` and ends behind it; else `position`."""
    if snapshot.pattern is not None:
        for match in snapshot.pattern.finditer(text):
            if match.start() >= position:
                break
            if match.end() > position:
                return match.end()
    return position


def _replace(snapshot: Snapshot, text: str) -> str:
    if snapshot.pattern is None:
        return text

    def placeholder(match: re.Match[str]) -> str:
        return snapshot.placeholders[match.group()]

    return snapshot.pattern.sub(placeholder, text)
