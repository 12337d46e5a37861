"""A container that is stopped, killed or out of memory: its ending is true, the next goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from containers import Session, ours
from real_processes import script

from runner_shell.images.hardening import Confinement

pytestmark = [pytest.mark.slow, pytest.mark.bounded]

HOLD = {"RUNNER_ADAPTER": "scripted", "PROMPT": script({"say": "one"}, {"delay": 600})}

GRAPH = """
import os
from pathlib import Path
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

HERE = Path(os.environ["WORKSPACE_PATH"])

def first(state):
    with (HERE / "first").open("a") as file:
        file.write("done\\n")
    return {"messages": [AIMessage("first")]}

def second(state):
    if not (HERE / "second").exists():
        (HERE / "second").touch()
        mode = (HERE / "mode").read_text()
        hoard = []
        while mode == "hoard":
            hoard.append(bytearray(8 << 20))
        while True:
            pass
    return {"messages": [AIMessage("second")]}

builder = StateGraph(MessagesState)
builder.add_node(first)
builder.add_node(second)
builder.add_edge(START, "first")
builder.add_edge("first", "second")
graph = builder.compile()
"""


def test_sigterm_drains(session: Session) -> None:
    """A stop reaches the runner, which says its ending and exits with 143."""
    container = session.start(ours("base"), HOLD)
    session.until(lambda: "block.finished" in session.types(), container)
    container.kill("TERM")
    assert container.wait() == 143
    (turn,) = session.events("turn.finished")
    assert turn["outcome"] == "interrupted"
    assert session.types()[-1] == "session.finished"
    assert container.termination()["outcome"] == "interrupted"
    assert container.termination()["last_acked"] == session.gateway.events(session.id)[-1]["seq"]


def test_a_stop_that_comes_at_once_is_not_lost(session: Session) -> None:
    """A signal before Python has begun waits for the guardian: the kernel drops none."""
    container = session.start(ours("base"), HOLD)
    session.until(lambda: container.kill_once("TERM"), container)
    assert container.wait() == 143, container.said


def test_whoever_loses_its_parent_is_reaped(session: Session) -> None:
    """A hundred orphans that end leave no zombie behind, with the guardian as first process."""
    orphans = "for i in $(seq 100); do (sh -c 'exit 0' &) ; done; touch /workspace/orphaned"
    actions = ({"spawn": ["sh", "-c", orphans]}, {"delay": 600})
    container = session.start(
        ours("base"), {"RUNNER_ADAPTER": "scripted", "PROMPT": script(*actions)}
    )
    session.until(lambda: (session.workspace / "orphaned").exists(), container)
    states = "cat /proc/[0-9]*/stat 2>/dev/null | grep -c ' Z ' || true"

    def zombies() -> int:
        return int(container.exec("sh", "-c", states))

    # The shell that made them is the runner's child, and its zombie until that looks.
    session.until(lambda: zombies() <= 1, container)


@pytest.mark.parametrize("cause", ["out of memory", "killed"])
def test_the_next_container_goes_on_where_the_last_was_killed(
    session: Session, tmp_path: Path, cause: str
) -> None:
    """From the volume: a step that was done is not done again, and the turn has one ending."""
    (tmp_path / "graph.py").write_text(GRAPH)
    (session.workspace / "mode").write_text("hoard" if cause == "out of memory" else "spin")
    given = {"GRAPH": "./graph.py:graph", "PROMPT": "go"}
    files = {"/app/graph.py": tmp_path / "graph.py"}
    small = Confinement(memory_mb=200)
    container = session.start(ours("langgraph"), given, files=files, confinement=small)
    session.until(lambda: (session.workspace / "second").exists(), container)
    if cause == "killed":
        container.kill("KILL")
    assert container.wait() == 137
    if cause == "out of memory":  # only the runner was killed: the guardian tells of it
        assert "SIGKILL" in container.termination()["reason"]
    after = session.start(ours("langgraph"), given, files=files, confinement=small)
    assert after.wait() == 0, after.said
    assert session.file("first") == "done\n"
    assert session.types().count("session.started") == 2
    endings = {event["turn"]: event["outcome"] for event in session.events("turn.finished")}
    assert list(endings) == [event["turn"] for event in session.events("turn.started")]
    assert list(endings.values()) == ["interrupted", "completed"]
    assert after.termination()["outcome"] == "completed"
