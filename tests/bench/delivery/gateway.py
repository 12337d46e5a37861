"""The gateway's process: the real one with its store in a file, which notes what was committed.

python -m tests.bench.delivery.gateway STORE PORT TOKEN_FILE
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path

import msgspec

from runner_shell.gateway.app import Gateway
from runner_shell.gateway.core import GatewayCore
from runner_shell.gateway.server import serve
from runner_shell.gateway.sqlite import SqliteStore
from runner_shell.gateway.store import (
    DEFAULT_TENANT,
    Append,
    EventRow,
    Outcome,
    SessionKey,
    SessionRecord,
)
from runner_shell.gateway.tokens import Role, StoreAuthenticator, issue

from .notes import note


class _Log(msgspec.Struct):
    message: str


class NotingStore(SqliteStore):
    """Notes dials, committed endings of turns, and how late log lines came."""

    _dialled = False

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._received: list[float] = []
        self._committed: list[float] = []

    async def get_session(self, key: SessionKey) -> SessionRecord:
        """The first one asked for belongs to the first runner that dials."""
        if not self._dialled:
            self._dialled = True
            note("dialled")
        return await super().get_session(key)

    def append_frames(self, appends: Sequence[Append]) -> Awaitable[Sequence[Outcome]]:
        """Note times around the commit."""
        return self._noted(appends, time.monotonic(), super().append_frames(appends))

    async def _noted(
        self, appends: Sequence[Append], received: float, outcomes: Awaitable[Sequence[Outcome]]
    ) -> Sequence[Outcome]:
        rows = [row for append in appends for row in append.rows]
        emitted = [_emitted(row) for row in rows if row.type == "log"]
        done = await outcomes
        committed = time.monotonic()
        self._received += [received - at for at in emitted]
        self._committed += [committed - at for at in emitted]
        if any(row.type == "turn.finished" for row in rows):
            note("stored", received=self._received, committed=self._committed)
            self._received, self._committed = [], []
        return done


def _emitted(row: EventRow) -> float:
    return float(msgspec.json.decode(row.data, type=_Log).message)


async def main(store_path: str, port: int, token_file: Path) -> None:
    """Serve until SIGTERM; the admin token's file is there once it answers."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    token, record = issue(Role.ADMIN, DEFAULT_TENANT)
    async with NotingStore(store_path) as store:
        gateway = Gateway(GatewayCore(store), StoreAuthenticator(store, extra=(record,)))
        async with serve(gateway, port=port):
            await asyncio.to_thread(token_file.write_text, token)
            note("serving")
            await stop.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
