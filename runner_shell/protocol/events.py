"""What a runner says: one frozen struct per event type.

Adapters make these payloads; the shell adds number, time and turn when it encodes them. Text in
them is plain Unicode; sizes are bytes, durations seconds, costs US dollars.

Source: docs/reference/protocol.md, "Events".
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import Struct

JSON: TypeAlias = Any
"""A JSON value: null, bool, number, string, list of JSON or object with string keys."""

Scope: TypeAlias = tuple[str, ...]
"""The path of parent ids, outermost first: sub-agents and sub-graphs. Empty at the top."""

Outcome: TypeAlias = Literal[
    "completed",
    "failed",
    "interrupted",
    "stopped",
    "timed_out",
    "budget_exhausted",
    "waiting",
]
"""How a turn or a session ended."""

BlockKind: TypeAlias = Literal["text", "thinking", "tool_input", "image", "file"]
RequestKind: TypeAlias = Literal["permission", "question", "plan", "input"]
ToolStatus: TypeAlias = Literal["ok", "error", "denied", "cancelled"]
TurnCause: TypeAlias = Literal["message", "answers", "restart", "wake"]


class Event(Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """What every event payload has.

    Attributes:
        scope: The path of parent ids, outermost first; empty at the top.
    """

    scope: Scope = ()


class Usage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens that were used, as the framework counted them.

    Attributes:
        input_tokens: Tokens read, those from a cache included.
        output_tokens: Tokens written, thinking included.
        cache_read_tokens: Of the input, what came from a cache.
        cache_write_tokens: Of the input, what was written to a cache.
        cost_usd: Cost, or None where the framework does not say.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float | None = None


# --- session ---------------------------------------------------------------------------------


class SessionStarted(Event, frozen=True, kw_only=True, tag="session.started"):
    """A runner process took the session up; one per process.

    Attributes:
        epoch: The gateway's number for this process.
        resumed: Whether an earlier process's journal was taken over.
        adapter: The adapter's name.
        capabilities: What the adapter can do; empty where its import failed.
        description: What the adapter says of itself, such as its model or its graph.
        runner: Version of the shell.
    """

    epoch: int
    resumed: bool
    adapter: str
    capabilities: dict[str, JSON] = {}
    description: dict[str, JSON] = {}
    runner: str = ""


class SessionFinished(Event, frozen=True, kw_only=True, tag="session.finished"):
    """This process is done with the session; the last event it numbers.

    Attributes:
        outcome: How it ended.
        reason: Why, in words for a person.
        resumable: Whether a next process can go on where this one ended.
        exit_code: The code the process exits with.
        usage: Sum over the session, where known.
        duration_seconds: Since `session.started` of this process.
    """

    outcome: Outcome
    reason: str = ""
    resumable: bool = False
    exit_code: int = 0
    usage: Usage | None = None
    duration_seconds: float = 0.0


class SessionSaved(Event, frozen=True, kw_only=True, tag="session.saved"):
    """The adapter's durable state changed.

    Attributes:
        state: The keys that changed, with their new values.
        removed: The keys that were deleted.
    """

    state: dict[str, JSON]
    removed: tuple[str, ...] = ()


# --- turn ------------------------------------------------------------------------------------


class TurnStarted(Event, frozen=True, kw_only=True, tag="turn.started"):
    """A turn began.

    Attributes:
        cause: What set it going.
        input: The user's content where `cause` is `message`, else null.
        command: Id of the command that brought it (`initial` for the initial prompt), or empty.
    """

    cause: TurnCause
    input: JSON = None
    command: str = ""


class TurnFinished(Event, frozen=True, kw_only=True, tag="turn.finished"):
    """A turn's one ending.

    Attributes:
        outcome: How it ended; `waiting` leaves requests, tools and steps open for a later turn.
        reason: Why, in words for a person.
        usage: What this turn used, where known.
        cost_usd: What this turn cost, where known.
        duration_seconds: Since `turn.started`.
    """

    outcome: Outcome
    reason: str = ""
    usage: Usage | None = None
    cost_usd: float | None = None
    duration_seconds: float = 0.0


# --- message and block -----------------------------------------------------------------------


class MessageStarted(Event, frozen=True, kw_only=True, tag="message.started"):
    """A message began.

    Attributes:
        id: The framework's id of the message, unique in its turn.
        role: Who speaks.
        model: The model that writes it, where known.
    """

    id: str
    role: Literal["assistant", "user", "system"] = "assistant"
    model: str = ""


class MessageFinished(Event, frozen=True, kw_only=True, tag="message.finished"):
    """A message is whole.

    Attributes:
        id: The message's id.
        usage: What it used, where known.
        status: `cancelled` where the shell had to close it.
    """

    id: str
    usage: Usage | None = None
    status: Literal["ok", "cancelled"] = "ok"


class BlockStarted(Event, frozen=True, kw_only=True, tag="block.started"):
    """A block of a message began.

    Attributes:
        message: Id of its message.
        index: Its place in the message, from 0.
        kind: What it holds.
        call: For `tool_input`: the tool call whose input it is.
    """

    message: str
    index: int
    kind: BlockKind = "text"
    call: str = ""


class BlockDelta(Event, frozen=True, kw_only=True, tag="block.delta", gc=False):
    """More text of a block. Consecutive ones may be merged before they are numbered.

    Attributes:
        message: Id of its message.
        index: The block's place in the message.
        text: The text to append.
    """

    message: str
    index: int
    text: str


class BlockFinished(Event, frozen=True, kw_only=True, tag="block.finished"):
    """A block is whole.

    Attributes:
        message: Id of its message.
        index: The block's place in the message.
        content: The whole text. The shell builds it from the deltas; an adapter fills it only for
            a block that had none (an image: `{"media_type", "data"}`).
        status: `cancelled` where the shell had to close it.
    """

    message: str
    index: int
    content: JSON = None
    status: Literal["ok", "cancelled"] = "ok"


# --- tool and step ---------------------------------------------------------------------------


class ToolStarted(Event, frozen=True, kw_only=True, tag="tool.started"):
    """A tool call began to run.

    Attributes:
        call: The framework's id of the call.
        name: The tool's name.
        kind: What it does, where known: read, edit, execute, search, fetch, think or other.
        title: A line for a person.
        input: Its arguments.
    """

    call: str
    name: str
    kind: str = "other"
    title: str = ""
    input: JSON = None


class ToolOutput(Event, frozen=True, kw_only=True, tag="tool.output", gc=False):
    """More output of a running tool.

    Attributes:
        call: The call's id.
        text: The text to append.
    """

    call: str
    text: str


class ToolFinished(Event, frozen=True, kw_only=True, tag="tool.finished"):
    """A tool call ended.

    Attributes:
        call: The call's id.
        status: How.
        output: What it returned, or the error's text.
        duration_seconds: How long it ran, where known.
    """

    call: str
    status: ToolStatus = "ok"
    output: JSON = None
    duration_seconds: float | None = None


class StepStarted(Event, frozen=True, kw_only=True, tag="step.started"):
    """A node, sub-agent or background task began.

    Attributes:
        id: The framework's id of the step.
        name: Its name.
        kind: What it is.
        input: What it was given, where it is small enough to say.
    """

    id: str
    name: str
    kind: Literal["node", "subagent", "task"] = "node"
    input: JSON = None


class StepProgress(Event, frozen=True, kw_only=True, tag="step.progress"):
    """A step says how far it is.

    Attributes:
        id: The step's id.
        text: A line for a person.
        fraction: From 0 to 1, where known.
    """

    id: str
    text: str = ""
    fraction: float | None = None


class StepFinished(Event, frozen=True, kw_only=True, tag="step.finished"):
    """A step ended.

    Attributes:
        id: The step's id.
        status: How; `waiting` where it stands at a question and will run again, or goes on by
            itself after its turn.
        error: The error's text where `status` is `error`.
    """

    id: str
    status: Literal["ok", "error", "cancelled", "waiting"] = "ok"
    error: str = ""


# --- plan ------------------------------------------------------------------------------------


class PlanEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that the agent means to do.

    Attributes:
        id: The framework's id of it, where it has one.
        text: What is to be done.
        status: How far it is.
    """

    id: str = ""
    text: str
    status: Literal["pending", "in_progress", "completed"] = "pending"


class PlanUpdated(Event, frozen=True, kw_only=True, tag="plan.updated"):
    """The agent's plan, whole: it takes the place of the one before.

    Attributes:
        entries: What it means to do, in its order.
    """

    entries: tuple[PlanEntry, ...]


# --- state and checkpoint --------------------------------------------------------------------


class StateSnapshot(Event, frozen=True, kw_only=True, tag="state.snapshot"):
    """The agent's state in full, at the start and the end of a turn.

    Attributes:
        state: The state; what JSON cannot hold is written as text.
    """

    state: JSON


class StatePatch(Event, frozen=True, kw_only=True, tag="state.patch"):
    """What changed in the state of the same scope since the snapshot or patch before.

    Attributes:
        patch: Operations of JSON Patch (RFC 6902), to be applied in order.
    """

    patch: tuple[dict[str, JSON], ...]


class CheckpointSaved(Event, frozen=True, kw_only=True, tag="checkpoint.saved"):
    """A checkpoint was written: a next process can go on from here.

    Attributes:
        id: The framework's id of the checkpoint.
        step: Its place in its thread, where the framework counts.
        next: What runs next from here; empty where the agent is at rest.
    """

    id: str
    step: int | None = None
    next: tuple[str, ...] = ()


# --- request ---------------------------------------------------------------------------------


class RequestOpened(Event, frozen=True, kw_only=True, tag="request.opened"):
    """The agent asks a person.

    Attributes:
        id: The shell's id of the request.
        key: The framework's own id of the question; asking again under it asks nobody twice.
        kind: What is asked for.
        title: A line for a person.
        body: The question in full, or what is to be approved.
        schema: JSON Schema of the answer, where it has one.
        options: The answers to choose from, where there are some.
        deferrable: Whether the turn may end (`waiting`) while the question stays open.
        expires_at: RFC 3339 time at which `default` becomes the answer, or null.
        default: The answer when it expires. Null denies.
        digest: SHA-256, in hex, of an object of `kind`, `title`, `body`, `schema` and `options` as
            they are shown here, or their defaults: as JSON in UTF-8, without white space, the keys
            of every object sorted, no character escaped that need not be.
    """

    id: str
    key: str
    kind: RequestKind
    title: str
    body: JSON = None
    schema: dict[str, JSON] | None = None
    options: tuple[JSON, ...] = ()
    deferrable: bool = False
    expires_at: str | None = None
    default: JSON = None
    digest: str = ""


class RequestClosed(Event, frozen=True, kw_only=True, tag="request.closed"):
    """A request has its one ending.

    Attributes:
        id: The request's id.
        how: Why it is closed.
        answer: The answer, or the default where it expired.
        by: The principal the gateway verified; empty where nobody answered.
        digest: Of the request that this is the ending of: what was approved, or was not.
    """

    id: str
    how: Literal["answered", "expired", "cancelled", "superseded"]
    answer: JSON = None
    by: str = ""
    digest: str = ""


# --- the rest --------------------------------------------------------------------------------


class UsageUpdated(Event, frozen=True, kw_only=True, tag="usage.updated"):
    """Usage so far.

    Attributes:
        turn_usage: Of this turn.
        session_usage: Of the whole session, where known.
        by_model: Of this turn, by the model's name.
        cost_usd: Of the session, where known.
    """

    turn_usage: Usage
    session_usage: Usage | None = None
    by_model: dict[str, Usage] = {}
    cost_usd: float | None = None


class ArtifactCreated(Event, frozen=True, kw_only=True, tag="artifact.created"):
    """The agent wrote a file that is a result.

    Attributes:
        path: Relative to the workspace, with forward slashes.
        bytes: Its size.
        sha256: Its digest, in hex.
        media_type: Its type, guessed from its name.
    """

    path: str
    bytes: int
    sha256: str
    media_type: str = "application/octet-stream"


class CommandDone(Event, frozen=True, kw_only=True, tag="command.done"):
    """A command was carried out; for `turn.start` that means queued, or folded into a turn.

    A message that the running turn has taken has `folded_into`, that turn's id, in its result; it
    stands in the turn as a message of the role `user` with the command's id.

    Attributes:
        command: The command's id.
        result: What it gave.
    """

    command: str
    result: JSON = None


class CommandFailed(Event, frozen=True, kw_only=True, tag="command.failed"):
    """A command was not carried out.

    Attributes:
        command: The command's id.
        code: A stable word: not_supported, invalid, unknown_request, already_closed, late,
            interrupted, busy, ending or failed.
        message: What happened and what to do, for a person.
    """

    command: str
    code: str
    message: str = ""


class Log(Event, frozen=True, kw_only=True, tag="log"):
    """A line of the adapter's or the framework's log.

    Attributes:
        message: The line.
        level: How grave.
        logger: Where it comes from.
        fields: What was logged with it.
    """

    message: str
    level: Literal["debug", "info", "warning", "error"] = "info"
    logger: str = ""
    fields: dict[str, JSON] = {}


class Warning_(Event, frozen=True, kw_only=True, tag="warning"):  # noqa: N801 — not the builtin
    """Something a person should know; the work goes on.

    Attributes:
        code: A stable word for programs.
        message: What happened and what to do.
    """

    code: str
    message: str = ""


class Error(Event, frozen=True, kw_only=True, tag="error"):
    """Something failed.

    Attributes:
        code: A stable word for programs.
        message: What happened and what to do.
        retryable: Whether the same input may succeed later.
        origin: Whose fault: agent, adapter, shell, configuration or gateway.
    """

    code: str
    message: str
    retryable: bool = False
    origin: Literal["agent", "adapter", "shell", "configuration", "gateway"] = "agent"


class Gap(Event, frozen=True, kw_only=True, tag="gap"):
    """History was truly lost between this event's number and the one before.

    Attributes:
        after: The last number the gateway held.
        reason: Why it is lost.
    """

    after: int
    reason: str


class Custom(Event, frozen=True, kw_only=True, tag="custom"):
    """What has no place in this vocabulary: an adapter's own or a native message.

    Attributes:
        name: Dotted, the adapter's name first, such as `langgraph.custom`.
        data: Anything.
    """

    name: str
    data: JSON = None


class UnknownEvent(Struct, frozen=True, kw_only=True):
    """An event of a type that this version does not know, carried through unchanged.

    Attributes:
        type: The type's name.
        fields: All of its fields, envelope and `type` left out.
        scope: As in every event.
    """

    type: str
    fields: dict[str, JSON]
    scope: Scope = ()


class Envelope(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the shell adds to a payload, and the first fields of a stored event.

    Attributes:
        seq: Number of the event, contiguous per session across processes, from 1.
        time: RFC 3339 with zone and milliseconds, when it was numbered.
        type: The event's type.
        turn: Id of its turn, or empty outside of one.
        scope: As in every event.
    """

    seq: int
    time: str
    type: str
    turn: str = ""
    scope: Scope = ()


class StoredEvent(Struct, frozen=True, kw_only=True):
    """An event as it was numbered: envelope and payload apart.

    Attributes:
        envelope: Number, time, type and turn.
        payload: The event's own fields.
    """

    envelope: Envelope
    payload: Event | UnknownEvent
