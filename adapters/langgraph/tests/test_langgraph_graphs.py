"""Graphs of the kinds people write, each in a real runner, over a socket, at a real gateway."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from real_processes import eventually

pytestmark = pytest.mark.slow


def test_react(run: Any) -> None:
    """A ReAct agent: thinking, text, tool arguments, outputs and usage by model, in order."""
    session = run("real_graphs.py:react")
    assert session.end() == 0
    kinds = [event.get("kind", "text") for event in session.of("block.started")]
    assert kinds == ["thinking", "text", "tool_input", "tool_input", "text"]
    outputs = {event["call"]: event["output"] for event in session.of("tool.finished")}
    assert outputs == {"c1": "42", "c2": "yak: a thing"}
    assert session.of("tool.output")[0]["text"] == "looking yak up\n"
    whole = [event.get("content") for event in session.of("block.finished")]
    assert whole[0] == "Two things to do."
    assert whole[2] == '{"a": 6, "b": 7}'
    assert session.of("usage.updated")[-1]["by_model"]["scripted"]["input_tokens"] == 14
    assert session.of("checkpoint.saved")[-1].get("next", []) == []
    [started] = session.of("session.started")
    said = started["description"]
    assert [node["id"] for node in said["nodes"]] == ["__start__", "agent", "tools", "__end__"]
    assert {"source": "tools", "target": "agent", "conditional": False, "label": ""} in said[
        "edges"
    ]
    assert said["mermaid"].startswith("---")
    assert "messages" in said["input_schema"]["properties"]
    assert said["durable"]
    drawn = {node["name"] for node in said["nodes"]}
    assert {event["name"] for event in session.of("step.started")} <= drawn, "to light a node up"
    assert [event["data"]["run_id"] for event in session.of("custom")]


def test_map_reduce(run: Any) -> None:
    """Send fans out to parallel steps and comes together again; text goes to the text field."""
    session = run("real_graphs.py:map_reduce")
    assert session.end() == 0
    names = [event["name"] for event in session.of("step.started")]
    assert names == ["split", "measure", "measure", "reduce"]
    assert session.state()["total"] == 8


def test_supervisor(run: Any) -> None:
    """Sub-graphs' messages and steps carry the step that runs them as scope."""
    session = run("real_graphs.py:supervisor")
    assert session.end() == 0
    steps = {event["id"]: event for event in session.of("step.started")}
    inner = [event for event in steps.values() if event["name"] == "think"]
    assert [steps[event["scope"][0]]["name"] for event in inner] == ["researcher", "writer"]
    scopes = [event["scope"] for event in session.of("message.started")]
    assert scopes == [event["scope"] for event in inner]
    assert session.text() == "researcher is donewriter is done"


def test_human_in_the_loop(run: Any) -> None:
    """Each action is a permission: a wrong decision is refused, one approved, one edited."""
    session = run("real_agents.py:human_in_the_loop")
    first, second = session.several("request.opened", 2)
    assert (first["kind"], first["body"]["args"]) == ("permission", {"path": "/a"})
    refused = session.command("request.answer", request=first["id"], answer={"type": "edit"})
    assert (refused["code"], "edited_action" in refused["message"]) == ("invalid", True)
    session.command("request.answer", request=first["id"], answer="approve")
    edited = {"type": "edit", "edited_action": {"name": "remove", "args": {"path": "/tmp/b"}}}
    session.command("request.answer", request=second["id"], answer=edited)
    assert session.end() == 0
    outputs = [event["output"] for event in session.of("tool.finished")]
    assert sorted(outputs, key=str)[0].startswith("removed /a")
    assert any("removed /tmp/b" in str(output) for output in outputs)


def test_approval_per_call(run: Any) -> None:
    """The middleware's other mode is a permission too; a rejected tool does not run."""
    session = run("real_agents.py:approval_per_call")
    session.answer("Run remove?", {"type": "reject", "message": "Keep it."})
    assert session.end() == 0
    assert not any("removed" in str(event) for event in session.of("tool.finished"))
    assert session.text().endswith("Left alone.")


def test_parallel_interrupts(run: Any) -> None:
    """Two nodes ask at the same time, each gets its own answer; a wrong one leaves it open."""
    session = run("real_graphs.py:parallel_interrupts")
    session.wait_for("request.opened", title="bob, is it good?")
    refused = session.answer("ada, is it good?", "perhaps")
    assert (refused["type"], refused["code"]) == ("command.failed", "invalid")
    session.answer("bob, is it good?", "bad")
    session.answer("ada, is it good?", "good")
    assert session.end() == 0
    assert sorted(session.state()["said"]) == ["ada: good", "bob: bad"]


def test_retries(run: Any) -> None:
    """A node that LangGraph retries is one step that ends well."""
    session = run("real_graphs.py:retrying")
    assert session.end() == 0
    assert [event.get("status", "ok") for event in session.of("step.finished")] == ["ok"]
    assert session.state()["count"] == 3


def test_a_cycle(run: Any) -> None:
    """A graph that never ends is ended, and the code says why."""
    session = run("real_graphs.py:cycle", LANGGRAPH_RECURSION_LIMIT="9")
    assert session.end() == 1
    assert [event["code"] for event in session.of("error")] == ["recursion_limit"]
    assert len(session.of("step.started")) == 9


def test_a_failing_node(run: Any) -> None:
    """A node's error fails turn and process, with the node's name."""
    session = run("real_graphs.py:failing")
    assert session.end() == 1
    [error] = session.of("error")
    assert "node node failed: ZeroDivisionError: nothing to divide by" in error["message"]
    assert session.of("step.finished")[0]["status"] == "error"
    assert session.of("turn.finished")[0]["outcome"] == "failed"


def test_the_functional_api(run: Any) -> None:
    """Tasks are steps, an interrupt is a question, and the workflow goes on with the answer."""
    session = run("real_graphs.py:functional")
    session.answer("And then?", "home")
    assert session.end() == 0
    assert [event["name"] for event in session.of("step.started")].count("shout") >= 2
    assert "ONE THREE home" in str(session.of("state.snapshot")[-1])


def test_custom_streaming(run: Any) -> None:
    """What a node writes to its stream crosses as it is, in order."""
    session = run("real_graphs.py:custom_streaming")
    assert session.end() == 0
    written = [one["data"] for one in session.of("custom") if one["name"] == "langgraph.custom"]
    assert written == [{"progress": 0}, {"progress": 1}, {"progress": 2}]


def test_a_long_synchronous_node(run: Any) -> None:
    """A node that blocks its thread is interrupted and named, and the process ends without it."""
    session = run("real_graphs.py:long_sync_node", INTERACTIVE="1", LANGGRAPH_DRAIN_SECONDS="0.2")
    session.wait_for("step.started", name="node")
    session.command("turn.interrupt", reason="too long")
    finished = session.wait_for("turn.finished")
    assert (finished["outcome"], finished["reason"]) == ("interrupted", "too long")
    [warning] = session.of("warning")
    assert warning["code"] == "node_not_cancelled"
    session.process.process.send_signal(signal.SIGTERM)
    assert session.end() == 143


def test_a_pydantic_state(run: Any) -> None:
    """A model as state: JSON is held against it, and a misfit says what does not fit."""
    session = run("real_graphs.py:pydantic_state", PROMPT='{"item": "tea", "amount": 2}')
    assert session.end() == 0
    assert session.state() == {"item": "tea", "amount": 4}

    session = run("real_graphs.py:pydantic_state", PROMPT='{"amount": "many", "colour": 1}')
    assert session.end() == 1
    [error] = session.of("error")
    assert error["code"] == "invalid_input"
    for problem in ("colour is no field", "item is missing", "amount: Input should be a valid"):
        assert problem in error["message"]


def test_a_dataclass_state(run: Any) -> None:
    """A dataclass as state, from plain text."""
    session = run("real_graphs.py:dataclass_state", PROMPT="bread")
    assert session.end() == 0
    assert session.state() == {"prompt": "bread", "items": ["bread"]}


def test_structured_output(run: Any) -> None:
    """A structured answer is in the state, as JSON."""
    session = run("real_agents.py:structured_output")
    assert session.end() == 0
    assert session.state()["structured_response"] == {"city": "Oslo", "degrees": -3.5}


def test_a_store(run: Any) -> None:
    """A graph's own store keeps what a turn put there for the next turn."""
    session = run("real_graphs.py:with_store", INTERACTIVE="1")
    session.wait_for("turn.finished")
    session.command("turn.start", content="two")
    session.several("turn.finished", 2)
    session.command("session.end")
    assert session.end() == 0
    assert session.text() == "before: nothingbefore: one three"


def test_time_travel(run: Any) -> None:
    """The history is read, an earlier checkpoint changed, and the graph run from there."""
    session = run("real_graphs.py:time_travel", INTERACTIVE="1")
    session.wait_for("turn.finished")
    history = session.command("adapter.call", method="langgraph.history")["result"]
    assert [one["next"] for one in history] == [[], ["second"], ["first"], ["__start__"]]
    earlier = history[1]["checkpoint"]
    reply = session.command(
        "state.fork", checkpoint=earlier, values={"count": 5}, as_node="first", run=True
    )
    assert reply["result"]["next"] == ["second"]
    session.wait_for("turn.started", cause="wake")
    session.several("turn.finished", 2)
    assert session.command("state.get")["result"]["values"]["count"] == 50
    session.command("session.end")
    assert session.end() == 0


# --- kill and resume -------------------------------------------------------------------------


def lines(file: Path) -> list[str]:
    """What the nodes wrote: each when it began."""
    return file.read_text().split() if file.exists() else []


def test_a_runner_killed_in_a_node_goes_on_from_there(run: Any, tmp_path: Path) -> None:
    """`kill -9` in the middle of a node: the next runner runs that node again, none before it."""
    journal = tmp_path / "nodes"
    session = run("real_graphs.py:three_nodes", NODES_FILE=str(journal), BLOCK="second")
    eventually(lambda: lines(journal) == ["first", "second"], "the second node")
    session.kill()
    session.restart(BLOCK="")
    assert session.end() == 0
    assert lines(journal) == ["first", "second", "second", "third"]
    outcomes = [event["outcome"] for event in session.of("turn.finished")]
    assert outcomes[-1] == "completed"
    assert session.of("session.started")[-1]["resumed"]
    assert session.state()["count"] == 3


def test_a_question_is_answered_after_the_runner_was_killed(run: Any) -> None:
    """Parallel questions that stood open when the runner died are answered to the next one."""
    session = run("real_graphs.py:parallel_interrupts")
    session.several("request.opened", 2)
    session.answer("ada, is it good?", "good")
    session.kill()
    session.restart()
    session.answer("bob, is it good?", "bad")
    assert session.end() == 0
    assert len(session.of("request.opened")) == 2, "nobody is asked twice"
    assert sorted(session.state()["said"]) == ["ada: good", "bob: bad"]
