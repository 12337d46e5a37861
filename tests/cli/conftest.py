"""A gateway with the whole REST contract, and terminals."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import gateway_stand_in
import pytest
from pseudo_terminal import Desk
from real_processes import Launcher, RealGateway, launcher


@pytest.fixture(scope="module")
def whole_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGateway]:
    """A gateway process, one for a module's tests."""
    directory = tmp_path_factory.mktemp("gateway")
    with launcher(directory) as made:
        yield RealGateway(made, directory, [sys.executable, gateway_stand_in.__file__])


@pytest.fixture
def desk(launch: Launcher) -> Iterator[Desk]:
    """Opens terminals, and closes them at the end."""
    made = Desk(launch)
    yield made
    made.close()
