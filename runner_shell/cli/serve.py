"""`runner-shell serve`."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import typer

from ..gateway.server import dev_server
from .logs import log_to_stderr


def serve_gateway(*, host: str, port: int, store: Path, token_file: Path) -> None:
    """Serve until SIGINT or SIGTERM; runners are told to dial again."""
    log_to_stderr(debug=False)
    asyncio.run(_serve(host, port, store, token_file))


async def _serve(host: str, port: int, store: Path, token_file: Path) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with dev_server(store_path=store, token_file=token_file, host=host, port=port) as server:
        typer.echo(f"gateway      {server.url}")
        typer.echo(f"store        {store}")
        typer.echo(f"admin token  {server.admin_token}")
        typer.echo(f"             also in {token_file}, while this runs")
        await stopped.wait()
