"""The one way out: what comes out is in order, numbered without holes, and holds no secret."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from runner_shell.journal import MemoryJournal
from runner_shell.protocol.codec import encode_payload
from runner_shell.protocol.events import (
    BlockDelta,
    BlockFinished,
    BlockStarted,
    Custom,
    Event,
    Log,
    MessageFinished,
    MessageStarted,
    SessionStarted,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from runner_shell.redaction import Redactor, SecretRegistry
from runner_shell.shell.outbound.outlet import Outlet
from runner_shell.shell.outbound.safeguard import Safeguard
from runner_shell.shell.outbound.streams import Later, never
from runner_shell.testing.conformance import check_order, check_valid

SECRET = "abcabcab"
OTHER = "bcabbacca"

pieces = st.text("abc ", max_size=9) | st.sampled_from([SECRET, OTHER, SECRET[:5], SECRET[5:]])
ids = st.sampled_from(["m", SECRET])

any_event: st.SearchStrategy[Event] = st.one_of(
    st.builds(MessageStarted, id=ids),
    st.builds(MessageFinished, id=ids),
    st.builds(BlockStarted, message=ids, index=st.just(0)),
    st.builds(BlockDelta, message=ids, index=st.just(0), text=pieces),
    st.builds(BlockDelta, message=ids, index=st.just(0), text=pieces),
    st.builds(BlockFinished, message=ids, index=st.just(0)),
    st.builds(ToolStarted, call=ids, name=pieces),
    st.builds(ToolOutput, call=ids, text=pieces),
    st.builds(ToolFinished, call=ids, output=pieces),
    st.builds(Custom, name=pieces, data=st.dictionaries(pieces, pieces, max_size=3)),
    st.builds(TurnFinished, outcome=st.just("completed")),
)


class Link:
    """Numbers, as the link does after its welcome."""

    def __init__(self) -> None:
        self.last = 0

    def number(self) -> int:
        return self.last + 1

    def journaled(self, seq: int, size: int, *, lingers: bool, now: float) -> None:
        assert seq == self.last + 1
        self.last = seq


class Out:
    """An outlet, and what came out of it."""

    def __init__(self, secrets: dict[str, str], later: Later = never) -> None:
        self.events: list[dict[str, Any]] = []
        self.registry = SecretRegistry(secrets)
        self.guard = Safeguard(Redactor(self.registry))
        self.outlet = Outlet(
            Link(),  # type: ignore[arg-type]
            MemoryJournal(),
            self.guard,
            kick=lambda: None,
            now=lambda: 0.0,
            later=later,
        )
        self.outlet.taps.append(lambda event: self.events.append(msgspec.json.decode(event)))

    def emit(self, *events: Event) -> None:
        for event in events:
            self.outlet.emitted(encode_payload(event), "t")
        self.outlet.flush()

    def of_type(self, type: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == type]


@given(st.lists(any_event, max_size=30), st.booleans())
def test_whatever_is_emitted_comes_out_in_order_and_without_secrets(
    emitted: list[Event], waiting: bool
) -> None:
    """Streams of text joined, every other field by itself, names of keys included."""
    out = Out({"S": SECRET, "O": OTHER})
    out.outlet.say(SessionStarted(epoch=1, resumed=False, adapter="a"))
    out.outlet.say(TurnStarted(cause="message"), "t")
    out.emit(*emitted)
    out.outlet.close_open_things("t", waiting=waiting)
    out.outlet.say(TurnFinished(outcome="waiting" if waiting else "completed"), "t")
    out.outlet.flush()
    assert check_order(out.events) == []
    assert check_valid(out.events) == []
    streams: dict[Any, str] = {}
    for event in out.events:
        if "text" in event:
            key = event.get("message"), event.get("call")
            streams[key] = streams.get(key, "") + event.pop("text")
        elif event["type"].endswith((".started", ".finished")):
            streams[event.get("message"), event.get("call")] = ""
        shown = str([event, *streams.values()])
        assert SECRET not in shown
        assert OTHER not in shown


def test_what_was_held_back_keeps_its_scope() -> None:
    """The end of a block or a tool's output lets it go, where it belongs."""
    out = Out({"S": SECRET})
    scope = ("sub",)
    out.emit(
        BlockStarted(message="m", index=0, scope=scope),
        BlockDelta(message="m", index=0, text="see abc", scope=scope),
        BlockFinished(message="m", index=0, scope=scope),
        ToolStarted(call="c", name="sh", scope=scope),
        ToolOutput(call="c", text="see abc", scope=scope),
        ToolFinished(call="c", scope=scope),
    )
    for type in ("block.delta", "tool.output"):
        events = out.of_type(type)
        assert "".join(event["text"] for event in events) == "see abc"
        assert {tuple(event["scope"]) for event in events} == {scope}


def test_a_repair_is_told_behind_what_was_mended() -> None:
    """As a warning of the same turn."""
    out = Out({})
    out.emit(BlockDelta(message="m", index=0, text="x."))
    assert [event["type"] for event in out.events] == [
        "message.started",
        "block.started",
        "block.delta",
        "warning",
        "warning",
    ]
    assert {event["turn"] for event in out.events} == {"t"}
    assert {event["code"] for event in out.of_type("warning")} == {"adapter_order"}


def test_an_events_unknown_type_is_carried_through_redacted() -> None:
    """Its type stays; its fields are looked into."""
    out = Out({"S": SECRET})
    payload = {"type": "repo.ready", "repos": [{SECRET: SECRET}]}
    out.outlet.emitted(msgspec.json.encode(payload), "t")
    out.outlet.flush()
    (event,) = out.events
    assert event["type"] == "repo.ready"
    assert event["repos"] == [{"[REDACTED:S]": "[REDACTED:S]"}]


def test_without_a_secret_events_are_not_touched() -> None:
    """What is emitted is what is stored."""
    out = Out({})
    log = Log(message="hello", fields={"n": 1})
    out.emit(log)
    assert out.events[0] == out.events[0] | msgspec.json.decode(encode_payload(log))


def test_a_secret_learned_in_a_block_is_hidden_in_its_name_from_then_on() -> None:
    """A message's name is looked at once, until there is a secret more."""
    out = Out({})
    message = f"m-{SECRET}"
    delta = BlockDelta(message=message, index=0, text="a, ")
    out.emit(MessageStarted(id=message), BlockStarted(message=message, index=0), delta, delta)
    out.registry.add("LATE", SECRET)
    out.emit(delta, delta)
    named = [event["message"] for event in out.of_type("block.delta")]
    assert named == [message] * 2 + ["m-[REDACTED:LATE]"] * 2
