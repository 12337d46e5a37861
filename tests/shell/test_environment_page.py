"""The page of the environment."""

from __future__ import annotations

from pathlib import Path

from runner_shell.protocol import generated
from runner_shell.shell.configuration import reference
from runner_shell.shell.configuration.environment import NOT_HONOURED, VARIABLES

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


def test_the_committed_page_is_what_the_code_says() -> None:
    """The page in the repository is made from the table as it is now."""
    assert generated.outdated(reference.files(), FOLDER) == []


def test_every_variable_is_named() -> None:
    """Whatever is read, or known and not honoured, stands on the page."""
    page = reference.page()
    names = [name for row in VARIABLES for name in row.names]
    assert [name for name in (*names, *NOT_HONOURED) if f"`{name}`" not in page] == []
