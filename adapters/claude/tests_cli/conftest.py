"""The real Claude Code, apart from the person at whose machine it is tested."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from runner_shell_claude.testing import ScriptedModel


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A home with nothing in it: the CLI's shell reads the start-up files of the one it is given.

    One that waits there for a lock, as some version managers do, holds up every tool for a minute.
    Nor is there a key, a provider or a setting of that person's own, which would count too.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in tuple(os.environ):
            if name.startswith(("ANTHROPIC_", "CLAUDE_", "XDG_")):
                patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    """The model that the real CLI asks; a test says what it answers."""
    with ScriptedModel() as made:
        yield made
