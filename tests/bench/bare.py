"""What a runner is compared with: asyncio and websockets, the same connection, one small frame."""

import asyncio
import os

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol


async def main() -> None:
    connection = await connect(
        os.environ["WEBSOCKET_URL"],
        additional_headers={"Authorization": f"Bearer {os.environ['BOT_TOKEN']}"},
        subprotocols=[Subprotocol("runner-shell.v1")],
        compression=None,
        ping_interval=None,
        max_size=256 * 1024,
        open_timeout=10.0,
        close_timeout=2.0,
    )
    await connection.send('{"frame":"hello"}')
    await connection.recv()  # never comes: the bench ends this process


asyncio.run(main())
