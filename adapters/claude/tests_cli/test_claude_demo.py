"""The demo, as `make demo-claude` runs it: a real runner, the real CLI, nobody at the keyboard."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.bounded]

DEMO = Path(__file__).resolve().parents[3] / "docs/examples/claude_fix/demo.py"


def test_the_demo_mends_its_test(tmp_path: Path) -> None:
    """It asks before it edits, edits, and the tests that failed pass; nothing is left running."""
    done = subprocess.run(
        [sys.executable, DEMO],
        env=os.environ | {"DEMO_DIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if " " in line.strip())
    assert said["tests"] == "pass"
    assert "in 1 s by default: allow" in done.stdout
    assert "(100 - discount_percent)" in Path(said["mended"]).read_text()
