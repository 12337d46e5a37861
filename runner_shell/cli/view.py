"""Events as a person reads them, in a terminal or a pipe."""

from __future__ import annotations

from collections.abc import Callable

from ..protocol import codec
from ..protocol.events import (
    ArtifactCreated,
    BlockDelta,
    BlockFinished,
    BlockStarted,
    CommandFailed,
    Error,
    Event,
    Gap,
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
    TurnStarted,
    UnknownEvent,
    UsageUpdated,
    Warning_,
)
from .questions import Questions
from .screen import BOLD, DIM, GREEN, PLAIN, RED, YELLOW, Screen, Span
from .wording import duration, label, seconds_between, short, usage

Work = tuple[str, str]
"""A tool's call or a step, by kind and id."""


class EventView:
    """Shows events one by one: text as text, everything else a line each.

    Args:
        screen: Where to write.
        questions: Numbers the questions; the keyboard's, where there is one.
        is_mine: Whether a command with this id was typed here: its message is not shown again.
    """

    def __init__(
        self,
        screen: Screen,
        questions: Questions | None = None,
        *,
        is_mine: Callable[[str], bool] = lambda command: False,
    ) -> None:
        self._screen = screen
        self._questions = questions or Questions()
        self._is_mine = is_mine
        self._kinds: dict[tuple[str, int], str] = {}
        self._streaming: tuple[str, int] | None = None
        self._working: dict[Work, tuple[str, str]] = {}
        self._last_begun: Work | None = None
        self._totals: UsageUpdated | None = None

    def show(self, encoded: bytes) -> None:
        """Show one stored event."""
        stored = codec.decode_event(encoded)
        self._questions.follow(stored.payload)
        self._show(stored.payload, stored)
        self._screen.flush()

    def finish(self) -> None:
        """End a line that text left open."""
        self._screen.fresh()
        self._screen.flush()

    def _show(self, event: Event | UnknownEvent, stored: StoredEvent) -> None:
        match event:
            case BlockStarted():
                self._kinds[event.message, event.index] = event.kind
            case BlockDelta():
                self._delta(event)
            case BlockFinished():
                self._block_finished(event)
            case ToolStarted() | ToolFinished() | StepStarted() | StepProgress() | StepFinished():
                self._work(event, stored.envelope.time)
            case RequestOpened():
                self._request(event, stored.envelope.time)
            case RequestClosed():
                by = [Span(f" by {event.by}", DIM)] if event.by else []
                self._line(Span(f"  {event.how}: {short(event.answer)}", YELLOW), *by)
            case TurnStarted() | TurnFinished() | SessionStarted() | SessionFinished():
                self._course(event)
            case UsageUpdated():
                self._totals = event
            case _:
                self._notice(event)

    # --- text ----------------------------------------------------------------------------

    def _delta(self, delta: BlockDelta) -> None:
        key = (delta.message, delta.index)
        kind = self._kinds.get(key, "text")
        if kind == "tool_input":
            return
        style = DIM if kind == "thinking" else PLAIN
        self._last_begun = None
        if self._streaming != key:
            self._screen.fresh()
            self._streaming = key
            if kind == "thinking" and not self._screen.colour:
                self._screen.text("(thinking) ")
        self._screen.text(delta.text, style)

    def _block_finished(self, event: BlockFinished) -> None:
        kind = self._kinds.pop((event.message, event.index), "text")
        if kind in ("image", "file") and isinstance(event.content, dict):
            self._line(Span(f"[{kind} {event.content.get('media_type', '')}]".replace(" ]", "]")))
        if self._streaming == (event.message, event.index):
            self._screen.fresh()
            self._streaming = None

    # --- tools and steps -----------------------------------------------------------------

    def _work(
        self,
        event: ToolStarted | ToolFinished | StepStarted | StepProgress | StepFinished,
        time: str,
    ) -> None:
        match event:
            case ToolStarted():
                name = event.title or event.name
                given = Span(f" {short(event.input)}" if event.input is not None else "", DIM)
                self._begin(("tool", event.call), name, time, Span(f"• {name}"), given)
            case ToolFinished():
                said = short(event.output)
                key = ("tool", event.call)
                self._end(key, time, event.duration_seconds, event.status, said)
            case StepStarted():
                key = ("step", event.id)
                self._begin(key, event.name, time, Span(f"▸ {event.name}", DIM))
            case StepProgress():
                name = self._working.get(("step", event.id), ("step", ""))[0]
                done = "" if event.fraction is None else f" {event.fraction:.0%}"
                self._last_begun = None
                self._screen.short_line(Span(f"  {name}:{done} {event.text}".rstrip(), DIM))
            case StepFinished():
                self._end(("step", event.id), time, None, event.status, event.error)

    def _begin(self, key: Work, name: str, time: str, *spans: Span) -> None:
        self._streaming = None
        self._working[key] = (name, time)
        self._screen.open_line(*spans)
        self._last_begun = key

    def _end(self, key: Work, time: str, seconds: float | None, status: str, said: str) -> None:
        """Say the ending, in the line of the start where nothing came in between."""
        name, began = self._working.pop(key, (key[0], ""))
        seconds = seconds_between(began, time) if seconds is None else seconds
        parts = ["" if status == "ok" else status, duration(seconds) if seconds is not None else ""]
        head = " ".join(part for part in parts if part)
        text = f" → {head}{': ' if head and said else ''}{said}"
        if self._last_begun != key:
            self._screen.fresh()
        self._last_begun = None
        self._streaming = None
        style = DIM if status in ("ok", "waiting") else RED
        self._screen.append(Span(text, style), otherwise=(Span(f"  {name}", style),))

    # --- the course of things ------------------------------------------------------------

    def _course(self, event: TurnStarted | TurnFinished | SessionStarted | SessionFinished) -> None:
        match event:
            case SessionStarted():
                again = " again" if event.resumed else ""
                self._line(Span(f"session started{again}: {event.adapter}", DIM))
            case TurnStarted():
                if event.cause == "message" and not self._is_mine(event.command):
                    self._line(Span(f"› {short(event.input)}", BOLD), indent=2)
            case TurnFinished():
                said = [duration(event.duration_seconds), *usage(event.usage, event.cost_usd)]
                self._line(Span(f"turn {event.outcome} in {', '.join(said)}", DIM))
            case SessionFinished():
                colour = GREEN if event.outcome == "completed" else RED
                reason = f": {event.reason}" if event.reason else ""
                self._line(Span(f"session {event.outcome}{reason}", colour), indent=2)
                self._line(Span(f"  {', '.join(self._total(event))}", DIM))

    def _total(self, event: SessionFinished) -> list[str]:
        used, cost = event.usage, None
        if self._totals is not None:
            used = used or self._totals.session_usage
            cost = self._totals.cost_usd if used is None or used.cost_usd is None else None
        return [duration(event.duration_seconds), *usage(used, cost)]

    def _notice(self, event: Event | UnknownEvent) -> None:
        match event:
            case Error():
                self._line(Span(f"error {event.code}: {event.message}", RED), indent=2)
            case Warning_():
                self._line(Span(f"warning {event.code}: {event.message}", YELLOW), indent=2)
            case Log():
                self._line(Span(f"{event.level}: {event.message}", DIM), indent=2)
            case Gap():
                lost = f"history is lost after event {event.after}: {event.reason}"
                self._line(Span(lost, YELLOW), indent=2)
            case CommandFailed():
                self._line(Span(f"refused: {event.message or event.code}", RED), indent=2)
            case ArtifactCreated():
                self._line(Span(f"artifact {event.path} ({event.bytes:,} bytes)", GREEN))
            case _:
                pass

    def _request(self, event: RequestOpened, asked_at: str) -> None:
        number = self._questions.number(event.id)
        several = len(self._questions.waiting()) > 1
        self._line(Span(f"? {f'#{number} ' if several else ''}{event.title}", BOLD), indent=2)
        if isinstance(event.body, str) and event.body != event.title:
            self._line(Span(f"  {event.body}"), indent=2)
        elif event.body is not None and event.body != event.title:
            self._screen.short_line(Span(f"  {short(event.body)}"))
        for place, option in enumerate(event.options, 1):
            self._line(Span(f"  {place}) {label(option)}"), indent=5)
        if event.expires_at is not None:
            seconds = seconds_between(asked_at, event.expires_at)
            left = "?" if seconds is None else f"{seconds:.0f}"
            default = short(event.default) or "no answer"
            self._line(Span(f"  in {left} s by default: {default}", DIM))
        if several:
            self._line(Span(f"  several are open: `#{number} ANSWER` answers this one", DIM))

    def _line(self, *spans: Span, indent: int = 0) -> None:
        self._streaming = None
        self._last_begun = None
        self._screen.line(*spans, indent=indent)
