"""From a user's message to a graph's input.

1. A message whose content is a JSON object is the input, whatever the graph.
2. A graph whose input has `messages` gets `{"messages": [HumanMessage]}`, attachments as further
   content blocks.
3. A message whose text is a JSON object is the input.
4. A graph whose input has exactly one of the text fields `prompt`, `input` and `question` gets the
   text there.
5. A graph whose input is one value (a functional `@entrypoint`) gets the text, or the JSON value
   that it is where the entrypoint takes no text.

An input that was written as JSON is held against the graph's schema before the graph is run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, get_type_hints

import msgspec
from langchain_core.messages import HumanMessage
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from langgraph.pregel.remote import RemoteGraph
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from runner_shell import AgentFailed, UserMessage

from .load import AnyGraph
from .remote import input_schema

TEXT_FIELDS = ("prompt", "input", "question")


async def graph_input(message: UserMessage, graph: AnyGraph, *, id: str) -> Any:
    """What the graph is run with.

    Args:
        message: What the user said.
        graph: The graph.
        id: The id of a `HumanMessage`; the same at every try, so that it is added once.

    Raises:
        AgentFailed: `invalid_input`: the message fits none of the rules, or not the graph's
            schema; says what would.
    """
    fields = await _fields(graph)
    if isinstance(message.content, dict):
        return _checked(message.content, graph, fields)
    if fields is not None and "messages" in fields:
        return {"messages": [_human(message, id, graph)]}
    text = message.text()
    if (values := _object(text)) is not None:
        return _checked(values, graph, fields)
    if fields is None:
        return _one_value(text, graph)
    fitting = [name for name in TEXT_FIELDS if name in fields and _is_text(fields[name])]
    if len(fitting) == 1:
        return {fitting[0]: text}
    names = ", ".join(fields) or "nothing"
    raise AgentFailed(
        f"the graph does not take plain text; send a JSON object with its input: {names}",
        code="invalid_input",
    )


async def _fields(graph: AnyGraph) -> dict[str, Any] | None:
    """The input's fields and their types; None where the input is one value."""
    if isinstance(graph, RemoteGraph):
        schema = await input_schema(graph)
        properties: dict[str, Any] = schema.get("properties") or {}
        return {name: _remote_hint(hint) for name, hint in properties.items()} or {"messages": Any}
    if not isinstance(graph, CompiledStateGraph):
        return None
    schema_type = graph.builder.input_schema
    names = graph.builder.schemas[schema_type]
    try:
        hints = get_type_hints(schema_type)
    except (NameError, TypeError):  # a hint that only a type checker can see
        hints = {}
    return {name: hints.get(name, Any) for name in names if name != "__root__"}


def _remote_hint(hint: Any) -> Any:
    return str if isinstance(hint, dict) and hint.get("type") == "string" else Any


def _is_text(hint: Any) -> bool:
    return hint is str or hint is Any or hint == (str | None)


def _human(message: UserMessage, id: str, graph: AnyGraph) -> Any:
    human = HumanMessage(_content(message), id=id)
    if isinstance(graph, RemoteGraph):
        return {"role": "user", "content": human.content, "id": id}
    return human


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


# --- holding an input against the schema -----------------------------------------------------


def _checked(
    values: dict[str, Any], graph: AnyGraph, fields: dict[str, Any] | None
) -> dict[str, Any]:
    problems = list(_problems(values, graph, fields))
    if problems:
        raise AgentFailed(
            f"the input does not fit the graph: {'; '.join(problems)}", code="invalid_input"
        )
    return values


def _problems(
    values: dict[str, Any], graph: AnyGraph, fields: dict[str, Any] | None
) -> Iterator[str]:
    if fields is None:
        yield from _misfit("input", values, _value_type(graph))
        return
    for name in values.keys() - fields.keys():
        yield f"{name} is no field of its input, which has {', '.join(fields) or 'none'}"
    schema = graph.builder.input_schema if isinstance(graph, CompiledStateGraph) else None
    for name in _required(schema):
        if name not in values:
            yield f"{name} is missing"
    for name, value in values.items():
        # Messages are given in many ways, all of which LangChain understands.
        if name != "messages":
            yield from _misfit(name, value, fields.get(name, Any))


def _required(schema: Any) -> list[str]:
    """The fields without which the graph's state cannot be built; a TypedDict needs none."""
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return [name for name, field in schema.model_fields.items() if field.is_required()]
    if isinstance(schema, type) and dataclasses.is_dataclass(schema):
        missing = dataclasses.MISSING
        return [
            field.name
            for field in dataclasses.fields(schema)
            if field.default is missing and field.default_factory is missing
        ]
    return []


def _misfit(name: str, value: Any, hint: Any) -> Iterator[str]:
    try:
        TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        for detail in error.errors(include_input=False, include_url=False, include_context=False):
            place = ".".join([name, *map(str, detail["loc"])])
            yield f"{place}: {detail['msg']}"
    except (PydanticSchemaGenerationError, PydanticUserError, NameError, TypeError):
        return  # a type that only the graph can judge


def _one_value(text: str, graph: AnyGraph) -> Any:
    """The text where the entrypoint takes text, else the JSON value that it is."""
    hint = _value_type(graph)
    if not list(_misfit("input", text, hint)):
        return text
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        value = text
    if problems := list(_misfit("input", value, hint)):
        raise AgentFailed(
            f"the input does not fit the graph: {'; '.join(problems)}; send it as JSON",
            code="invalid_input",
        )
    return value


def _value_type(graph: AnyGraph) -> Any:
    """What a functional entrypoint is annotated to take."""
    if not isinstance(graph, Pregel) or not isinstance(graph.input_channels, str):
        return Any
    return getattr(graph.channels.get(graph.input_channels), "ValueType", Any)
