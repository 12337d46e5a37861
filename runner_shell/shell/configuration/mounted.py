"""Secrets in mounted files: read at the start, and again when they change.

A Kubernetes volume shows each file as a link into `..data`, itself a link to a directory that is
replaced as a whole; other layouts are read as they are.

Source: docs/explanation/redaction.md, "Where known secrets come from".
"""

from __future__ import annotations

import os
from pathlib import Path

from ...redaction.sources import file_secrets

TYPE_CHECKING = False  # typing's own costs the start path milliseconds
if TYPE_CHECKING:
    from collections.abc import Iterator

    Signature = tuple[int, int, int]

MAX_FILE_BYTES = 1024 * 1024
"""A larger file is no secret."""

MAX_DEPTH = 4

WATCH_SECONDS = 1.0
"""How often a directory is looked at: a refreshed secret is known so soon after it is there."""


class MountedSecrets:
    """The files of one directory, and which of them were read.

    Args:
        directory: Where they are mounted.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read: dict[str, Signature] = {}

    def refresh(self) -> tuple[list[tuple[str, str]], list[str]]:
        """The secrets in files that are new or changed, and what kept others from being read.

        A file that cannot be read is told once, until it changes.
        """
        texts: dict[str, str] = {}
        problems: list[str] = []
        for path in _files(str(self._directory), MAX_DEPTH):
            signature = _signature(path)
            if signature is None or self._read.get(path) == signature:
                continue
            self._read[path] = signature
            try:
                texts[path] = _text(path)
            except (OSError, ValueError) as error:
                why = error.strerror if isinstance(error, OSError) else error
                problems.append(f"{path}: {why}; what it holds is not redacted")
        return file_secrets(texts), problems


def _files(directory: str, depth: int) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError:
        return  # just being replaced; the next look finds it
    for entry in entries:
        if entry.name.startswith(".."):
            continue  # where a volume's links lead: the same files again
        if not entry.is_dir():
            yield entry.path
        elif depth > 1:
            yield from _files(entry.path, depth - 1)


def _signature(path: str) -> Signature | None:
    """What changes when a file does; None where there is none any more."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _text(path: str) -> str:
    if not os.path.isfile(path):
        raise ValueError("it is no ordinary file")
    with open(path, "rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"it is larger than {MAX_FILE_BYTES} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not text") from None
