"""Transcripts as the SDK's `SessionStore`, in the session's state directory.

One file of JSON lines for each transcript. A line is written whole or, where the process dies in
it, left out when the file is read. An entry with an id that is there already is not written again:
the SDK repeats a batch of which it does not know whether it arrived.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from claude_agent_sdk import (
    SessionKey,
    SessionListSubkeysKey,
    SessionStore,
    SessionStoreEntry,
    SessionStoreListEntry,
    SessionSummaryEntry,
    fold_session_summary,
)

_MAIN = "main.jsonl"
_SUBKEYS = "subkeys"


class DirectoryStore(SessionStore):
    """A store in a directory, for one process at a time.

    Args:
        directory: Made with the first entry, private.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[Path, set[str]] = {}

    async def append(self, key: SessionKey, entries: list[SessionStoreEntry]) -> None:
        """Write entries behind those that are there."""
        path = self._path(key)
        known = self._ids(path)
        new = list(_new(entries, known))
        if not new:
            return
        _private(path.parent, self._directory)
        lines = "".join(f"{json.dumps(entry, separators=(',', ':'))}\n" for entry in new)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            if _torn(path):
                file.write(b"\n")
            file.write(lines.encode())
            file.flush()
            os.fsync(file.fileno())

    async def load(self, key: SessionKey) -> list[SessionStoreEntry] | None:
        """All entries in order; None where there never were any."""
        found: Any = _read(self._path(key))
        return found or None

    async def list_sessions(self, project_key: str) -> list[SessionStoreListEntry]:
        """The sessions of a project, with when they were last written to."""
        found = self._directory.glob(f"{_name(project_key)}/*/{_MAIN}")
        return [
            {"session_id": unquote(path.parent.name), "mtime": path.stat().st_mtime_ns // 10**6}
            for path in found
        ]

    async def list_session_summaries(self, project_key: str) -> list[SessionSummaryEntry]:
        """A summary of each session, made anew from its transcript."""
        found = []
        for listed in await self.list_sessions(project_key):
            key: SessionKey = {"project_key": project_key, "session_id": listed["session_id"]}
            folded = fold_session_summary(None, key, await self.load(key) or [])
            folded["mtime"] = listed["mtime"]
            found.append(folded)
        return found

    async def delete(self, key: SessionKey) -> None:
        """Delete a transcript; the session's own with those of its sub-agents."""
        path = self._path(key)
        if key.get("subpath") is not None:
            path.unlink(missing_ok=True)
            self._known.pop(path, None)
        else:
            shutil.rmtree(path.parent, ignore_errors=True)
            self._known.clear()

    async def list_subkeys(self, key: SessionListSubkeysKey) -> list[str]:
        """The transcripts of a session's sub-agents."""
        root = self._session(key["project_key"], key["session_id"]) / _SUBKEYS
        return [unquote(path.stem) for path in sorted(root.glob("*.jsonl"))]

    def _path(self, key: SessionKey) -> Path:
        session = self._session(key["project_key"], key["session_id"])
        subpath = key.get("subpath")
        return (
            session / _MAIN if subpath is None else session / _SUBKEYS / f"{_name(subpath)}.jsonl"
        )

    def _session(self, project_key: str, session_id: str) -> Path:
        return self._directory / _name(project_key) / _name(session_id)

    def _ids(self, path: Path) -> set[str]:
        if path not in self._known:
            self._known[path] = {str(entry["uuid"]) for entry in _read(path) if "uuid" in entry}
        return self._known[path]


def _new(entries: Iterable[SessionStoreEntry], known: set[str]) -> Iterator[SessionStoreEntry]:
    for entry in entries:
        id = entry.get("uuid")
        if id is None:
            yield entry
        elif id not in known:
            known.add(id)
            yield entry


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    found = []
    for line in filter(None, lines):
        try:
            found.append(json.loads(line))
        except ValueError:
            continue  # torn by a death; what it held is not known to have arrived
    return found


def _torn(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _private(directory: Path, root: Path) -> None:
    for made in reversed((directory, *directory.parents)):
        if made == root or root in made.parents:
            made.mkdir(mode=0o700, exist_ok=True)


def _name(part: str) -> str:
    """A part of a key as one name in a directory, whatever stands in it."""
    quoted = quote(part, safe="")
    return quoted.replace(".", "%2E") if quoted.startswith(".") else quoted
