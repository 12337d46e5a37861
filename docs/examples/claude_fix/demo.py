"""The demo of the Claude adapter: the real CLI mends a failing test, without a key.

    python docs/examples/claude_fix/demo.py

A scripted model stands in for the API; all else is real: Claude Code, its tools, the files that it
edits, the tests it runs, the permission that it asks you for. What it makes lies in `.demo/`, or
in `DEMO_DIR`. The exit code is the runner's.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from runner_shell_claude.testing import Reply, ScriptedModel, ToolUse

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[2]
DEMO = Path(os.environ.get("DEMO_DIR") or PROJECT / ".demo").absolute()
RUNNER_SHELL = Path(sys.executable).with_name("runner-shell")

PROMPT = "The tests fail. Find out why, mend it, and show that they pass."
TESTS = shlex.join([sys.executable, "-m", "unittest", "-q"])
ANSWER_SECONDS = {True: 60, False: 1}
"""How long you have to answer; without a terminal nobody is there."""

CODE = '''\
"""Prices in cents."""


def total(prices: list[int], discount_percent: int = 0) -> int:
    """The sum of all prices, less the discount, rounded down."""
    return sum(prices) * discount_percent // 100
'''

TEST = """\
import unittest

from prices import total


class TestTotal(unittest.TestCase):
    def test_without_a_discount(self):
        self.assertEqual(total([250, 750]), 1000)

    def test_with_a_discount(self):
        self.assertEqual(total([250, 750], discount_percent=10), 900)
"""


def main() -> int:
    """Make a small repository, and let Claude mend it in this terminal."""
    session = time.strftime("fix-%Y%m%d-%H%M%S")
    workspace = DEMO / session
    make_repository(workspace)
    with ScriptedModel(script(workspace)) as model:
        code = run_session(session, workspace, model)
    tell(workspace, code)
    return code


def make_repository(workspace: Path) -> None:
    """One module with a mistake, and its tests."""
    workspace.mkdir(parents=True)
    (workspace / "prices.py").write_text(CODE, encoding="utf-8")
    (workspace / "test_prices.py").write_text(TEST, encoding="utf-8")
    print(f"a repository with a failing test: {shown(workspace)}", flush=True)


def script(workspace: Path) -> list[Reply]:
    """What the model says: the part of the demo that is not real."""
    wrong = "    return sum(prices) * discount_percent // 100"
    right = "    return sum(prices) * (100 - discount_percent) // 100"
    file = str(workspace / "prices.py")
    run = ToolUse("Bash", {"command": TESTS, "description": "Run the tests"})
    edit = ToolUse("Edit", {"file_path": file, "old_string": wrong, "new_string": right})

    def reply(text: str, thinking: str = "", *tools: ToolUse) -> Reply:
        return Reply(text, thinking, tools, chunk_characters=6, delta_seconds=0.02)

    return [
        reply("I run the tests first.", "See it fail before mending anything.", run),
        reply("Both fail. I look at the code.", "", ToolUse("Read", {"file_path": file})),
        reply(
            "The discount is taken for the price: without one, everything is free. I mend it.",
            "discount_percent must be taken off the whole.",
            edit,
        ),
        reply("And the tests again.", "", run),
        reply("Both tests pass: the total is now what is left after the discount."),
    ]


def run_session(session: str, workspace: Path, model: ScriptedModel) -> int:
    """The runner, in this terminal; it asks before it edits."""
    command = [
        *(RUNNER_SHELL, "run", "--adapter", "claude", "--session", session),
        *("--workspace", workspace, "--state-dir", DEMO / "state" / session),
        *("--prompt", PROMPT),
    ]
    environment = os.environ | {
        **model.environment(),
        "LLM_MODEL": "claude-sonnet-5",
        "CLAUDE_ALLOWED_TOOLS": f"Read,Bash({TESTS}:*)",
        "CLAUDE_ANSWER_SECONDS": str(ANSWER_SECONDS[sys.stdin.isatty()]),
        "NON_INTERACTIVE_POLICY": "allow",
    }
    with subprocess.Popen(command, env=environment) as runner:
        while True:
            try:
                return runner.wait()
            except KeyboardInterrupt:
                continue  # the terminal told the runner too; it decides


def tell(workspace: Path, code: int) -> None:
    """Whether the tests really pass now."""
    tested = subprocess.run(
        [sys.executable, "-m", "unittest", "-q"], cwd=workspace, capture_output=True, check=False
    )
    print()
    print(f"exit code  {code}")
    print(f"tests      {'pass' if tested.returncode == 0 else 'fail'}")
    print(f"mended     {shown(workspace / 'prices.py')}")


def shown(path: Path) -> Path:
    """A path as one would type it in the project's directory."""
    return path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path


if __name__ == "__main__":
    sys.exit(main())
