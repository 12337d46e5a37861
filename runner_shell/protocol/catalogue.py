"""The one table of types: what exists, in which tier, and what is only reserved.

The codec, the JSON Schema, the AsyncAPI document and the reference pages are made from it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from . import commands, events, frames

Tier = Literal["stable", "experimental"]


class EventType(NamedTuple):
    """One row of events.

    Attributes:
        struct: The payload.
        tier: `stable` types are protected by golden transcripts.
    """

    struct: type[events.Event]
    tier: Tier


EVENTS: dict[str, EventType] = {
    "session.started": EventType(events.SessionStarted, "stable"),
    "session.finished": EventType(events.SessionFinished, "stable"),
    "session.saved": EventType(events.SessionSaved, "experimental"),
    "turn.started": EventType(events.TurnStarted, "stable"),
    "turn.finished": EventType(events.TurnFinished, "stable"),
    "message.started": EventType(events.MessageStarted, "stable"),
    "message.finished": EventType(events.MessageFinished, "stable"),
    "block.started": EventType(events.BlockStarted, "stable"),
    "block.delta": EventType(events.BlockDelta, "stable"),
    "block.finished": EventType(events.BlockFinished, "stable"),
    "tool.started": EventType(events.ToolStarted, "stable"),
    "tool.output": EventType(events.ToolOutput, "experimental"),
    "tool.finished": EventType(events.ToolFinished, "stable"),
    "step.started": EventType(events.StepStarted, "experimental"),
    "step.progress": EventType(events.StepProgress, "experimental"),
    "step.finished": EventType(events.StepFinished, "experimental"),
    "plan.updated": EventType(events.PlanUpdated, "experimental"),
    "state.snapshot": EventType(events.StateSnapshot, "experimental"),
    "state.patch": EventType(events.StatePatch, "experimental"),
    "checkpoint.saved": EventType(events.CheckpointSaved, "experimental"),
    "request.opened": EventType(events.RequestOpened, "stable"),
    "request.closed": EventType(events.RequestClosed, "stable"),
    "usage.updated": EventType(events.UsageUpdated, "stable"),
    "artifact.created": EventType(events.ArtifactCreated, "experimental"),
    "command.done": EventType(events.CommandDone, "stable"),
    "command.failed": EventType(events.CommandFailed, "stable"),
    "log": EventType(events.Log, "stable"),
    "warning": EventType(events.Warning_, "stable"),
    "error": EventType(events.Error, "stable"),
    "gap": EventType(events.Gap, "stable"),
    "custom": EventType(events.Custom, "experimental"),
}

RESERVED_EVENTS: tuple[str, ...] = (
    "repo.ready",
    "repo.pushed",
    "pull_request.opened",
)
"""Names that are taken; nothing emits them yet, and readers carry them through as unknown."""

COMMANDS: dict[str, type[commands.Command]] = {
    "turn.start": commands.TurnStart,
    "turn.interrupt": commands.TurnInterrupt,
    "request.answer": commands.RequestAnswer,
    "session.end": commands.SessionEnd,
    "session.stop": commands.SessionStop,
    "settings.update": commands.SettingsUpdate,
    "state.get": commands.StateGet,
    "state.fork": commands.StateFork,
    "adapter.call": commands.AdapterCall,
    "files.rewind": commands.FilesRewind,
}

RESERVED_COMMANDS: tuple[str, ...] = (
    "repo.add",
    "repo.remove",
    "workflow.change",
)
"""Known names that no part of this version carries out: each is answered `not_supported`."""

RUNNER_FRAMES: dict[str, type[frames.Frame]] = {
    "hello": frames.Hello,
    "events": frames.Events,
    "part": frames.Part,
    "ack": frames.Ack,
    "heartbeat": frames.Heartbeat,
}
"""Runner → gateway."""

GATEWAY_FRAMES: dict[str, type[frames.Frame]] = {
    "welcome": frames.Welcome,
    "ack": frames.Ack,
    "commands": frames.Commands,
    "heartbeat": frames.Heartbeat,
}
"""Gateway → runner."""
