"""What a person says, as a graph's input."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.func import entrypoint
from langgraph.graph import MessagesState
from langgraph_recording import Recorder
from small_graphs import Plain, one_node
from typing_extensions import TypedDict

from runner_shell import AgentFailed, UserMessage


class TwoNumbers(TypedDict):
    """A graph without a text field."""

    a: int
    b: int


@pytest.mark.parametrize(
    ("state", "content", "expected"),
    [
        (Plain, "hello", {"prompt": "hello", "found": []}),
        (TwoNumbers, '{"a": 1, "b": 2}', {"a": 1, "b": 2}),
        (TwoNumbers, {"a": 1, "b": 2}, {"a": 1, "b": 2}),
    ],
)
async def test_input(recorder: Recorder, state: Any, content: Any, expected: Any) -> None:
    """Text goes to the one text field; a JSON object, written or given, is the input itself."""
    given: list[Any] = []
    adapter = await recorder.adapter(one_node(lambda state: given.append(dict(state)), state))
    ending = await recorder.turn(adapter, UserMessage(content=content))
    assert (ending.outcome, given) == ("completed", [expected])


async def test_input_of_messages_with_attachments(recorder: Recorder) -> None:
    """Attachments become further blocks of the human's message; text that is JSON stays text."""
    given: list[Any] = []

    async def node(state: MessagesState) -> None:
        given.extend(state["messages"])

    adapter = await recorder.adapter(one_node(node, MessagesState))
    image = {"type": "image", "base64": "AAAA", "mime_type": "image/png"}
    await recorder.turn(adapter, UserMessage(content='{"a": 1}', attachments=(image,)))
    [message] = given
    assert isinstance(message, HumanMessage)
    assert message.content == [{"type": "text", "text": '{"a": 1}'}, image]


async def test_input_that_does_not_fit(recorder: Recorder) -> None:
    """Text for a graph that takes none fails, and names the fields it takes."""
    adapter = await recorder.adapter(one_node(lambda state: None, TwoNumbers))
    with pytest.raises(AgentFailed, match="a, b") as failed:
        await recorder.turn(adapter, "hello")
    assert failed.value.code == "invalid_input"


async def test_a_functional_graph(recorder: Recorder) -> None:
    """A functional `@entrypoint` gets the text."""
    given: list[Any] = []

    @entrypoint()
    async def workflow(text: str) -> str:
        given.append(text)
        return text

    adapter = await recorder.adapter(workflow)
    await recorder.turn(adapter, "hello")
    assert given == ["hello"]
