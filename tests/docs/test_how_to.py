"""What the how-to pages show is true: their Python runs, their variables and codes exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from real_processes import Launcher, RealGateway, eventually

import runner_shell
from runner_shell.shell import outcome as outcomes
from runner_shell.shell.configuration import environment
from runner_shell.testing.hosting import host

DOCS = Path(__file__).resolve().parents[2] / "docs"
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = sorted(DOCS.glob("how-to/*.md"))
BLOCKS = [
    pytest.param(code, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, code in enumerate(PYTHON.findall(page.read_text()))
]
RUN_SECONDS = 120.0
"""Ends a hang; nothing is judged by it."""


def defined_in(page: str, name: str) -> Any:
    """What a page's Python defines under a name, with the public names at hand."""
    names = {public: getattr(runner_shell, public) for public in runner_shell.__all__}
    [code] = [code for code in blocks(page) if f"class {name}(" in code]
    exec(compile(code, page, "exec"), names)  # noqa: S102 — our own document
    return names[name]


def blocks(page: str) -> list[str]:
    """The Python on a how-to page."""
    return PYTHON.findall((DOCS / "how-to" / page).read_text())


@pytest.mark.parametrize("code", BLOCKS)
def test_python_is_python(code: str) -> None:
    """Every Python block can be read by Python, a single `await` included."""
    compile(code, "block", "exec", flags=0x2000)  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


async def test_a_question_may_be_deferred() -> None:
    """The adapter that defers ends its turn `waiting`, and goes on with the answer."""
    careful = defined_in("ask-a-person.md", "Careful")
    async with host(careful, prompt="go", defer_seconds=0.01) as session:
        opened = await session.wait_for("request.opened")
        await session.wait_for("turn.finished", outcome="waiting")
        await session.send("request.answer", request=opened["id"], answer="yes")
        assert (await session.end()).outcome == "completed"
        assert session.text() == "you said yes"


async def test_the_ported_adapter_runs() -> None:
    """The adapter after its port does what the one before did."""
    async with host(defined_in("port-an-older-adapter.md", "Shouter"), prompt="hello") as session:
        assert (await session.end()).outcome == "completed"
        assert session.text() == "HELLO"


def test_what_tests_an_adapter_runs(tmp_path: Path) -> None:
    """The page on testing adapters shows tests that pass, as files of somebody's own."""
    suite, hosted, recorded = blocks("test-an-adapter.md")
    (tmp_path / "test_suite.py").write_text(suite)
    (tmp_path / "hosted.py").write_text(hosted)
    (tmp_path / "recorded.py").write_text(recorded)
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_suite.py"]
    for command in (pytest_, [sys.executable, "hosted.py"], [sys.executable, "recorded.py"]):
        done = subprocess.run(
            command,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_container_s_variables_are_read() -> None:
    """Every variable that the page on containers sets is one that the shell reads."""
    page = (DOCS / "how-to" / "run-in-a-container.md").read_text()
    named = set(re.findall(r"\{name: (\w+)", page))
    read = {name for variable in environment.VARIABLES for name in variable.names}
    assert named
    assert named <= read


def test_the_exit_codes_are_the_shell_s() -> None:
    """The table of exit codes has every code that the shell exits with, and no other."""
    page = (DOCS / "explanation" / "lifecycle.md").read_text()
    table = page.partition("## Exit codes")[2]
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert told == {
        value for name, value in vars(outcomes).items() if name.isupper() and isinstance(value, int)
    }


@pytest.mark.slow
def test_the_client_runs(launch: Launcher, gateway: RealGateway) -> None:
    """The page's program starts a turn, and shows its text and its end."""
    (code,) = blocks("use-the-client.md")
    token = gateway.token_file.read_text().strip()
    for shown, real in (("http://127.0.0.1:8765", gateway.url), ("rs_an-operator's-token", token)):
        assert shown in code
        code = code.replace(shown, real)
    program = launch.start([sys.executable, "-u", str(launch.file("program.py", code))])

    def asked() -> str:
        found = gateway.ask("GET", "/sessions?metadata.team=search").json()["sessions"]
        return next((one["id"] for one in found if one["last_command"] == 1), "")

    session = eventually(asked, "the program's message")
    issued = gateway.ask("POST", f"/sessions/{session}/tokens", json={"role": "runner"})
    runner = launch.container(
        RUNNER_ADAPTER="echo",
        RUNNER_GATEWAY=gateway.url,
        SESSION_ID=session,
        BOT_TOKEN=issued.json()["token"],
        INTERACTIVE="true",
        RUNNER_IDLE_SECONDS="1",
    )
    assert program.wait() == 0, program.err
    assert program.out == "Summarise the open incidents.completed\n"
    assert runner.wait() == 0
