"""What `/opt/runner-shell/versions.json` says."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version

import pytest

from runner_shell.images import versions
from runner_shell.images.bundled import cli_version

FOUND = {"runner-shell": "0.1.0", "runner-shell-claude": "0.1.1", "claude-agent-sdk": "0.2.189"}


def test_all_that_is_known() -> None:
    """Shell, adapter, framework, CLI and Python each have their version."""
    text = versions.document(
        "claude",
        FOUND,
        adapter="runner-shell-claude",
        framework="claude-agent-sdk",
        cli="2.1.332",
        python="3.13.5",
    )
    assert json.loads(text) == {
        "image": "claude",
        "runner-shell": "0.1.0",
        "adapter": {"name": "runner-shell-claude", "version": "0.1.1"},
        "framework": {"name": "claude-agent-sdk", "version": "0.2.189"},
        "cli": "2.1.332",
        "python": "3.13.5",
    }


def test_what_is_not_known_is_left_out() -> None:
    """The base has neither adapter nor CLI, and says nothing of them."""
    assert json.loads(versions.document("base", FOUND)) == {
        "image": "base",
        "runner-shell": "0.1.0",
    }


def test_an_adapter_that_is_not_there() -> None:
    """A distribution that was not found is an error, not an empty version."""
    with pytest.raises(KeyError, match="nothing"):
        versions.document("x", FOUND, adapter="nothing")


def test_an_environment_says_what_it_holds() -> None:
    """The command names what is installed here, the bundled CLI included."""
    command = ("claude", "--adapter", "runner-shell-claude", "--framework", "claude-agent-sdk")
    said = json.loads(run(*command).stdout)
    assert said["runner-shell"] == version("runner-shell")
    assert said["framework"]["version"] == version("claude-agent-sdk")
    assert said["cli"].count(".") == 2
    assert said["python"] == sys.version.split()[0]


def test_a_distribution_that_is_not_installed() -> None:
    """The command says which one is missing, and exits with 2."""
    done = run("x", "--adapter", "nothing-like-it")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nothing-like-it is not installed here" in done.stderr


def test_it_needs_the_standard_library_only() -> None:
    """It runs in an image that has none of the extra `images`."""
    code = (
        "import sys; before = set(sys.modules); import runner_shell.images.versions; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new - sys.stdlib_module_names))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "['runner_shell']\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"""Doc."""\n\n__cli_version__ = "2.1.332"\n', "2.1.332"),
        ("__cli_version__='1.0.0'", "1.0.0"),
        ("version = '3'", ""),
    ],
)
def test_the_cli_s_version_is_read_not_run(text: str, expected: str) -> None:
    """The SDK's file is text: its version is found in it without importing it."""
    assert cli_version(text) == expected


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runner_shell.images.versions", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
