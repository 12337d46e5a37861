"""A graph that runs on a LangGraph server."""

from __future__ import annotations

import uuid
from typing import Any

from langgraph.pregel.remote import RemoteGraph

from runner_shell import ConfigurationError

from .settings import LangGraphSettings

STREAM_MODES = ("messages", "tasks", "custom", "checkpoints", "values")
"""What a server streams; tools show by their messages."""


def remote_graph(settings: LangGraphSettings) -> RemoteGraph:
    """The assistant that the settings name.

    Raises:
        ConfigurationError: They name none.
    """
    if not settings.remote_id:
        raise ConfigurationError(
            "LANGGRAPH_URL needs WORKFLOW_ID: the assistant, or the graph, to run there"
        )
    key = settings.langgraph_api_key
    return RemoteGraph(
        settings.remote_id,
        url=settings.langgraph_url.rstrip("/"),
        api_key=key.get_secret_value() if key is not None else None,
    )


def thread_of(session: str) -> str:
    """The thread of a session at a server, which takes UUIDs only; always the same."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"runner-shell:{session}"))


async def input_schema(graph: RemoteGraph) -> dict[str, Any]:
    """The JSON Schema of the input; empty where the server does not say."""
    if graph.client is None:
        return {}
    schemas = await graph.client.assistants.get_schemas(graph.assistant_id)
    return dict(schemas.get("input_schema") or {})
