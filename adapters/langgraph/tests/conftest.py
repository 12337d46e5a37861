"""Runners of graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from real_processes import Launcher, RealGateway
from running_graphs import Running


@pytest.fixture
def run(launch: Launcher, gateway: RealGateway) -> Any:
    """Starts a runner of a graph."""

    def start(graph: str | Path, **more: str) -> Running:
        return Running(launch, gateway, graph, **more)

    return start
