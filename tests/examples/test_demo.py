"""The demo, as `make demo` runs it: three real processes and a real WebSocket."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[2] / "docs/examples/repo_report/demo.py"


def demo(repository: str, into: Path) -> subprocess.CompletedProcess[str]:
    """Run it with nobody at the keyboard."""
    return subprocess.run(
        [sys.executable, DEMO, repository],
        env=os.environ | {"DEMO_DIR": str(into), "XDG_STATE_HOME": str(into / "state")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def make_repository(path: Path) -> str:
    """A repository with one commit."""
    identity = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org"]
    subprocess.run(["git", "init", "--quiet", path], check=True)
    (path / "main.py").write_text("# TODO: everything\n")
    subprocess.run(["git", "add", "."], cwd=path, check=True)
    subprocess.run(["git", *identity, "commit", "--quiet", "-m", "Begin"], cwd=path, check=True)
    return str(path)


@pytest.mark.slow
def test_the_demo_reports_and_says_how_to_look_again(tmp_path: Path) -> None:
    """It ends completed, with the report written and the session still to be read."""
    done = demo(make_repository(tmp_path / "repository"), tmp_path / "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if " " in line.strip())
    assert said["outcome"] == "completed (exit code 0)"
    assert "Commits: 1" in Path(said["report"]).read_text()
    again = done.stdout.split("look again")[1].split()
    command = [Path(sys.executable).with_name("runner-shell"), *again[1:], "--json"]
    read = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    stored = int(done.stdout.split("events stored")[1].split()[0])
    assert len(read.stdout.splitlines()) == stored > 20


def test_a_repository_that_is_none_is_said(tmp_path: Path) -> None:
    """A wrong REPO is named, with exit code 2."""
    done = demo(str(tmp_path / "nothing"), tmp_path / "demo")
    assert done.returncode == 2
    assert "cannot be cloned" in done.stderr
