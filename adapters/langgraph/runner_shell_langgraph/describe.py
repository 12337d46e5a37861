"""What a page needs to draw a graph: its nodes, its edges, its picture as mermaid, its input."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables.graph import Graph as Drawable
from langgraph.pregel import Pregel
from pydantic.errors import PydanticUserError

from runner_shell import events

from .values import as_json

Description = dict[str, events.JSON]


def described(drawable: Drawable) -> Description:
    """Nodes and edges as lists, and both as mermaid text.

    A node's `name` is that of the steps that run it, so that a page can light it up.
    """
    return {
        "nodes": [{"id": id, "name": node.name} for id, node in drawable.nodes.items()],
        "edges": [
            {
                "source": edge.source,
                "target": edge.target,
                "conditional": edge.conditional,
                "label": str(edge.data) if edge.data is not None else "",
            }
            for edge in drawable.edges
        ],
        "mermaid": drawable.draw_mermaid(),
    }


def schemas(graph: Pregel[Any, Any, Any, Any]) -> Description:
    """The JSON Schemas of input and context, where they can be said."""
    said = {"input_schema": graph.get_input_jsonschema, "context_schema": _context_of(graph)}
    found: Description = {}
    for name, schema in said.items():
        try:
            given = schema()
        except (PydanticUserError, NameError, TypeError, ValueError):
            # `typing.TypedDict` before Python 3.12, or a hint that only a type checker can see.
            continue
        if given:
            found[name] = as_json(given)
    return found


def _context_of(graph: Pregel[Any, Any, Any, Any]) -> Any:
    return graph.get_context_jsonschema
