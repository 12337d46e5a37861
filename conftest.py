"""Runs `async def` tests, each in a fresh event loop and within a deadline; real processes."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from real_processes import Launcher, RealGateway, launcher

TEST_SECONDS = 120.0
"""Ends a hang; nothing is judged by it."""


hypothesis.settings.register_profile("shared machine", deadline=None)
hypothesis.settings.load_profile("shared machine")


def pytest_configure() -> None:
    """Take Ctrl-C as in a terminal, and let no proxy of the machine's stand before loopback.

    A shell starts its background jobs deaf to Ctrl-C.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("NO_PROXY", "no_proxy"):
        others = os.environ.get(name)
        os.environ[name] = f"{others},127.0.0.1,localhost" if others else "127.0.0.1,localhost"


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


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launcher]:
    """Starts real processes, in directories of their own, and ends them."""
    with launcher(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGateway]:
    """A real gateway, one for a module's tests; each makes its own sessions."""
    directory = tmp_path_factory.mktemp("gateway")
    with launcher(directory) as made:
        yield RealGateway(made, directory)
