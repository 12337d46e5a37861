"""Events as a person reads them, in a terminal or a pipe."""

from __future__ import annotations

import json
import os
import re
import sys
from datetime import datetime
from typing import TextIO

from ..protocol import codec
from ..protocol.events import (
    JSON,
    ArtifactCreated,
    BlockDelta,
    BlockFinished,
    BlockStarted,
    CommandFailed,
    Error,
    Event,
    Log,
    RequestClosed,
    RequestOpened,
    SessionFinished,
    SessionStarted,
    StepFinished,
    StepProgress,
    StepStarted,
    StoredEvent,
    ToolFinished,
    ToolStarted,
    TurnFinished,
    UnknownEvent,
    Warning_,
)

DIM, BOLD, RED, YELLOW, GREEN, RESET = (
    "\x1b[2m",
    "\x1b[1m",
    "\x1b[31m",
    "\x1b[33m",
    "\x1b[32m",
    "\x1b[0m",
)
SHORT = 100

_OWN_CODES = frozenset({DIM, BOLD, RED, YELLOW, GREEN, RESET})
_CONTROL = re.compile(r"\x1b\[\d+m|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class EventView:
    """Shows events one by one: text as text, everything else a line each.

    Args:
        out: Where to write.
        colour: Whether to use ANSI colours.
    """

    def __init__(self, out: TextIO, *, colour: bool) -> None:
        self._out = out
        self._colour = colour
        self._kinds: dict[tuple[str, int], str] = {}
        self._in_text = ""
        self._names: dict[str, str] = {}

    @classmethod
    def for_stdout(cls) -> EventView:
        """Colour where stdout is a terminal and nobody said `NO_COLOR`."""
        return cls(sys.stdout, colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))

    def show(self, encoded: bytes) -> None:
        """Show one stored event."""
        stored = codec.decode_event(encoded)
        if isinstance(stored.payload, BlockDelta):
            self._delta(stored.payload)
        else:
            line = self._line(stored)
            if line:
                self._write_line(line)
        self._out.flush()

    def finish(self) -> None:
        """End a line that text left open."""
        if self._in_text:
            self._out.write("\n")
            self._in_text = ""
        self._out.flush()

    def _delta(self, delta: BlockDelta) -> None:
        kind = self._kinds.get((delta.message, delta.index), "text")
        if kind == "tool_input":
            return
        key = f"{delta.message}/{delta.index}"
        if self._in_text != key:
            self.finish()
            self._in_text = key
        self._write(self._paint(DIM, delta.text) if kind == "thinking" else delta.text)

    def _write_line(self, line: str) -> None:
        self.finish()
        self._write(line + "\n")

    def _write(self, text: str) -> None:
        """Write without the control characters by which an agent could take a terminal over."""
        self._out.write(_CONTROL.sub(self._harmless, text))

    def _harmless(self, found: re.Match[str]) -> str:
        return (
            found.group()
            if self._colour and found.group() in _OWN_CODES
            else "\N{REPLACEMENT CHARACTER}"
        )

    def _line(self, stored: StoredEvent) -> str:
        event = stored.payload
        match event:
            case BlockStarted():
                self._kinds[event.message, event.index] = event.kind
                return ""
            case BlockFinished():
                self._kinds.pop((event.message, event.index), None)
                self.finish()
                return ""
            case SessionStarted():
                return self._paint(DIM, f"session started: {event.adapter}")
            case SessionFinished():
                return self._ending("session", event.outcome, event.reason)
            case TurnFinished():
                return self._turn_finished(event)
            case RequestOpened():
                return self._request(event, stored.envelope.time)
            case RequestClosed():
                return self._paint(YELLOW, f"  {event.how}: {_short(event.answer)}")
            case Error():
                return self._paint(RED, f"error {event.code}: {event.message}")
            case Warning_():
                return self._paint(YELLOW, f"warning {event.code}: {event.message}")
            case Log():
                return self._paint(DIM, f"{event.level}: {event.message}")
            case CommandFailed():
                return self._paint(RED, f"refused: {event.message}")
            case ArtifactCreated():
                return self._paint(GREEN, f"artifact {event.path} ({event.bytes} bytes)")
            case _:
                return self._work(event)

    def _work(self, event: Event | UnknownEvent) -> str:
        """Tools and steps."""
        match event:
            case ToolStarted():
                self._names[event.call] = event.name
                return f"• {event.title or event.name} {self._paint(DIM, _short(event.input))}"
            case ToolFinished():
                name = self._names.pop(event.call, "tool")
                colour = DIM if event.status == "ok" else RED
                return self._paint(colour, f"  {name} {event.status}: {_short(event.output)}")
            case StepStarted():
                self._names[event.id] = event.name
                return self._paint(DIM, f"▸ {event.name}")
            case StepProgress():
                return self._paint(DIM, f"  {self._names.get(event.id, 'step')}: {event.text}")
            case StepFinished():
                name = self._names.pop(event.id, "step")
                if event.status in ("ok", "waiting"):
                    return ""
                return self._paint(RED, f"  {name} {event.status} {event.error}".rstrip())
            case _:
                return ""

    def _turn_finished(self, event: TurnFinished) -> str:
        usage = event.usage
        said = f"turn {event.outcome} in {event.duration_seconds:.1f} s"
        if usage is not None:
            said += f", {usage.input_tokens} + {usage.output_tokens} tokens"
        if event.cost_usd is not None:
            said += f", ${event.cost_usd:.4f}"
        return self._paint(DIM, said)

    def _ending(self, what: str, outcome: str, reason: str) -> str:
        colour = GREEN if outcome == "completed" else RED
        return self._paint(colour, f"{what} {outcome}" + (f": {reason}" if reason else ""))

    def _request(self, event: RequestOpened, asked_at: str) -> str:
        lines = [self._paint(BOLD, f"? {event.title}")]
        if isinstance(event.body, str) and event.body != event.title:
            lines.append(f"  {event.body}")
        lines += [f"  {place}) {_label(option)}" for place, option in enumerate(event.options, 1)]
        if event.expires_at is not None:
            seconds = _seconds_between(asked_at, event.expires_at)
            default = _short(event.default) or "no answer"
            lines.append(self._paint(DIM, f"  in {seconds} s by default: {default}"))
        return "\n".join(lines)

    def _paint(self, colour: str, text: str) -> str:
        return f"{colour}{text}{RESET}" if self._colour and text else text


def _seconds_between(start: str, end: str) -> str:
    try:
        between = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    except (ValueError, TypeError):  # another runner's idea of a time
        return "?"
    return f"{between.total_seconds():.0f}"


def _label(option: JSON) -> str:
    if isinstance(option, dict):
        return str(option.get("label", option.get("value", option)))
    return str(option)


def _short(value: JSON) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= SHORT else text[: SHORT - 1] + "…"
