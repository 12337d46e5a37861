"""Where the peers' frames go: `python -m tests.bench.delivery.sink bare|naive` stores nothing.

A frame has arrived once its receiver knows what it says: the naive peer's reads its JSON, as the
gateway does, and the bare peer's looks for the time in it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from .flood import TEXT
from .notes import note

END = "end"
_WORDS = TEXT[:10].encode()


def _bare(frame: bytes) -> str:
    """The time that a log line holds; empty in others."""
    return "" if _WORDS in frame else frame.decode()


def _naive(frame: bytes) -> str:
    text: str = json.loads(frame)["payload"]["text"]
    return "" if text == TEXT else text


_READS = {"bare": _bare, "naive": _naive}


async def _take(connection: ServerConnection) -> None:
    read = _READS[sys.argv[1]]
    late: list[float] = []
    while True:
        try:
            frame = await connection.recv(decode=False)
        except ConnectionClosed:
            return
        if frame == END.encode():
            note("stored", received=late, committed=[])
            late = []
        elif emitted := read(frame):
            late.append(time.monotonic() - float(emitted))


async def _main() -> None:
    async with serve(
        _take, "127.0.0.1", 0, compression=None, ping_interval=None, max_size=None
    ) as server:
        note("listening", port=server.sockets[0].getsockname()[1])
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main())
