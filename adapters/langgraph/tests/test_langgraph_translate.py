"""Stream parts to events, by hand-made parts: what real graphs show seldom."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, RemoveMessage
from langchain_core.messages.tool import tool_call_chunk
from runner_shell_langgraph.translate import Translator
from runner_shell_langgraph.values import as_json

from runner_shell import events


def message(chunk: Any, step: str = "node:s1", ns: tuple[str, ...] = ()) -> dict[str, Any]:
    path = "|".join((*ns, step))
    return {"type": "messages", "ns": ns, "data": (chunk, {"langgraph_checkpoint_ns": path})}


def task(id: str, ns: tuple[str, ...] = (), **result: Any) -> dict[str, Any]:
    ended = {"result": {}, "error": None, "interrupts": [], **result} if result else {}
    return {"type": "tasks", "ns": ns, "data": {"id": id, "name": "node", **ended}}


def tool(event: str, id: str, **data: Any) -> dict[str, Any]:
    named = {"tool_name": "t"} if event == "tool-started" else {}
    data = {"event": event, "tool_call_id": id, **named, **data}
    return {"type": "tools", "ns": (), "data": data}


def received(*parts: dict[str, Any]) -> list[Any]:
    translator = Translator()
    return [event for part in parts for event in translator.receive(part)]


def test_parallel_calls_may_come_in_turns() -> None:
    """Arguments of two calls, mixed chunk by chunk, stay apart in their blocks."""
    chunks = [
        tool_call_chunk(name="a", id="c1", index=0, args='{"x":'),
        tool_call_chunk(name="b", id="c2", index=1, args='{"y":'),
        tool_call_chunk(index=0, args="1}"),
        tool_call_chunk(index=1, args="2}"),
    ]
    got = received(
        *(message(AIMessageChunk(content="", id="m", tool_call_chunks=[one])) for one in chunks),
        message(AIMessageChunk(content="", id="m", chunk_position="last")),
    )
    started = [event for event in got if isinstance(event, events.BlockStarted)]
    assert [(block.index, block.call) for block in started] == [(0, "c1"), (1, "c2")]
    deltas = [event for event in got if isinstance(event, events.BlockDelta)]
    assert "".join(delta.text for delta in deltas if delta.index == 0) == '{"x":1}'
    assert "".join(delta.text for delta in deltas if delta.index == 1) == '{"y":2}'
    assert sum(isinstance(event, events.BlockFinished) for event in got) == 2


def test_two_models_at_once() -> None:
    """Messages of parallel nodes stream side by side, each ending once."""
    got = received(
        message(AIMessageChunk(content="a", id="m1"), "node:s1"),
        message(AIMessageChunk(content="b", id="m2"), "node:s2"),
        message(AIMessageChunk(content="a", id="m1", chunk_position="last"), "node:s1"),
        message(AIMessageChunk(content="b", id="m2", chunk_position="last"), "node:s2"),
    )
    ends = [event.id for event in got if isinstance(event, events.MessageFinished)]
    assert ends == ["m1", "m2"]


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "thinking", "thinking": "hm", "index": 0}],
        [{"type": "reasoning", "reasoning": "hm", "index": 0}],
    ],
)
def test_thinking_has_more_than_one_spelling(content: list[Any]) -> None:
    """Providers' thinking becomes a `thinking` block, whatever they call it."""
    got = received(message(AIMessage(content=content, id="m")))
    assert [event.kind for event in got if isinstance(event, events.BlockStarted)] == ["thinking"]
    assert [event.text for event in got if isinstance(event, events.BlockDelta)] == ["hm"]


def test_an_image_is_a_block_without_deltas() -> None:
    """An image is whole in its block's end."""
    image = {"type": "image", "base64": "AAAA", "mime_type": "image/png"}
    got = received(message(AIMessage(content=[image], id="m")))
    [finished] = [event for event in got if isinstance(event, events.BlockFinished)]
    assert finished.content == {"media_type": "image/png", "data": "AAAA"}
    assert not any(isinstance(event, events.BlockDelta) for event in got)


def test_roles_and_removals() -> None:
    """What a node adds in a person's name says so; a removal says nothing."""
    got = received(message(HumanMessage("hi", id="m")), message(RemoveMessage(id="x")))
    assert [event.role for event in got if isinstance(event, events.MessageStarted)] == ["user"]


def test_a_message_comes_once() -> None:
    """A message that was streamed and stands in a node's result too is not told twice."""
    got = received(
        message(AIMessageChunk(content="a", id="m", chunk_position="last")),
        message(AIMessage(content="a", id="m")),
    )
    assert sum(isinstance(event, events.MessageStarted) for event in got) == 1


def test_a_failing_step_ends_what_is_within_it_first() -> None:
    """A step's error ends its message, and its sub-graph's steps, before the step itself."""
    got = received(
        task("s1"),
        task("inner", ("node:s1",)),
        message(AIMessageChunk(content="half", id="m"), "node:inner", ("node:s1",)),
        task("s1", error=ValueError("bad")),
    )
    tail = [(type(event).__name__, event.status) for event in got[-4:]]
    assert tail == [
        ("BlockFinished", "cancelled"),
        ("MessageFinished", "cancelled"),
        ("StepFinished", "cancelled"),
        ("StepFinished", "error"),
    ]
    assert got[-1].error == "ValueError: bad"


def test_what_never_started_does_not_end() -> None:
    """Ends without a start, and second ends, say nothing."""
    got = received(
        task("s1", result={}),
        tool("tool-finished", "c1", output="x"),
        tool("tool-started", "c2"),
        tool("tool-finished", "c2", output="x"),
        tool("tool-error", "c2", message="x"),
    )
    assert [type(event).__name__ for event in got] == ["ToolStarted", "ToolFinished"]


def test_closing_keeps_tools_that_stand_at_a_question() -> None:
    """Over a waiting end the tools stay open; they are handed to the next turn's translator."""
    translator = Translator()
    translator.receive(tool("tool-started", "c1"))
    assert translator.close(keep_tools=True) == []
    later = Translator(translator.tools)
    assert later.receive(tool("tool-started", "c1")) == []
    assert [event.call for event in later.receive(tool("tool-finished", "c1", output=1))] == ["c1"]


def test_sub_graphs_of_one_node_share_its_scope() -> None:
    """A node's second sub-graph is numbered by LangGraph; the number is no step."""
    [started] = received(task("inner", ("node:s1", "1")))
    assert started.scope == ("s1",)


class Opaque:
    """What JSON cannot hold."""

    def __repr__(self) -> str:
        return "<opaque \udcff>"


recursive: list[Any] = []
recursive.append(recursive)


@pytest.mark.parametrize(
    "value",
    [Opaque(), {"a": [Opaque()]}, recursive, {(1, 2): 3}, "\udcff", b"\xff", 1 << 80, {1, 2}, int],
)
def test_anything_becomes_json(value: object) -> None:
    """No value of a graph's can break the stream."""
    msgspec.json.encode(as_json(value))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON_VALUES)
def test_json_stays_as_it_is(value: object) -> None:
    """What is JSON already is not changed."""
    assert as_json(value) == value
