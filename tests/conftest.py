"""Runs `async def` tests, each in a fresh event loop and within a deadline."""

from __future__ import annotations

import asyncio
import inspect

import pytest

TEST_SECONDS = 30.0


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine function with `asyncio.run`; leave everything else to pytest."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    asyncio.run(_within(test, arguments))
    return True


async def _within(test: object, arguments: dict[str, object]) -> None:
    assert callable(test)
    async with asyncio.timeout(TEST_SECONDS):
        await test(**arguments)
