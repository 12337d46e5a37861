"""Runs `async def` tests; real processes, as the core's own tests start them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "tests"))
sys.path.insert(1, str(Path(__file__).parents[3] / "tests" / "shell"))

from async_tests import pytest_pyfunc_call  # noqa: F401 — a hook
from real_processes import Launcher, RealGateway, launcher
from running_graphs import Running


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


@pytest.fixture
def run(launch: Launcher, gateway: RealGateway) -> Any:
    """Starts a runner of a graph."""

    def start(graph: str | Path, **more: str) -> Running:
        return Running(launch, gateway, graph, **more)

    return start
