"""What a graph's own code may call to speak the runner's vocabulary.

Outside of a runner, with `graph.invoke`, both do nothing; with `stream_mode="custom"` the events
appear there.
"""

from __future__ import annotations

from langgraph.config import get_config, get_stream_writer

from runner_shell import events

SHELL_FAMILIES = ("session.", "turn.", "request.", "command.", "gap")
"""Events that only the shell may say; a node that could would forge its own ending."""


def is_shells(event: events.Event) -> bool:
    """Whether only the shell may emit an event of this type."""
    return str(type(event).__struct_config__.tag).startswith(SHELL_FAMILIES)


def emit(event: events.Event) -> None:
    """Emit an event from a node or tool, such as an `ArtifactCreated`.

    Its scope is filled with the sub-graph's where it is empty. What it starts, it must end.

    Raises:
        ValueError: The event is one that only the shell may emit.
        RuntimeError: Called outside of a node or tool.
    """
    if is_shells(event):
        raise ValueError(f"{type(event).__name__} is the shell's to emit, not a node's")
    get_stream_writer()(event)


def progress(text: str = "", fraction: float | None = None) -> None:
    """Say how far the running node is.

    Args:
        text: A line for a person.
        fraction: From 0 to 1, where known.

    Raises:
        RuntimeError: Called outside of a node or tool.
    """
    step = step_id(get_config()["configurable"]["checkpoint_ns"].rpartition("|")[2])
    emit(events.StepProgress(id=step, text=text, fraction=fraction))


def step_id(segment: str) -> str:
    """The step's id in a segment `node:id` of a namespace."""
    return segment.rpartition(":")[2]
