"""What a real CLI said, recorded: the events it becomes, and a turn that it makes.

`make record-claude` records it anew and writes the events beside it; git shows what changed.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from claude_recording import Recorder
from record import RECORDED, SCENARIOS, become, shown
from runner_shell_claude.testing.frames import Replay, load

from runner_shell import events

ENDINGS = {"failure": "failed"}


def expected(name: str) -> list[str]:
    return (RECORDED / f"{name}.events").read_text(encoding="utf-8").splitlines()


def test_every_scenario_is_recorded() -> None:
    """No recording without a scenario to record it anew, and none that was forgotten."""
    assert {path.stem for path in RECORDED.glob("*.jsonl")} == set(SCENARIOS)


@pytest.mark.parametrize("name", SCENARIOS)
def test_recorded_frames_become_these_events(name: str) -> None:
    """To the line: what changes here changes what every viewer sees."""
    assert become(RECORDED / f"{name}.jsonl") == expected(name)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_recording_makes_a_turn(name: str, tmp_path: Path) -> None:
    """Through the SDK's client, without a process: the same events, an ending, nothing open."""
    recorder = Recorder(tmp_path)
    adapter = await recorder.adapter(ANTHROPIC_API_KEY="none", CLAUDE_CLI=__file__)
    adapter._conversation.transport = lambda: Replay(load(RECORDED / f"{name}.jsonl"))
    try:
        ending = await recorder.turn(adapter, "go")
    finally:
        await adapter.close()
    assert ending.outcome == ENDINGS.get(name, "completed")
    own = (events.UsageUpdated, events.Error)
    said = [shown(event) for event in recorder.events if not isinstance(event, own)]
    assert said == expected(name)
    assert recorder.open_things() == []
