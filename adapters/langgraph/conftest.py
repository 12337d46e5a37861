"""What every test of this adapter may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest
from langgraph_recording import Recorder


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    """The shell's side of one session, over its processes."""
    return Recorder(tmp_path)
