"""The secrets that are known. They are added, and none is removed before the session ends."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .reach import Admission, Reach, reach_of

_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9_]+")
_LONGEST_NAME = 64
_INDEX = re.compile(r"\[[^\]]*\]$")


class Secret(NamedTuple):
    """A value, and how it is looked for.

    Attributes:
        name: What the placeholder calls it.
        value: The value; never shown.
        reach: How far it is looked for.
    """

    name: str
    value: str
    reach: Reach


class SecretRegistry:
    """Collects secrets; every stream sees an addition at its next feed, for held text as well.

    Adding costs next to nothing and imports nothing; the forms are made when a redactor first
    needs them, or when `Redactor.prepare` is called.

    Args:
        secrets: Values by name, to begin with.

    Attributes:
        size: How many there are; the same as its length, and quicker to ask before each text.
    """

    def __init__(self, secrets: Mapping[str, str] | None = None) -> None:
        self.size = 0
        self._secrets: list[Secret] = []
        self._known: set[tuple[str, Reach]] = set()
        self._names: set[str] = set()
        if secrets:
            self.add_all(secrets.items())

    def __len__(self) -> int:
        return self.size

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What was added, in that order; grows and never changes otherwise."""
        return tuple(self._secrets)

    def since(self, count: int) -> list[Secret]:
        """What was added after the first `count`."""
        return self._secrets[count:]

    def add(self, name: str, value: str) -> Admission:
        """Register a value; a refreshed one of the same name is added to those before it.

        Args:
            name: What the placeholder calls it; anything but letters, digits and `_` is replaced.
            value: The secret. White space around it is no part of it.

        Returns:
            How far the value is looked for, with a warning where that is not everywhere.
        """
        text = value.strip().encode("utf-8", "replace").decode()
        admission = Admission(name, reach_of(text))
        if admission.reach is not Reach.IGNORED:
            self._keep(name, text, admission.reach)
        return admission

    def add_all(self, secrets: Iterable[tuple[str, str]]) -> list[Admission]:
        """Register many; see `add`."""
        return [self.add(name, value) for name, value in secrets]

    def is_name(self, key: str) -> bool:
        """Whether a secret is called like this key, in whatever spelling."""
        return _alike(key) in self._names

    def _keep(self, name: str, text: str, reach: Reach) -> None:
        # A value that is looked for beside its name is another secret under another name.
        key = (text if reach is not Reach.BESIDE_NAME else f"{name}\0{text}", reach)
        if key in self._known:
            return
        self._known.add(key)
        self._names.add(_alike(_INDEX.sub("", name)))
        self._secrets.append(Secret(name, text, reach))
        self.size += 1


def placeholder_name(name: str) -> str:
    """The part of a name that may stand in a placeholder."""
    return _NOT_IN_NAME.sub("_", name).strip("_")[:_LONGEST_NAME] or "SECRET"


def bare_name(name: str) -> str:
    """A name without the index of one of several values."""
    return _INDEX.sub("", name)


def _alike(name: str) -> str:
    return _NOT_IN_NAME.sub("", name).replace("_", "").casefold()
