"""Counts the files in the workspace, asks nobody, and says what it found."""

from __future__ import annotations

import os
from pathlib import Path

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph


class State(MessagesState):
    """The conversation, and what was counted.

    Attributes:
        files: How many files lie in the workspace.
    """

    files: int


def count(state: State) -> dict[str, int]:
    """Count the files."""
    workspace = Path(os.environ["WORKSPACE_PATH"])
    return {"files": sum(path.is_file() for path in workspace.rglob("*"))}


def tell(state: State) -> dict[str, list[AIMessage]]:
    """Say how many there are, and write it down."""
    text = f"{state['files']} files"
    Path(os.environ["WORKSPACE_PATH"], "REPORT.md").write_text(f"# {text}\n")
    return {"messages": [AIMessage(text)]}


builder = StateGraph(State)
builder.add_node(count)
builder.add_node(tell)
builder.add_edge(START, "count")
builder.add_edge("count", "tell")
graph = builder.compile()
