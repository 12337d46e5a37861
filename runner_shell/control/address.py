"""Names of Unix sockets, which the system keeps shorter than paths may be."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_BYTES = 100
"""What fits into `sun_path` everywhere; Linux takes 107, macOS 103."""


@contextmanager
def address_of(path: Path) -> Iterator[str]:
    """A name for this socket that is short enough, good while the block runs.

    Raises:
        OSError: There is none: the path is too long, and the system has no other name for it.
    """
    if len(os.fsencode(path)) <= MAX_BYTES:
        yield str(path)
        return
    if sys.platform != "linux":
        raise OSError(f"{path} is too long for a Unix socket: name a shorter state directory")
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
