"""A gateway's process: the real one, at a fixed port, with short heartbeats.

python -m tests.chaos.gateway STORE PORT TOKEN_FILE
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from runner_shell.gateway.app import Gateway
from runner_shell.gateway.core import GatewayCore
from runner_shell.gateway.server import serve
from runner_shell.gateway.sqlite import SqliteStore
from runner_shell.gateway.store import DEFAULT_TENANT
from runner_shell.gateway.tokens import Role, StoreAuthenticator, issue
from runner_shell.link.gateway import GatewayLimits
from tests.chaos import mutants

HEARTBEAT_SECONDS = 0.5


async def main(store_path: str, port: int, token_file: Path) -> None:
    """Serve until SIGTERM; the admin token's file is there once it answers."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    token, record = issue(Role.ADMIN, DEFAULT_TENANT)
    async with SqliteStore(store_path) as store:
        core = GatewayCore(store, limits=GatewayLimits(heartbeat_seconds=HEARTBEAT_SECONDS))
        gateway = Gateway(core, StoreAuthenticator(store, extra=(record,)))
        async with serve(gateway, port=port):
            token_file.with_suffix(".new").write_text(token)
            token_file.with_suffix(".new").rename(token_file)
            await stop.wait()


if __name__ == "__main__":
    mutants.apply(os.environ.get("CHAOS_MUTANT", ""))
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
