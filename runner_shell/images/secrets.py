"""Looks for secrets in an image: in its configuration, its history, and every file of every layer.

The rules are redaction's own. A file that a later layer deletes still lies in the earlier one, and
is looked at there. No finding holds the secret.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from tarfile import TarFile
from typing import IO, Any

from ..redaction import Redactor, Rule, SecretRegistry
from ..redaction.keys import is_sensitive
from ..redaction.rules import DEFAULT_RULES
from .archive import ImageArchive

_CHUNK = 1 << 20
_PLACEHOLDER = re.compile(r"\[REDACTED:([A-Za-z0-9_]+)\]")
_LONGEST_PLACEHOLDER = 128

_ASSIGNMENT = re.compile(r"""(?<![\w$])([A-Za-z_]\w*)=("[^"]*"|'[^']*'|\S*)""")
_NO_VALUE = re.compile(r"""["']*(\$.*|\[REDACTED:.*|<[\w ]*>)?["']*""")
"""What stands for a value rather than being one: nothing, a variable, a placeholder."""

CREDENTIAL_FILES = (
    "*/.netrc", "*/.git-credentials", "*/.pypirc", "*/.npmrc", "*/.docker/config.json",
    "*/.aws/credentials", "*/.config/gh/hosts.yml", "*/.kube/config", "*/.ssh/id_*", "*/.env",
    "*/.claude/.credentials.json", "/run/secrets/*",
)  # fmt: skip
"""Files that are credentials whatever stands in them, where they are not empty."""

SETTINGS = ("etc/", "home/", "root/", "run/", "tmp/", "var/")
"""Folders that hold settings and what was left behind, and no code."""


@dataclass(frozen=True, order=True)
class Finding:
    """Something that looks like a secret.

    Attributes:
        where: The layer's digest and the file's path, or which part of the configuration.
        what: The rule, the known secret's name, or the key that says that its value is one.
    """

    where: str
    what: str


@dataclass(frozen=True)
class Allowed:
    """A finding that is none.

    Attributes:
        path: A file's path in its layer, as a pattern of `fnmatch`.
        what: What was found, or `*`.
        reason: Why it is no secret.
    """

    path: str
    what: str
    reason: str

    def covers(self, path: str, what: str) -> bool:
        """Whether this finding is meant."""
        return fnmatchcase(path, self.path) and self.what in ("*", what)


ALLOWED = (
    Allowed(
        "*/site-packages/runner_shell/redaction/rules/*",
        "*",
        "each rule carries examples of what it finds, with invented values",
    ),
    Allowed(
        "usr/lib/*/libgnutls.so.*",
        "PRIVATE_KEY",
        "the library's self-tests sign with keys of their own",
    ),
    Allowed(
        "*/pyjwt-*.dist-info/METADATA",
        "JSON_WEB_TOKEN",
        "the readme encodes a token with the key `secret`",
    ),
)


class Scanner:
    """Looks for known secrets and for what the rules find.

    In the configuration, and in files of `SETTINGS`, all rules apply. In other files those do that
    go by a value's own format, and not those that go by the words around it: code is full of
    `password=…`.

    Args:
        known: Values by name that must not be in the image, such as a build's own credentials.
        allowed: What is found and is no secret.
        rules: What unknown secrets look like.
    """

    def __init__(
        self,
        known: Mapping[str, str] | None = None,
        *,
        allowed: Sequence[Allowed] = ALLOWED,
        rules: Sequence[Rule] = DEFAULT_RULES,
    ) -> None:
        self._all = Redactor(SecretRegistry(known), rules)
        formats = [rule for rule in rules if not rule.context]
        self._formats = Redactor(SecretRegistry(known), formats)
        self._allowed = tuple(allowed)

    def image(self, image: ImageArchive) -> list[Finding]:
        """Every finding in a saved image, sorted."""
        findings = set(self.configuration(image.config))
        for number, digest in enumerate(image.layers):
            with image.layer(number) as files:
                findings |= set(self.layer(digest, files))
        return sorted(findings)

    def configuration(self, config: Mapping[str, Any]) -> Iterator[Finding]:
        """Look at an image's configuration: environment, labels, commands, and the history.

        Args:
            config: The JSON document that OCI calls the image's configuration.
        """
        inner = config.get("config") or {}
        for name, value in inner.items():
            yield from self._texts(name, value)
        for number, entry in enumerate(config.get("history") or (), 1):
            yield from self._texts(f"history {number}", list(entry.values()))

    def layer(self, name: str, files: TarFile) -> Iterator[Finding]:
        """Look at every file of a layer, and at the names of all.

        Args:
            name: What findings call the layer.
            files: The layer; read once.
        """
        for member in files:
            path = member.name.removeprefix("./").removeprefix("/")
            stream = files.extractfile(member) if member.isfile() else None
            rules = self._all if path.startswith(SETTINGS) else self._formats
            found = _file(stream, rules) if stream is not None else Counter()
            if member.isfile() and member.size and _is_credential_file(path):
                found["CREDENTIAL_FILE"] += 1
            for what in found:
                if not any(allowed.covers(path, what) for allowed in self._allowed):
                    yield Finding(f"{name}: {path}", what)

    def _texts(self, where: str, value: object) -> Iterator[Finding]:
        for text in _strings(value):
            redacted = self._all.text(text)
            found = Counter(_PLACEHOLDER.findall(redacted)) - Counter(_PLACEHOLDER.findall(text))
            for what in found:
                yield Finding(where, what)
            for name, assigned in _ASSIGNMENT.findall(text):
                if is_sensitive(name) and not _NO_VALUE.fullmatch(assigned):
                    yield Finding(where, name)


def _file(stream: IO[bytes], rules: Redactor) -> Counter[str]:
    # Every byte is a character, so that a key inside of a binary is found as well.
    redacting = rules.stream()
    before, after = _Placeholders(), _Placeholders()
    while chunk := stream.read(_CHUNK):
        text = chunk.decode("latin-1")
        before.feed(text)
        after.feed(redacting.feed(text))
    after.feed(redacting.finish())
    return after.count - before.count


class _Placeholders:
    """Counts the placeholders of a text that comes in pieces."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self._rest = ""

    def feed(self, piece: str) -> None:
        text = self._rest + piece
        begun = text.rfind("[", max(0, len(text) - _LONGEST_PLACEHOLDER))
        cut = begun if begun >= 0 and "]" not in text[begun:] else len(text)
        self.count.update(_PLACEHOLDER.findall(text[:cut]))
        self._rest = text[cut:]


def _strings(value: object) -> Iterable[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [f"{key}={item}" for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [text for item in value for text in _strings(item)]
    return []


def _is_credential_file(path: str) -> bool:
    return any(fnmatchcase(f"/{path}", pattern) for pattern in CREDENTIAL_FILES)
