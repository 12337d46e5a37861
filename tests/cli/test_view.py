"""Events as a person reads them."""

from __future__ import annotations

import io

import pytest

from runner_shell.cli.view import EventView
from runner_shell.protocol import codec, events

TIME = "2026-11-21T10:00:00.000+00:00"
HOSTILE = "a\x1b]0;title\x07b\x1b[2Jc\x9b2Jd\r\x08\te\n"


def shown(*several: events.Event, colour: bool = False) -> str:
    """What the view writes for these events."""
    out = io.StringIO()
    view = EventView(out, colour=colour)
    for seq, event in enumerate(several, 1):
        view.show(codec.number(codec.encode_payload(event), seq=seq, time=TIME, turn="t"))
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
        expires_at="2026-11-21T10:00:05.000+00:00",
        default="no",
    )
    assert "in 5 s by default: no" in shown(request)


def test_a_strange_time_is_no_error() -> None:
    """Another runner's idea of a time does not stop the view."""
    request = events.RequestOpened(id="r", key="k", kind="input", title="?", expires_at="soon")
    assert "in ? s by default" in shown(request)
