"""A thread's past: reading its state, its history, going on from an earlier checkpoint.

What is told of a checkpoint is its id and what the graph said, never the run's `configurable`.
"""

from __future__ import annotations

from typing import Any

from langgraph.errors import InvalidUpdateError
from langgraph.types import StateSnapshot
from msgspec import Struct, ValidationError, convert

from runner_shell import AgentFailed, events

from .opened import Opened, checkpoint_id
from .values import as_json, error_text

MAX_HISTORY = 100


class HistoryParams(Struct, frozen=True, forbid_unknown_fields=True):
    """What `langgraph.history` is asked with.

    Attributes:
        limit: How many checkpoints at most, the newest first.
        before: Only those before this one.
    """

    limit: int = 20
    before: str = ""


class UpdateParams(Struct, frozen=True, forbid_unknown_fields=True):
    """What `langgraph.update_state` is asked with.

    Attributes:
        values: The update, as a node would return it.
        as_node: In which node's name; needed where the last one is ambiguous.
    """

    values: events.JSON
    as_node: str = ""


async def read_state(opened: Opened, checkpoint: str = "") -> events.JSON:
    """The state, and what runs next from there.

    Raises:
        AgentFailed: `unknown_checkpoint`.
    """
    return _told(await _existing(opened, checkpoint))


async def read_history(opened: Opened, params: events.JSON) -> events.JSON:
    """The thread's checkpoints, the newest first.

    Raises:
        AgentFailed: `invalid`: the parameters are wrong.
    """
    asked = _params(params or {}, HistoryParams)
    if not 1 <= asked.limit <= MAX_HISTORY:
        raise AgentFailed(f"limit must be from 1 to {MAX_HISTORY}", code="invalid")
    before = opened.at(asked.before) if asked.before else None
    states = opened.graph.aget_state_history(opened.at(""), before=before, limit=asked.limit)
    return [_told(state) async for state in states]


async def update_state(opened: Opened, params: events.JSON) -> events.JSON:
    """Change the newest state, as a node of the graph would.

    Raises:
        AgentFailed: `invalid`: the parameters or the update are wrong.
    """
    asked = _params(params, UpdateParams)
    return {"checkpoint": await _update(opened, "", asked.values, asked.as_node or None)}


async def fork(opened: Opened, checkpoint: str, values: events.JSON, as_node: str) -> events.JSON:
    """Make an earlier checkpoint, changed or not, the newest one.

    Raises:
        AgentFailed: `unknown_checkpoint`, or `invalid`: the update is wrong.
    """
    state = await _existing(opened, checkpoint)
    node = as_node or (None if values is not None else "__copy__")
    new = await _update(opened, checkpoint_id(state), values, node)
    return {"checkpoint": new, "next": list((await opened.state()).next)}


async def _existing(opened: Opened, checkpoint: str) -> StateSnapshot:
    state = await opened.state(checkpoint)
    if checkpoint and state.created_at is None:
        raise AgentFailed(f"the thread has no checkpoint {checkpoint!r}", code="unknown_checkpoint")
    return state


async def _update(opened: Opened, checkpoint: str, values: Any, as_node: str | None) -> str:
    try:
        config = await opened.graph.aupdate_state(opened.at(checkpoint), values, as_node=as_node)
    except (InvalidUpdateError, ValueError, TypeError) as error:
        raise AgentFailed(f"the update was refused: {error_text(error)}", code="invalid") from error
    return str(config["configurable"]["checkpoint_id"])


def _params(given: events.JSON, struct: type[Any]) -> Any:
    try:
        return convert(given, struct)
    except ValidationError as error:
        raise AgentFailed(f"wrong parameters: {error}", code="invalid") from error


def _told(state: StateSnapshot) -> dict[str, events.JSON]:
    metadata = state.metadata or {}
    parent = (state.parent_config or {}).get("configurable", {})
    return {
        "checkpoint": checkpoint_id(state),
        "parent": str(parent.get("checkpoint_id") or ""),
        "created_at": state.created_at,
        "source": metadata.get("source"),
        "step": metadata.get("step"),
        "next": list(state.next),
        "values": as_json(state.values),
        "interrupts": [{"id": one.id, "value": as_json(one.value)} for one in state.interrupts],
        "errors": {task.name: error_text(task.error) for task in state.tasks if task.error},
    }
