"""Where the peers' frames go: `python -m tests.bench.delivery.sink` stores nothing of them."""

from __future__ import annotations

import asyncio
import re
import sys
import time

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from .flood import TEXT
from .notes import note

END = "end"
_WORDS = TEXT[:10].encode()
_TIME = re.compile(rb'^(\d+\.\d{6})$|"text": "(\d+\.\d{6})"')


async def _take(connection: ServerConnection) -> None:
    late: list[float] = []
    while True:
        try:
            frame = await connection.recv(decode=False)
        except ConnectionClosed:
            return
        if frame == END.encode():
            note("stored", received=late, committed=[])
            late = []
        elif _WORDS not in frame and (found := _TIME.search(frame)):
            late.append(time.monotonic() - float(found[1] or found[2]))


async def _main() -> None:
    async with serve(
        _take, "127.0.0.1", 0, compression=None, ping_interval=None, max_size=None
    ) as server:
        note("listening", port=server.sockets[0].getsockname()[1])
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main())
