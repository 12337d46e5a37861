"""From a user's message to a graph's input.

1. A message whose content is a JSON object is the input, whatever the graph.
2. A graph whose input has `messages` gets `{"messages": [HumanMessage]}`, attachments as further
   content blocks.
3. A message whose text is a JSON object is the input.
4. A graph whose input has exactly one of the text fields `prompt`, `input` and `question` gets the
   text there.
5. A graph whose input is one value (a functional `@entrypoint`) gets the text.
"""

from __future__ import annotations

from typing import Any, get_type_hints

import msgspec
from langchain_core.messages import HumanMessage
from langgraph.graph.state import CompiledStateGraph

from runner_shell import AgentFailed, UserMessage

from .load import Graph

TEXT_FIELDS = ("prompt", "input", "question")


def graph_input(message: UserMessage, graph: Graph, *, id: str) -> Any:
    """What the graph is run with.

    Args:
        message: What the user said.
        graph: The graph.
        id: The id of a `HumanMessage`; the same at every try, so that it is added once.

    Raises:
        AgentFailed: `invalid_input`: the message fits none of the rules; says what would.
    """
    if isinstance(message.content, dict):
        return message.content
    fields = input_fields(graph)
    if fields is not None and "messages" in fields:
        return {"messages": [HumanMessage(_content(message), id=id)]}
    text = message.text()
    if (values := _object(text)) is not None:
        return values
    if fields is None:
        return text
    fitting = [name for name in TEXT_FIELDS if name in fields and _is_text(fields[name])]
    if len(fitting) == 1:
        return {fitting[0]: text}
    names = ", ".join(fields) or "nothing"
    raise AgentFailed(
        f"the graph does not take plain text; send a JSON object with its input: {names}",
        code="invalid_input",
    )


def input_fields(graph: Graph) -> dict[str, Any] | None:
    """The input's fields and their types; None where the input is one value."""
    if not isinstance(graph, CompiledStateGraph):
        return None
    schema = graph.builder.input_schema
    names = graph.builder.schemas[schema]
    try:
        hints = get_type_hints(schema)
    except (NameError, TypeError):  # a hint that only a type checker can see
        hints = {}
    return {name: hints.get(name, Any) for name in names if name != "__root__"}


def _is_text(hint: Any) -> bool:
    return hint is str or hint is Any or hint == (str | None)


def _content(message: UserMessage) -> Any:
    if not message.attachments:
        return message.content
    first = message.content
    blocks = first if isinstance(first, list) else [{"type": "text", "text": first}]
    return [*blocks, *message.attachments]


def _object(text: str) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
