"""What the environment says about a graph."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from runner_shell import AdapterSettings, ConfigurationError

OWN_KEYS = frozenset({"thread_id", "session_id", "workspace"})
"""Keys of `configurable` that the adapter sets itself."""


class LangGraphSettings(AdapterSettings):
    """The LangGraph adapter's settings.

    Attributes:
        graph: `./file.py:variable`, relative to the process's directory, or
            `package.module:variable`; the variable holds a compiled graph or a `StateGraph`.
        workflow_id: A name for the workflow; goes into the runs' metadata.
        workflow_config: What the graph is configured with; see `graph_config`.
        langgraph_recursion_limit: Supersteps after which a turn fails as `recursion_limit`.
        langgraph_allow_workspace_graph: Run a graph that lies in the workspace. Off: a repository
            must not bring the code that runs with the runner's rights.
    """

    graph: str = Field(min_length=1)
    workflow_id: str = ""
    workflow_config: dict[str, Any] = Field(default_factory=dict)
    langgraph_recursion_limit: int = Field(default=250, ge=1)
    langgraph_allow_workspace_graph: bool = False

    def graph_config(self, *, has_context: bool) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """Split WORKFLOW_CONFIG into what goes to `configurable` and what to `context`.

        An object with no other keys than `configurable` and `context` names the two itself. Any
        other object goes as a whole to `context` where the graph declares a context schema, else
        to `configurable`.

        Args:
            has_context: Whether the graph declares a context schema.

        Raises:
            ConfigurationError: It sets a key that is the adapter's or LangGraph's own.
        """
        config = self.workflow_config
        if config and config.keys() <= {"configurable", "context"}:
            configurable, context = config.get("configurable", {}), config.get("context")
        elif has_context:
            configurable, context = {}, config
        else:
            configurable, context = config, None
        if not isinstance(configurable, dict) or not isinstance(context, dict | None):
            raise ConfigurationError(
                "WORKFLOW_CONFIG: configurable and context must be JSON objects"
            )
        taken = sorted(
            key
            for key in configurable
            if key in OWN_KEYS or key.startswith(("__pregel", "checkpoint_"))
        )
        if taken:
            raise ConfigurationError(
                f"WORKFLOW_CONFIG: {', '.join(taken)} cannot be configured; the runner sets it"
            )
        return dict(configurable), context
