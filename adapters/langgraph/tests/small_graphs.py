"""Graphs of a node or two."""

from __future__ import annotations

import operator
from typing import Annotated, Any

from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import interrupt
from runner_shell_langgraph.testing import ScriptedChatModel
from typing_extensions import TypedDict

DEADLINE = 60.0
"""Ends a hang; nothing is judged by it."""


class Plain(TypedDict, total=False):
    """A graph with one text field."""

    prompt: str
    found: Annotated[list[Any], operator.add]


def one_node(node: Any, state: Any = Plain, **compile: Any) -> Any:
    """START → node."""
    builder = StateGraph(state)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    return builder.compile(**compile)


def asking(value: Any, **more: Any) -> Any:
    """One node that asks this, and keeps the answer in `found`."""

    async def node(state: Plain) -> Any:
        return {"found": [interrupt(value, **more)]}

    return one_node(node)


@tool
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


def agent(model: ScriptedChatModel, tools: list[Any], **tool_node: Any) -> Any:
    """START → model ⇄ tools."""
    bound = model.bind_tools(tools)

    async def call_model(state: MessagesState) -> Any:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("model", call_model)
    builder.add_node("tools", ToolNode(tools, **tool_node))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")
    return builder.compile()


def call(name: str, id: str, **args: Any) -> dict[str, Any]:
    """A tool call as a model's message holds it."""
    return {"name": name, "args": args, "id": id}
