"""What the environment says about a graph."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import AliasChoices, Field, SecretStr

from runner_shell import AdapterSettings, ConfigurationError

OWN_KEYS = frozenset({"thread_id", "session_id", "workspace"})
"""Keys of `configurable` that the adapter sets itself."""

NAMED_KEYS = frozenset({"configurable", "context", "recursion_limit"})
"""Keys by which WORKFLOW_CONFIG says itself what is what."""


@dataclass(frozen=True)
class GraphConfig:
    """WORKFLOW_CONFIG, taken apart.

    Attributes:
        configurable: For the run's `configurable`. May hold secrets; it never reaches an event.
        context: For the run's context; None where there is none.
        recursion_limit: Supersteps after which a turn fails.
    """

    configurable: dict[str, Any]
    context: dict[str, Any] | None
    recursion_limit: int


class LangGraphSettings(AdapterSettings):
    """The LangGraph adapter's settings.

    Attributes:
        graph: `./file.py:variable`, relative to the process's directory, or
            `package.module:variable`, or a `langgraph.json`. Not set: `./langgraph.json`.
        workflow_id: Which graph of several: an id in `langgraph.json`, a variable of `GRAPH`'s
            module, an assistant at `LANGGRAPH_URL`. Goes into the runs' metadata.
        workflow_config: What the graph is configured with; see `graph_config`.
        langgraph_url: A LangGraph server; the graph runs there.
        langgraph_api_key: The key for that server.
        checkpointer: Where a graph without a checkpointer of its own keeps its thread.
        checkpointer_url: The database, for `postgres`.
        langgraph_aes_key: Encrypts checkpoints; 16, 24 or 32 bytes.
        langgraph_checkpoint_types: Types beyond those of the graph's schemas that checkpoints may
            hold: `package.module:Class`, separated by commas.
        langgraph_durability: When a checkpoint is written: before the next superstep begins
            (`sync`), beside it (`async`), or at the end of the run only (`exit`).
        langgraph_state: Whether a graph's state becomes `state.snapshot` and `state.patch`; `auto`
            as long as it is small.
        langgraph_state_max_bytes: What `auto` takes to be small, as JSON.
        langgraph_recursion_limit: Supersteps after which a turn fails as `recursion_limit`.
        langgraph_drain_seconds: How long an interrupted turn may take to its next superstep
            before it is cancelled.
        langgraph_allow_workspace_graph: Run a graph that lies in the workspace. Off: a repository
            must not bring the code that runs with the runner's rights.
    """

    graph: str = ""
    workflow_id: str = ""
    workflow_config: dict[str, Any] = Field(default_factory=dict)
    langgraph_url: str = ""
    langgraph_api_key: SecretStr | None = None
    checkpointer: Literal["memory", "sqlite", "postgres"] = "sqlite"
    checkpointer_url: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("CHECKPOINTER_URL", "POSTGRES_URI")
    )
    langgraph_aes_key: SecretStr | None = None
    langgraph_checkpoint_types: str = ""
    langgraph_durability: Literal["sync", "async", "exit"] = "sync"
    langgraph_state: Literal["off", "auto", "on"] = "auto"
    langgraph_state_max_bytes: int = Field(default=16_384, ge=1)
    langgraph_recursion_limit: int = Field(default=250, ge=1)
    langgraph_drain_seconds: float = Field(default=3.0, ge=0)
    langgraph_allow_workspace_graph: bool = False

    @property
    def remote_id(self) -> str:
        """The assistant at `langgraph_url`."""
        return self.workflow_id or self.graph

    def named_values(self) -> list[tuple[str, str]]:
        """The texts in WORKFLOW_CONFIG, named as variables: `WORKFLOW_CONFIG_CONTEXT_API_KEY`."""
        return list(_named_values("WORKFLOW_CONFIG", self.workflow_config))

    def graph_config(self, *, has_context: bool) -> GraphConfig:
        """Split WORKFLOW_CONFIG into what goes to `configurable` and what to `context`.

        An object with no other keys than `configurable`, `context` and `recursion_limit` names
        them itself. Any other object goes as a whole to `context` where the graph declares a
        context schema, else to `configurable`.

        Args:
            has_context: Whether the graph declares a context schema.

        Raises:
            ConfigurationError: It sets a key that is the adapter's or LangGraph's own.
        """
        config, limit = self.workflow_config, self.langgraph_recursion_limit
        if config and config.keys() <= NAMED_KEYS:
            configurable, context = config.get("configurable", {}), config.get("context")
            limit = config.get("recursion_limit", limit)
        elif has_context:
            configurable, context = {}, config
        else:
            configurable, context = config, None
        if not isinstance(configurable, dict) or not isinstance(context, dict | None):
            raise ConfigurationError(
                "WORKFLOW_CONFIG: configurable and context must be JSON objects"
            )
        if type(limit) is not int or limit < 1:
            raise ConfigurationError("WORKFLOW_CONFIG: recursion_limit must be a whole number > 0")
        taken = sorted(
            key
            for key in configurable
            if key in OWN_KEYS or key.startswith(("__pregel", "checkpoint_"))
        )
        if taken:
            raise ConfigurationError(
                f"WORKFLOW_CONFIG: {', '.join(taken)} cannot be configured; the runner sets it"
            )
        return GraphConfig(dict(configurable), context, limit)


def _named_values(name: str, value: Any) -> Iterator[tuple[str, str]]:
    match value:
        case str():
            yield name, value
        case dict():
            for key, item in value.items():
                word = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|\W+", "_", str(key))
                yield from _named_values(f"{name}_{word.upper()}", item)
        case list():
            for item in value:
                yield from _named_values(name, item)
        case _:
            pass
