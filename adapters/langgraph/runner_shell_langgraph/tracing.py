"""Traces: LangChain sends them from a thread of its own, which the runner's end would cut off."""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import suppress

TRACER = "langchain_core.tracers.langchain"
"""Imported by LangChain when something is traced to LangSmith, and not before."""

SECONDS = 3.0
"""How long the adapter's end may wait for them; a LangSmith that is away must not hold it up."""


async def send_traces(seconds: float = SECONDS) -> bool:
    """Wait until what was traced so far is sent.

    Returns:
        Whether it was, within that time; at once where nothing is traced.
    """
    if TRACER not in sys.modules:
        return True
    from langchain_core.tracers.langchain import wait_for_all_tracers

    loop, sent = asyncio.get_running_loop(), asyncio.Event()

    def send() -> None:
        wait_for_all_tracers()
        with suppress(RuntimeError):  # nobody waits any more, and the loop is closed
            loop.call_soon_threadsafe(sent.set)

    # A thread that is waited for by nobody else: it takes no limit itself.
    threading.Thread(target=send, name="traces", daemon=True).start()
    try:
        async with asyncio.timeout(seconds):
            await sent.wait()
    except TimeoutError:
        return False
    return True
