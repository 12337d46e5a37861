"""Whole sessions in containers: LangGraph, the real Claude Code, and what others build on ours."""

from __future__ import annotations

import pytest
from containers import EXAMPLES, Session, build, ours
from runner_shell_claude.testing import Reply, ScriptedModel, ToolUse

from runner_shell.images.checks import ARBITRARY_UID
from runner_shell.images.hardening import Confinement

pytestmark = [pytest.mark.slow, pytest.mark.bounded]


@pytest.mark.parametrize("uid", [10001, ARBITRARY_UID])
def test_a_graph_copied_into_ours_runs(session: Session, uid: int) -> None:
    """`FROM` ours and `COPY graph.py`, as the example has it, is a runner."""
    build(EXAMPLES / "langgraph_image", "runner-shell-test/graph")
    (session.workspace / "one.txt").write_text("1")
    container = session.start(
        "runner-shell-test/graph", {"PROMPT": "count"}, confinement=Confinement(uid=uid)
    )
    assert container.wait() == 0, container.said
    assert session.file("REPORT.md") == "# 1 files\n"
    assert [event["name"] for event in session.events("step.started")] == ["count", "tell"]
    assert container.termination()["outcome"] == "completed"


def test_somebody_else_s_adapter_runs(session: Session) -> None:
    """The base and one `pip install`, as the example has it, is a runner."""
    build(EXAMPLES / "adapter_image", "runner-shell-test/adapter")
    container = session.start("runner-shell-test/adapter", {"PROMPT": "hello"})
    assert container.wait() == 0, container.said
    assert session.text() == "HELLO"


@pytest.mark.parametrize("uid", [10001, ARBITRARY_UID])
def test_claude_works_in_its_image(session: Session, uid: int) -> None:
    """The real CLI, confined: it runs a tool, writes a file, says so, and leaves no process."""
    command = "echo from the container >made; id -u >uid"
    replies = [Reply("I write.", tools=[ToolUse("Bash", {"command": command})]), Reply("Done.")]
    with ScriptedModel(replies) as model:
        given = {**model.environment(), "PROMPT": "go", "NON_INTERACTIVE_POLICY": "allow"}
        container = session.start(ours("claude"), given, confinement=Confinement(uid=uid))
        assert container.wait() == 0, container.said
        assert model.overruns == []
    assert session.file("made") == "from the container\n"
    assert session.file("uid") == f"{uid}\n"
    assert session.text().endswith("Done.")
    assert container.termination()["outcome"] == "completed"
