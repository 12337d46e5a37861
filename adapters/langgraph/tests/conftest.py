"""Runs `async def` tests within a deadline; real processes, as the core's own tests start them."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "tests"))

from real_processes import Launcher, RealGateway, launcher

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
