"""Where the gateway's log lines go."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from runner_shell.gateway.logs import Log

from .site import hear, site
from .support import hello

NAME = "runner_shell.gateway.runner.connection"


@pytest.fixture(autouse=True)
def _unconfigured() -> Iterator[None]:
    """structlog as it is where nobody has configured it."""
    before = structlog.get_config() if structlog.is_configured() else None
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    if before is not None:
        structlog.configure(**before)


async def _a_runner_comes_and_goes() -> None:
    async with site() as served:
        token = await served.create()
        async with served.dial(token) as runner:
            await runner.send(hello())
            await hear(runner, "welcome")


async def test_an_embedded_gateway_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Its application's stdout may be a pipe that nobody reads: once full, it stops the loop."""
    await _a_runner_comes_and_goes()
    assert capfd.readouterr() == ("", "")


async def test_standard_logging_gets_the_lines(caplog: pytest.LogCaptureFixture) -> None:
    """With their fields, at the level that the application asks for."""
    with caplog.at_level(logging.DEBUG, logger=NAME):
        await _a_runner_comes_and_goes()
    (line,) = [record.getMessage() for record in caplog.records if record.name == NAME]
    assert line.startswith("event=runner_gone session=s why=")


def test_structlog_gets_the_lines_where_it_is_configured() -> None:
    """As fields, also where it is configured after the gateway was imported."""
    log, seen = Log(NAME), []

    def note(logger: Any, method: str, fields: Any) -> Any:
        seen.append((method, fields))
        raise structlog.DropEvent

    structlog.configure(processors=[note])
    log.warning("store_failed", session="s")
    assert seen == [("warning", {"event": "store_failed", "session": "s"})]
