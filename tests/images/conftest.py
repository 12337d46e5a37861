"""Sessions in containers of the built images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from containers import Session
from real_processes import RealGateway


@pytest.fixture
def new_session(tmp_path: Path, gateway: RealGateway) -> Iterator[Callable[[], Session]]:
    """Makes sessions; their containers and volumes are gone after the test."""
    with ExitStack() as stack:
        yield lambda: Session(tmp_path, gateway, stack)


@pytest.fixture
def session(new_session: Callable[[], Session]) -> Session:
    """One session."""
    return new_session()
