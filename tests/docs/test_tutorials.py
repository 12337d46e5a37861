"""The tutorials do what they say: every file and every command is taken from the page and run."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from real_processes import free_port
from test_wheels import uv
from tutorial import Terminal, prints, steps, work_through

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = ROOT / "docs" / "tutorials"
NOT_CHECKED_OUT = (".git", ".venv", ".tools", ".*_cache", ".hypothesis", ".demo")
NOT_CHECKED_OUT += ("__pycache__", "dist", "build", "tests")
PAGES = sorted(page.name for page in TUTORIALS.glob("*.md") if page.name != "README.md")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is here, as somebody has checked it out, with `make setup` done."""
    copy = tmp_path_factory.mktemp("checkout") / "runner-shell"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_CHECKED_OUT))
    # What `make setup` makes; it finds it made, because nobody's environment may point to a copy.
    (copy / ".venv").mkdir()
    (copy / ".venv" / "bin").symlink_to(Path(sys.executable).parent, target_is_directory=True)
    (copy / ".venv" / ".ready").touch()
    return copy


@pytest.fixture
def environment(tmp_path: Path, checkout: Path) -> dict[str, str]:
    """A reader's environment: a home of their own, the tools that the page asks for."""
    tools = tmp_path / "bin"
    tools.mkdir()
    called = " ".join(f"'{word}'" for word in uv())
    (tools / "uv").write_text(f'#!/bin/sh\nexec {called} "$@"\n')
    (tools / "uv").chmod(0o755)
    # The interpreter itself: from an environment's own, uv would install into that environment.
    for name in ("python", "python3"):
        (tools / name).symlink_to(sys._base_executable)
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("UV_", "SSL_", "REQUESTS_", "XDG_CACHE", "PIP_", "LANG", "LC_"))
        or name.lower().endswith("_proxy")
    }
    cache = os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv"))
    return kept | {
        "HOME": str(tmp_path),
        "PATH": f"{tools}:{os.environ['PATH']}",
        "RUNNER_SHELL": str(checkout),
        "UV_CACHE_DIR": cache,
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_SYSTEM_CERTS": "1",
        "TERM": "dumb",
    }


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_a_tutorial_does_what_it_says(
    page: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """Worked through from top to bottom, every command prints what the page shows."""
    # The one thing that is changed: two pages must not meet at one port.
    text = (TUTORIALS / page).read_text().replace("8765", str(free_port()))
    with Terminal(tmp_path, environment) as terminal:
        work_through(text, terminal)


@pytest.mark.parametrize("page", PAGES)
def test_a_tutorial_has_no_code_that_nobody_runs(page: str) -> None:
    """Each page has files or commands, and nothing else that looks like them."""
    assert len(list(steps((TUTORIALS / page).read_text()))) > 3


def test_code_that_nothing_would_run_is_a_fault() -> None:
    """A block that is neither a named file nor typed is not passed over."""
    with pytest.raises(ValueError, match="line 3"):
        list(steps("So:\n\n```python\nprint()\n```\n"))


def test_files_and_commands_are_read_as_a_person_reads_them() -> None:
    """The file's name is the paragraph's last, a command's output goes to the next command."""
    page = "Look at `b.py`.\nThis is `a.py`:\n\n```python\nx\n```\n\n"
    page += "```console\n$ a \\\n> b\nc\n$ d\n```\n"
    assert list(map(tuple, steps(page))) == [("a.py", "x\n"), ("a \\\nb", ["c"]), ("d", [])]


def test_output_is_compared_line_by_line() -> None:
    """`…` stands for any text, alone for any lines; everything else is literal."""
    assert prints(["a … c", "…", "d"], "a b c\nx\ny\nd\n")
    assert prints([], "")
    assert not prints(["a"], "a\nb\n")
    assert not prints(["a.c"], "abc\n")
    assert not prints([], "a\n")


def test_a_page_that_lies_is_found(tmp_path: Path) -> None:
    """A command that prints something else fails the page, with both said."""
    page = "```console\n$ cd /\n$ echo two\none\n```\n"
    with (
        Terminal(tmp_path, {"PATH": os.environ["PATH"]}) as terminal,
        pytest.raises(AssertionError, match=r"(?s)shows:\none.*prints:\ntwo"),
    ):
        work_through(page, terminal)
