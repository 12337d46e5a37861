"""The demo graph under the adapter: loaded by reference, asked, and seen as events."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from langgraph_recording import Recorder
from runner_shell_langgraph import LangGraphAdapter, LangGraphSettings

from runner_shell import AgentFailed, events
from runner_shell.testing.recorder import answered

GRAPH = Path(__file__).parents[3] / "docs/examples/repo_report/graph.py"


def make_repository(path: Path) -> None:
    for name in ("a/one.py", "b/two.py"):
        (path / name).parent.mkdir()
        (path / name).write_text("# TODO\n")
    subprocess.run(["git", "init", "--quiet"], cwd=path, check=True)
    subprocess.run(["git", "add", "."], cwd=path, check=True)


async def opened(recorder: Recorder) -> LangGraphAdapter:
    settings = LangGraphSettings(graph=f"{GRAPH}:graph", checkpointer="memory")
    return await recorder.open(LangGraphAdapter(settings))


async def test_the_demo_shows_what_it_does(tmp_path: Path) -> None:
    """Tools, parallel steps with progress, one question, narration and the artifact all show."""
    recorder = Recorder(tmp_path)
    make_repository(recorder.workspace)
    recorder.person = answered("Modules")
    ending = await recorder.turn(await opened(recorder), "Report, please")

    assert ending.outcome == "completed"
    assert recorder.open_things() == []
    tools = [tool.name for tool in recorder.of(events.ToolStarted)]
    assert tools == ["git_log", "tree", "hot_spots", "todo_scan", "todo_scan"]
    assert [step.name for step in recorder.of(events.StepStarted)].count("module") == 2
    assert recorder.of(events.StepProgress)
    [request] = recorder.asked.values()
    assert (request.timeout_seconds, request.default) == (5.0, "Hot spots")
    assert [artifact.path for artifact in recorder.of(events.ArtifactCreated)] == ["REPORT.md"]
    assert "2 open TODOs" in "".join(delta.text for delta in recorder.of(events.BlockDelta))


async def test_the_demo_fails_clearly(tmp_path: Path) -> None:
    """A directory that is no repository fails the turn with the graph's own code."""
    recorder = Recorder(tmp_path)
    adapter = await opened(recorder)
    with pytest.raises(AgentFailed) as failed:
        await recorder.turn(adapter, "go")
    assert failed.value.code == "not_a_repository"
    assert recorder.open_things() == []
