"""Events as a person reads them."""

from __future__ import annotations

import io
import re

import pytest

from runner_shell.cli.screen import Screen, cells
from runner_shell.cli.view import EventView
from runner_shell.protocol import codec, events

HOSTILE = "a\x1b]0;title\x07b\x1b[2Jc\x9b2Jd\r\x08\te\n"


def shown(*several: events.Event, colour: bool = False, width: int | None = None) -> str:
    """What the view writes for these events, half a second apart."""
    out = io.StringIO()
    view = EventView(Screen(out, colour=colour, width=None if width is None else lambda: width))
    for seq, event in enumerate(several, 1):
        time = f"2026-11-21T10:00:{seq / 2:06.3f}+00:00"
        view.show(codec.number(codec.encode_payload(event), seq=seq, time=time, turn="t"))
    view.finish()
    return out.getvalue()


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize(
    "event",
    [
        events.BlockDelta(message="m", index=0, text=HOSTILE),
        events.Error(code="x", message=HOSTILE),
        events.RequestOpened(id="r", key="k", kind="question", title=HOSTILE, options=(HOSTILE,)),
        events.ToolStarted(call="c", name=HOSTILE, input={"a": HOSTILE}),
        events.ArtifactCreated(path=HOSTILE, bytes=1, sha256=""),
    ],
    ids=lambda event: type(event).__name__,
)
def test_an_agent_cannot_take_the_terminal_over(event: events.Event, colour: bool) -> None:
    """Control characters are shown as replaced; only tabs, line ends and our own colours pass."""
    text = shown(event, colour=colour)
    for code in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m"):
        text = text.replace(code, "") if colour else text
    assert [
        sign for sign in text if not (sign.isprintable() or sign in "\n\t\N{REPLACEMENT CHARACTER}")
    ] == []


def test_a_default_is_announced_in_seconds() -> None:
    """A question says in how many seconds its default becomes the answer."""
    request = events.RequestOpened(
        id="r",
        key="k",
        kind="question",
        title="Go on?",
        expires_at="2026-11-21T10:00:05.500+00:00",
        default="no",
    )
    assert "in 5 s by default: no" in shown(request)


def test_a_strange_time_is_no_error() -> None:
    """Another runner's idea of a time does not stop the view."""
    request = events.RequestOpened(id="r", key="k", kind="input", title="?", expires_at="soon")
    assert "in ? s by default" in shown(request)


ASKED = events.RequestOpened(id="r", key="k", kind="question", title="Deploy?", options=("yes",))
TOOL = events.ToolStarted(call="c", name="grep", input={"q": "x"})
FOUND = events.ToolFinished(call="c", output="found")
STEP = events.StepStarted(id="s", name="plan")


def delta(text: str, message: str = "m") -> events.BlockDelta:
    return events.BlockDelta(message=message, index=0, text=text)


THINKING = events.BlockStarted(message="m", index=0, kind="thinking")


def test_text_is_shown_as_text() -> None:
    """Deltas are joined, and a new message begins a line of its own."""
    assert shown(delta("one "), delta("two"), delta("three", "n")) == "one two\nthree\n"


def test_thinking_is_dimmed_or_said() -> None:
    """Thinking is dim; without colours it is named, so that nobody takes it for the answer."""
    assert shown(THINKING, delta("hm"), colour=True) == "\x1b[2mhm\x1b[0m\n"
    assert shown(THINKING, delta("hm")) == "(thinking) hm\n"


def test_the_input_of_a_tool_is_not_streamed() -> None:
    """What a model writes as a tool's input is shown once, with the tool."""
    block = events.BlockStarted(message="m", index=0, kind="tool_input", call="c")
    assert shown(block, delta('{"q":'), TOOL) == '• grep {"q": "x"}\n'


def test_a_tool_takes_one_line() -> None:
    """Start, duration and output stand together where nothing came in between."""
    assert shown(TOOL, FOUND) == '• grep {"q": "x"} → 0.5 s: found\n'
    said = events.ToolFinished(call="c", status="denied", duration_seconds=75.0)
    assert shown(TOOL, said) == '• grep {"q": "x"} → denied 1 min 15 s\n'


def test_tools_at_the_same_time() -> None:
    """An ending that does not follow its start names its tool, in a line of its own."""
    other = events.ToolStarted(call="d", name="read")
    ended = events.ToolFinished(call="d", status="error", output="no file")
    assert shown(TOOL, other, FOUND, ended).splitlines() == [
        '• grep {"q": "x"}',
        "• read",
        "  grep → 1.0 s: found",
        "  read → error 1.0 s: no file",
    ]


def test_text_between_a_tool_and_its_end() -> None:
    """What an agent says meanwhile is not mixed into the tool's line."""
    assert shown(TOOL, delta("so "), FOUND).splitlines()[1:] == ["so ", "  grep → 1.0 s: found"]


def test_steps() -> None:
    """A step has its duration; what failed or waits says so; progress is shown."""
    ended = events.StepFinished(id="s")
    failed = events.StepFinished(id="s", status="error", error="boom")
    progress = events.StepProgress(id="s", text="half", fraction=0.5)
    assert shown(STEP, ended) == "▸ plan → 0.5 s\n"
    assert shown(STEP, failed) == "▸ plan → error 0.5 s: boom\n"
    assert shown(STEP, progress, ended).splitlines() == [
        *("▸ plan", "  plan: 50% half", "  plan → 1.0 s"),
    ]


def test_usage_and_cost_stand_at_the_end() -> None:
    """A turn's ending has its usage, the session's the sum, with the cost where it is known."""
    used = events.Usage(input_tokens=1200, output_tokens=80, cost_usd=0.0123)
    turn = events.TurnFinished(outcome="completed", usage=used, duration_seconds=2.0)
    session = events.SessionFinished(outcome="completed", usage=used, duration_seconds=3.0)
    assert shown(turn, session).splitlines() == [
        "turn completed in 2.0 s, 1,200 + 80 tokens, $0.0123",
        "session completed",
        "  3.0 s, 1,200 + 80 tokens, $0.0123",
    ]


def test_usage_from_updates() -> None:
    """Where the ending has no sum, the last update's counts."""
    so_far = events.Usage(input_tokens=1, output_tokens=2)
    update = events.UsageUpdated(turn_usage=so_far, session_usage=so_far, cost_usd=0.5)
    ended = events.SessionFinished(outcome="failed", reason="no quota", duration_seconds=7200.0)
    assert shown(update, ended) == "session failed: no quota\n  2 h 0 min, 1 + 2 tokens, $0.5000\n"


def test_a_message_from_elsewhere_is_shown() -> None:
    """What a person said opens its turn; what was typed here is on the screen already."""
    started = events.TurnStarted(cause="message", input="hello", command="theirs")
    assert shown(started) == "› hello\n"
    out = io.StringIO()
    view = EventView(Screen(out), is_mine=lambda command: command == "theirs")
    view.show(codec.number(codec.encode_payload(started), seq=1, time="", turn="t"))
    assert out.getvalue() == ""


def test_several_questions_are_numbered() -> None:
    """A second open question says its number and how to answer it."""
    second = events.RequestOpened(id="q", key="l", kind="question", title="Which?")
    text = shown(ASKED, second)
    assert "? Deploy?" in text
    assert "? #2 Which?" in text
    assert "`#2 ANSWER` answers this one" in text


def test_lost_history_and_images_are_named() -> None:
    """What cannot be shown is said to be there, or not to be."""
    gap = events.Gap(after=3, reason="the volume is gone")
    image = events.BlockFinished(message="m", index=0, content={"media_type": "image/png"})
    block = events.BlockStarted(message="m", index=0, kind="image")
    assert shown(gap) == "history is lost after event 3: the volume is gone\n"
    assert shown(block, image) == "[image image/png]\n"


EVERYTHING = (
    THINKING,
    delta("a long thought about a very-long-word-that-no-narrow-window-holds-in-a-line"),
    delta("日本語のテキストは空白なしで折り返されます。", "n"),
    events.ToolStarted(call="c", name="grep", input={"pattern": "x" * 400}),
    events.ToolFinished(call="c", output="日本" * 90),
    events.Error(code="x", message="word " * 40),
    ASKED,
    events.SessionFinished(outcome="failed", reason="because " * 20),
)


@pytest.mark.parametrize("width", [20, 21, 33, 80])
@pytest.mark.parametrize("colour", [False, True])
def test_no_line_is_wider_than_the_window(width: int, colour: bool) -> None:
    """Wide characters counted, every line fits, and no character of a text is lost."""
    text = re.sub(r"\x1b\[\d*m", "", shown(*EVERYTHING, colour=colour, width=width))
    assert [line for line in text.splitlines() if cells(line) > width] == []
    for whole in (EVERYTHING[1], EVERYTHING[2]):
        assert "".join(whole.text.split()) in "".join(text.split())


def test_lines_break_between_words() -> None:
    """A word is moved to the next line rather than cut, however it was streamed."""
    pieces = [delta(piece) for piece in ("one tw", "o three f", "our five si", "x seven")]
    assert shown(*pieces, width=20) == "one two three four\nfive six seven\n"


def test_a_pipe_gets_lines_as_they_are() -> None:
    """Nothing is wrapped where no window is."""
    assert shown(delta("word " * 100)) == "word " * 100 + "\n"
