"""The end of the socket that answers: says how the runner stands, and listens to nobody."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec

from .address import address_of
from .status import Status

SEND_SECONDS = 2.0
"""Who does not take one small object in this time gets none."""

_PEER = struct.Struct("3i")  # pid, uid, gid: struct ucred of unix(7)

log = logging.getLogger("runner_shell")


class StatusServer:
    """Answers at a Unix socket while the block runs.

    Each connection gets one JSON object and a line's end, and is closed; nothing is ever read. Only
    the runner's own user gets it: the directory is closed to others, and the peer's user is checked
    besides. A runner that cannot listen there goes on without, and says so in its log.

    Args:
        path: Where; a socket that an earlier process has left is replaced.
        status: How the runner stands, when somebody asks.
    """

    def __init__(self, path: Path, status: Callable[[], Status]) -> None:
        self._path = path
        self._status = status
        self._server: asyncio.Server | None = None
        self._inode = 0

    async def __aenter__(self) -> Self:
        try:
            listener = _listen(self._path)
            self._inode = self._path.stat().st_ino
            self._server = await asyncio.start_unix_server(self._answer, sock=listener)
        except OSError as error:
            log.warning("no status at %s: %s", self._path, error)
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._server is None:
            return
        self._server.close()
        with suppress(OSError):
            if self._path.stat().st_ino == self._inode:  # else a newer process answers there
                self._path.unlink()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        try:
            if _is_own_user(writer.get_extra_info("socket")):
                writer.write(msgspec.json.encode(self._status()) + b"\n")
                async with asyncio.timeout(SEND_SECONDS):
                    await writer.drain()
        except (OSError, TimeoutError):
            pass  # whoever asked is gone
        finally:
            writer.close()


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        with address_of(path) as address:
            listener.bind(address)
        path.chmod(0o600)
        listener.listen()
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _is_own_user(peer: socket.socket) -> bool:
    if sys.platform != "linux":
        return True  # the directory's mode says the same
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    _, uid, _ = _PEER.unpack(credentials)
    return bool(uid == os.geteuid())
