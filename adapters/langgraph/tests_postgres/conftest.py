"""One server for all tests, and a database for each."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from real_postgres import Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One server for all tests; each has a database of its own."""
    with tempfile.TemporaryDirectory(prefix="pg") as parent:
        Path(parent).chmod(0o755)
        directory = Path(parent, "data")
        directory.mkdir(mode=0o700)
        made = Server(directory)
        made.initialise()
        made.start()
        try:
            yield made
        finally:
            made.stop()


@pytest.fixture
def database(server: Server, request: pytest.FixtureRequest) -> str:
    """The URL of a fresh database."""
    name = f"test_{abs(hash(request.node.nodeid))}"
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return server.url(name)
