"""What a turn has open: every start gets exactly one ending, in order.

Pure: events in, events out. What an adapter forgot to start or to end is written here; what it
ended twice is dropped. Every repair is told, because it is a fault of the adapter.

Source: PROTOCOL, promise 3; docs/reference/protocol.md, "Events".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from msgspec.structs import replace

from ...journal.recovery import add
from ...protocol.events import (
    BlockDelta,
    BlockFinished,
    BlockStarted,
    Event,
    MessageFinished,
    MessageStarted,
    Scope,
    StepFinished,
    StepProgress,
    StepStarted,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    UnknownEvent,
)

AnyEvent = Event | UnknownEvent
BlockKey = tuple[str, int]
E = TypeVar("E", bound=Event)


class Ledger:
    """The open things of a session, over its turns: tools and steps may outlive a `waiting` end.

    Attributes:
        repairs: What had to be mended since `take_repairs` was last called, a sentence each.
    """

    def __init__(self) -> None:
        self._messages: dict[str, MessageStarted] = {}
        self._blocks: dict[BlockKey, tuple[BlockStarted, list[str]]] = {}
        self._tools: dict[str, ToolStarted] = {}
        self._steps: dict[str, StepStarted] = {}
        self.repairs: list[str] = []
        self._rules: dict[type[Any], Callable[[Any], list[AnyEvent]]] = {
            MessageStarted: lambda one: self._start(self._messages, one.id, one, "message"),
            MessageFinished: self._finish_message,
            BlockStarted: self._start_block,
            BlockDelta: lambda one: [*self._missing_block(one.message, one.index, one), one],
            BlockFinished: self._finish_block,
            ToolStarted: lambda one: self._start(self._tools, one.call, one, "tool call"),
            ToolOutput: lambda one: [*self._missing_tool(one), one],
            ToolFinished: self._finish_tool,
            StepStarted: lambda one: self._start(self._steps, one.id, one, "step"),
            StepProgress: self._step,
            StepFinished: self._step,
        }

    def take_repairs(self) -> list[str]:
        """What had to be mended, once."""
        repairs, self.repairs = self.repairs, []
        return repairs

    def open_things(self) -> list[str]:
        """What is open, for a person."""
        return [
            *(f"block {index} of message {message}" for message, index in self._blocks),
            *(f"message {id}" for id in self._messages),
            *(f"tool call {call}" for call in self._tools),
            *(f"step {id}" for id in self._steps),
        ]

    def admit(self, event: AnyEvent) -> list[AnyEvent]:
        """What is to be numbered for an emitted event: itself, repaired, or nothing."""
        rule = self._rules.get(type(event))
        return [event] if rule is None else rule(event)

    def open_blocks(self) -> dict[BlockKey, Scope]:
        """The blocks that are open, with the scope that each began in."""
        return {key: started.scope for key, (started, _) in self._blocks.items()}

    def scope_of_tool(self, call: str) -> Scope:
        """The scope that an open tool call began in."""
        return self._tools[call].scope if call in self._tools else ()

    def texts(self, message: str, index: int) -> list[str] | None:
        """The texts of an open block, to append to; None where it is not open."""
        entry = self._blocks.get((message, index))
        return None if entry is None else entry[1]

    def heard(self, message: str, index: int, text: str) -> None:
        """A redacted delta went out: the finished content is built from these."""
        add(text, self._blocks[message, index][1])

    def close_all(self, *, keep_tools_and_steps: bool) -> list[AnyEvent]:
        """The endings of everything that is open, innermost first.

        Args:
            keep_tools_and_steps: The turn ends `waiting`: they stay open for a later turn.
        """
        endings: list[AnyEvent] = []
        for message, index in list(self._blocks):
            endings += self._finish_block(
                BlockFinished(message=message, index=index, status="cancelled")
            )
        for id, started in list(self._messages.items()):
            endings += self._finish_message(
                MessageFinished(id=id, scope=started.scope, status="cancelled")
            )
        if keep_tools_and_steps:
            return endings
        for call, tool in list(self._tools.items()):
            endings += self._finish_tool(
                ToolFinished(call=call, scope=tool.scope, status="cancelled")
            )
        for id, step in reversed(list(self._steps.items())):
            endings += self._step(StepFinished(id=id, scope=step.scope, status="cancelled"))
        return endings

    # --- one kind each -----------------------------------------------------------------------

    def _start(self, open_ones: dict[str, E], id: str, event: E, kind: str) -> list[AnyEvent]:
        if id in open_ones:
            self.repairs.append(f"{kind} {id} was started twice; the second start was dropped")
            return []
        open_ones[id] = event
        return [event]

    def _start_block(self, event: BlockStarted) -> list[AnyEvent]:
        key = (event.message, event.index)
        if key in self._blocks:
            self.repairs.append(f"block {key} was started twice; the second start was dropped")
            return []
        missing = self._missing_message(event.message, event)
        self._blocks[key] = (event, [])
        return [*missing, event]

    def _finish_block(self, event: BlockFinished) -> list[AnyEvent]:
        entry = self._blocks.pop((event.message, event.index), None)
        if entry is None:
            self.repairs.append(
                f"block {event.index} of message {event.message} was finished without being open; "
                "the end was dropped"
            )
            return []
        started, texts = entry
        if texts or event.content is None:
            event = replace(event, content="".join(texts), scope=started.scope)
        return [event]

    def _finish_message(self, event: MessageFinished) -> list[AnyEvent]:
        if event.id not in self._messages:
            self.repairs.append(
                f"message {event.id} was finished without being open; the end was dropped"
            )
            return []
        endings: list[AnyEvent] = []
        for message, index in [key for key in self._blocks if key[0] == event.id]:
            self.repairs.append(f"block {index} of message {message} was not finished")
            endings += self._finish_block(BlockFinished(message=message, index=index))
        del self._messages[event.id]
        return [*endings, event]

    def _finish_tool(self, event: ToolFinished) -> list[AnyEvent]:
        if self._tools.pop(event.call, None) is None:
            self.repairs.append(
                f"tool call {event.call} was finished without being open; the end was dropped"
            )
            return []
        return [event]

    def _step(self, event: StepProgress | StepFinished) -> list[AnyEvent]:
        if event.id not in self._steps:
            self.repairs.append(f"step {event.id} is not open; {_type(event)} was dropped")
            return []
        if isinstance(event, StepFinished):
            del self._steps[event.id]
        return [event]

    def _missing_message(self, id: str, event: Event) -> list[AnyEvent]:
        if id in self._messages:
            return []
        self.repairs.append(f"message {id} was not started")
        self._messages[id] = MessageStarted(id=id, scope=event.scope)
        return [self._messages[id]]

    def _missing_block(self, message: str, index: int, event: Event) -> list[AnyEvent]:
        if (message, index) in self._blocks:
            return []
        self.repairs.append(f"block {index} of message {message} was not started")
        return self._start_block(BlockStarted(message=message, index=index, scope=event.scope))

    def _missing_tool(self, event: ToolOutput) -> list[AnyEvent]:
        call = event.call
        if call in self._tools:
            return []
        self.repairs.append(f"tool call {call} was not started")
        self._tools[call] = ToolStarted(call=call, name="unknown", scope=event.scope)
        return [self._tools[call]]


def _type(event: Event) -> str:
    return str(event.__struct_config__.tag)
