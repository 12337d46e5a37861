"""Terminals."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pseudo_terminal import Desk
from real_processes import Launcher


@pytest.fixture
def desk(launch: Launcher) -> Iterator[Desk]:
    """Opens terminals, and closes them at the end."""
    made = Desk(launch)
    yield made
    made.close()
