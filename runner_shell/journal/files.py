"""Segments as files: written at the end, read anywhere, synced in the background."""

from __future__ import annotations

import os
import threading
from array import array
from contextlib import suppress
from pathlib import Path

from ..errors import JournalBroken
from .segments import HEAD_BYTES, Scan, scan

SUFFIX = ".segment"

SYNC_SECONDS = 0.05
"""How often the disk is asked to keep what was written: what a lost node can cost at most."""

RESERVE_BYTES = 256 * 1024
"""Kept free on the disk, so that a full one still takes the endings."""

RESERVE_FILE = "reserve"

_SIZE = 2**32 - 1


class Segment:
    """One file of records, and where its events lie.

    Args:
        path: Where it lies; its name is its number.
        create: Whether it must not exist yet.

    Attributes:
        number: Its place among the others.
        size: Bytes that are written.
        first: Number of its first event.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        self.number = int(path.stem)
        self.first = 1
        self._places = array("Q")
        self.note = self._places.append
        """Remembers where the next event lies: its start << 32 | its size."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        flags |= os.O_CREAT | os.O_EXCL if create else 0
        with _broken(path, "opened"):
            self.descriptor = os.open(path, flags, 0o600)
            self.size = os.fstat(self.descriptor).st_size

    @property
    def last(self) -> int:
        """Number of its last event; `first - 1` where it has none."""
        return self.first + len(self._places) - 1

    def event_size(self, seq: int) -> int:
        """Bytes of an event."""
        return self._places[seq - self.first] & _SIZE

    def read(self, seq: int) -> bytes:
        """An event that is written."""
        place = self._places[seq - self.first]
        with _broken(self.path, "read"):
            data = os.pread(self.descriptor, place & _SIZE, place >> 32)
        if len(data) != place & _SIZE:
            raise JournalBroken(f"the journal's {self.path} is shorter than what was written to it")
        return data

    def scan(self) -> Scan:
        """Everything that lies in it."""
        with _broken(self.path, "read"):
            return scan(self.path.read_bytes())

    def write(self, data: bytes) -> None:
        """Append; a write that fails leaves nothing of it behind."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self.descriptor, view) :]
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self.descriptor, self.size)
            raise _failed(self.path, "written", error) from error
        self.size += len(data)

    def cut(self, size: int) -> None:
        """Cut a torn tail off."""
        with _broken(self.path, "cut"):
            os.ftruncate(self.descriptor, size)
            os.fsync(self.descriptor)
        self.size = size

    def sync(self) -> None:
        """Have the disk keep what was written."""
        with _broken(self.path, "synced"):
            getattr(os, "fdatasync", os.fsync)(self.descriptor)  # macOS has only the latter

    def drop(self) -> None:
        """Delete it; what cannot be deleted is deleted another time."""
        self.close()
        with suppress(OSError):
            self.path.unlink()

    def close(self) -> None:
        """Close the file. Closing twice does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class Syncer:
    """Asks the disk to keep a segment, soon after it was written to, in a thread of its own.

    Attributes:
        error: What the disk answered, where it could not.
    """

    def __init__(self) -> None:
        self.error: JournalBroken | None = None
        self._segment: Segment | None = None
        self._lock = threading.Lock()
        self._dirty = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, segment: Segment) -> None:
        """Sync this one from now on."""
        with self._lock:
            self._segment = segment

    def written(self) -> None:
        """There is something new."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)
            self._thread.start()
        if not self._dirty.is_set():  # it mostly is, and to set it again costs ten times as much
            self._dirty.set()

    def close(self) -> None:
        """Stop; whoever closes syncs for the last time."""
        self._stop.set()
        self._dirty.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            self._dirty.wait()
            if self._stop.is_set():
                return
            self._dirty.clear()
            with self._lock:
                try:
                    if self._segment is not None:
                        self._segment.sync()
                except JournalBroken as error:
                    self.error = error
                    return
            self._stop.wait(SYNC_SECONDS)


class Reserve:
    """Space on the disk that is given up when it is full.

    Args:
        directory: Where it is kept.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / RESERVE_FILE

    def make(self) -> None:
        """Take the space; a disk that is full already has none to keep."""
        with suppress(OSError):
            if self._path.exists() and self._path.stat().st_size == RESERVE_BYTES:
                return
            self._path.write_bytes(b"\1" * RESERVE_BYTES)  # not zeros: a hole takes no space

    def give_up(self) -> bool:
        """Give the space back; False where there was none."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True


def found(directory: Path) -> list[Path]:
    """The segments of a directory, the oldest first."""
    with _broken(directory, "listed"):
        names = [path for path in directory.iterdir() if path.suffix == SUFFIX]
    return sorted((path for path in names if path.stem.isdecimal()), key=lambda path: path.name)


def path_of(directory: Path, number: int) -> Path:
    """Where the segment of this number lies."""
    return directory / f"{number:010d}{SUFFIX}"


def sync_directory(directory: Path) -> None:
    """Have the disk keep which files there are."""
    with _broken(directory, "synced"):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class _broken:  # noqa: N801 — reads as a word at its places
    """Tells an error of the system as one of the journal."""

    def __init__(self, path: Path, what: str) -> None:
        self._path, self._what = path, what

    def __enter__(self) -> None:
        """Nothing to begin."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, OSError):
            raise _failed(self._path, self._what, error) from error


def _failed(path: Path, what: str, error: OSError) -> JournalBroken:
    return JournalBroken(f"the journal's {path} cannot be {what}: {error.strerror or error}")


__all__ = [
    "HEAD_BYTES",
    "Reserve",
    "Segment",
    "Syncer",
    "found",
    "path_of",
    "sync_directory",
]
