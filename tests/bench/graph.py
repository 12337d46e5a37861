"""A LangGraph graph that does nothing."""

from __future__ import annotations

from typing import TypedDict

from langgraph.graph import END, START, StateGraph


class State(TypedDict):
    """No more than a graph needs."""

    messages: list[object]


def nothing(state: State) -> State:
    return state


builder = StateGraph(State)
builder.add_node("nothing", nothing)
builder.add_edge(START, "nothing")
builder.add_edge("nothing", END)
graph = builder.compile()
