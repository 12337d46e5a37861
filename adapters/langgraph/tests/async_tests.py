"""A pytest plug-in: runs `async def` tests, each in a fresh event loop and within a deadline."""

from __future__ import annotations

import asyncio
import inspect

import pytest

TEST_SECONDS = 120.0
"""Ends a hang; nothing is judged by it."""


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test in a fresh event loop."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    asyncio.run(_within(pyfuncitem.obj, arguments))
    return True


async def _within(test: object, arguments: dict[str, object]) -> None:
    assert callable(test)
    async with asyncio.timeout(TEST_SECONDS):
        await test(**arguments)
