"""A graph that plays the conformance suite's scenarios; the message chooses which."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import interrupt
from runner_shell_langgraph.testing import ScriptedChatModel, ScriptedReply


def choose(state: MessagesState) -> str:
    """The node that the last message names."""
    return str(state["messages"][-1].text)


async def says(state: MessagesState) -> dict[str, Any]:
    """A model's reply, streamed."""
    model = ScriptedChatModel(replies=[ScriptedReply("hello from the graph", reasoning="hm")])
    return {"messages": [await model.ainvoke(state["messages"])]}


async def waits(state: MessagesState) -> dict[str, Any]:
    """Until it is cancelled."""
    await asyncio.Event().wait()
    return {}


def asks(state: MessagesState) -> dict[str, Any]:
    """One question."""
    return {"messages": [AIMessage(f"you said {interrupt({'question': 'Go on?'})}")]}


def fails(state: MessagesState) -> dict[str, Any]:
    """A node that raises."""
    raise RuntimeError("the node broke")


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def calls(state: MessagesState) -> dict[str, Any]:
    """A tool call, as a model makes it."""
    call = {"name": "add", "args": {"a": 1, "b": 2}, "id": f"call-{len(state['messages'])}"}
    return {"messages": [AIMessage("", tool_calls=[call])]}


builder = StateGraph(MessagesState)
for node in (says, waits, asks, fails, calls):
    builder.add_node(node)
builder.add_node("tools", ToolNode([add]))
builder.add_conditional_edges(START, choose, ["says", "waits", "asks", "fails", "calls"])
builder.add_edge("calls", "tools")
for last in ("says", "waits", "asks", "fails", "tools"):
    builder.add_edge(last, END)
graph = builder.compile()
