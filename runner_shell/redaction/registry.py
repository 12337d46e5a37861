"""The secrets that are known, as one immutable snapshot that is swapped whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

MINIMUM_LENGTH = 6
"""Shorter values are not replaced: they would shred ordinary text."""

_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9_]")


class Snapshot:
    """The secrets at one moment, compiled.

    Attributes:
        pattern: Matches any secret, the longest first; None where there is none.
        placeholders: What stands for each value.
        longest: Length of the longest value.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        values = sorted(names, key=lambda value: (-len(value), value))
        self.pattern = re.compile("|".join(map(re.escape, values))) if values else None
        self.placeholders = {value: f"[REDACTED:{names[value]}]" for value in values}
        self.longest = len(values[0]) if values else 0
        self._prefixes = _prefixes(values)

    def open_prefix(self, text: str) -> int:
        """Where the earliest tail begins that could still become a secret; `len(text)` if none."""
        for start in range(max(0, len(text) - self.longest + 1), len(text)):
            if text[start:] in self._prefixes:
                return start
        return len(text)


class Registry:
    """Collects secrets; every stream sees an addition at its next feed."""

    def __init__(self, secrets: Mapping[str, str] | None = None) -> None:
        self._names: dict[str, str] = {}
        self.snapshot = Snapshot({})
        if secrets:
            self.add_all(secrets.items())

    def add(self, name: str, value: str) -> bool:
        """Register a value; False where it is too short to be replaced.

        Args:
            name: What the placeholder calls it; anything but letters, digits and `_` is replaced.
            value: The secret, and its form without surrounding white space.
        """
        return self.add_all([(name, value)])

    def add_all(self, secrets: Iterable[tuple[str, str]]) -> bool:
        """Register many at once; False where one of them was too short."""
        complete = True
        for name, value in secrets:
            forms = [form for form in {value, value.strip()} if len(form) >= MINIMUM_LENGTH]
            complete = complete and bool(forms)
            for form in forms:
                self._names.setdefault(form, _NOT_IN_NAME.sub("_", name))
        self.snapshot = Snapshot(self._names)
        return complete


def _prefixes(values: list[str]) -> frozenset[str]:
    return frozenset(value[:length] for value in values for length in range(1, len(value)))
