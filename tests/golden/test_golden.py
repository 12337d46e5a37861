"""Every frame and stable event of version 1, as bytes, must be read for ever as it was then."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner_shell.link.effects import (
    CommandReceived,
    CommandsAcknowledged,
    EventsReceived,
    HelloReceived,
)
from runner_shell.link.gateway import GatewayLimits, GatewayLink
from runner_shell.link.runner import LinkSettings, RunnerLink
from runner_shell.link.states import GatewayState, RunnerState
from runner_shell.protocol import catalogue, codec
from runner_shell.protocol.events import UnknownEvent
from runner_shell.protocol.frames import Events, UnknownFrame

V1 = Path(__file__).parent / "v1"

NEWER = {"newer": {"deep": [1, {"x": None}]}, "another": "ü"}
"""What a later version may add to anything."""


def lines(name: str) -> list[dict[str, Any]]:
    text = (V1 / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


def named(rows: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(row, id=f"{row['name']}-{row['variant']}") for row in rows]


def plain(value: Any) -> Any:
    """A decoded value with everything in it as JSON has it."""
    match value:
        case msgspec.Raw():
            return json.loads(bytes(value))
        case list() | tuple():
            return [plain(one) for one in value]
        case dict():
            return {key: plain(one) for key, one in value.items()}
        case msgspec.Struct():
            return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        case _:
            return value


def check(decoded: Any, means: dict[str, Any]) -> None:
    """Every field that was there then is there now, with the value it had then."""
    found = plain(decoded)
    assert {name: found.get(name) for name in means} == means


def newer(message: str) -> bytes:
    """The message as a later version might send it."""
    return json.dumps(json.loads(message) | NEWER).encode()


FRAMES: list[tuple[str, Callable[..., Any], set[str]]] = [
    ("runner_frames", codec.decode_runner_frame, set(catalogue.RUNNER_FRAMES)),
    ("gateway_frames", codec.decode_gateway_frame, set(catalogue.GATEWAY_FRAMES)),
]


@pytest.mark.parametrize(
    ("decode", "row"), [(d, *p.values) for name, d, _ in FRAMES for p in named(lines(name))]
)
def test_a_frame_means_what_it_meant(decode: Callable[..., Any], row: dict[str, Any]) -> None:
    """Each frame of version 1 decodes to what it did; a later version's fields change nothing."""
    check(decode(row["bytes"].encode()), row["means"])
    check(decode(row["bytes"]), row["means"])
    check(decode(newer(row["bytes"])), row["means"])


@pytest.mark.parametrize("row", named(lines("events")))
def test_a_stable_event_means_what_it_meant(row: dict[str, Any]) -> None:
    """Each stable event of version 1 decodes to what it did, envelope and payload; a later
    version's fields change nothing."""
    for encoded in (row["bytes"].encode(), newer(row["bytes"])):
        stored = codec.decode_event(encoded)
        assert type(stored.payload) is catalogue.EVENTS[row["name"]].struct
        check(stored.envelope, row["envelope"])
        check(stored.payload, row["means"])


@pytest.mark.parametrize("row", named(lines("commands")))
def test_a_command_means_what_it_meant(row: dict[str, Any]) -> None:
    """Each command of version 1 decodes to what it did; a later version's fields change nothing."""
    check(codec.decode_command(row["bytes"].encode()), row["means"])
    check(codec.decode_command(newer(row["bytes"])), row["means"])


def test_everything_that_is_promised_is_here() -> None:
    """Every frame, every stable event and every command has its lines: a new one needs some too."""
    for name, _, known in FRAMES:
        assert {row["name"] for row in lines(name)} == known
    stable = {name for name, row in catalogue.EVENTS.items() if row.tier == "stable"}
    assert {row["name"] for row in lines("events")} >= stable
    assert {row["name"] for row in lines("commands")} == {*catalogue.COMMANDS, "secret.add"}


def test_a_newer_peer_s_event_is_carried_through() -> None:
    """An event of a type that is not known reaches the store as the bytes that came."""
    event = b'{"seq":1,"time":"t","turn":"x","type":"weather.changed","scope":["a"], "wind":[1]}'
    link = open_gateway_link()
    (effect,) = link.receive(codec.join_events([event]), 0.0)
    assert isinstance(effect, EventsReceived)
    (one,) = effect.events
    assert (one.seq, one.type, one.turn, one.data) == (1, "weather.changed", "x", event)
    payload = codec.decode_event(event).payload
    assert payload == UnknownEvent(type="weather.changed", scope=("a",), fields={"wind": [1]})


def test_a_newer_peer_s_command_is_answered() -> None:
    """A command of a type that is not known reaches the shell, which answers `not_supported`."""
    link = open_runner_link()
    raw = b'{"type":"weather.change","id":"c1","seq":1,"by":"ada","wind":3}'
    (effect,) = link.receive(codec.join_commands([raw]), 0.0)
    assert isinstance(effect, CommandReceived)
    assert (effect.command.type, effect.problem) == ("weather.change", "")  # type: ignore[union-attr]


def test_a_newer_peer_s_frame_passes() -> None:
    """A frame of a name that is not known changes nothing, on either side."""
    frame = b'{"frame":"weather","wind":[1]}'
    assert codec.decode_runner_frame(frame) == UnknownFrame(name="weather")
    assert open_gateway_link().receive(frame, 0.0) == []
    assert open_runner_link().receive(frame, 0.0) == []


# --- a whole session -------------------------------------------------------------------------


def way(name: str) -> list[bytes]:
    return [row["bytes"].encode() for row in lines("conversation") if row["way"] == name]


def test_a_runner_of_then_is_understood() -> None:
    """A gateway takes a session of version 1 up, stores its events and its large one, and hears its
    acknowledgement."""
    link = GatewayLink(now=0.0, limits=GatewayLimits(max_frame_bytes=1024))
    stored: list[bytes] = []
    for frame in way("up"):
        for effect in link.receive(frame, 0.0):
            match effect:
                case HelloReceived():
                    link.welcome(epoch=1, acked=0, now=0.0)
                    link.frames_to_send(0.0)
                    link.offer_command(1, b'{"type":"turn.start","id":"c1","seq":1,"content":""}')
                case EventsReceived(events=events):
                    stored.extend(event.data for event in events)
                    link.committed(events[-1].seq, 0.0)
                case CommandsAcknowledged(seq=seq):
                    assert seq == 1
    assert link.state is GatewayState.OPEN
    assert [json.loads(event)["seq"] for event in stored] == [1, 2, 3]
    assert json.loads(stored[2])["message"] == "large"
    sent = codec.decode_runner_frame(way("up")[2])
    assert isinstance(sent, Events)
    assert stored[:2] == [bytes(raw) for raw in sent.events]


def test_a_gateway_of_then_is_understood() -> None:
    """A runner is welcomed by a gateway of version 1, takes its command, and lets go of what it
    acknowledges."""
    journal = {seq: b'{"seq":%d,"time":"t","type":"log","message":""}' % seq for seq in (1, 2, 3)}
    link = new_runner_link(journal)
    link.connected(0.0)
    taken = []
    for frame in way("down"):
        for effect in link.receive(frame, 0.0):
            if isinstance(effect, CommandReceived):
                taken.append(effect.command.id)
        if link.number() == 1:
            for seq, event in journal.items():
                link.journaled(seq, len(event), lingers=False, now=0.0)
        link.frames_to_send(0.0)
    assert link.state is RunnerState.OPEN
    assert (link.epoch, link.acked, link.settled) == (1, 3, True)
    assert taken == ["c1"]


class Journal:
    """Events by their numbers."""

    def __init__(self, events: dict[int, bytes]) -> None:
        self._events = events

    def read(self, seq: int) -> bytes:
        return self._events[seq]


def new_runner_link(journal: dict[int, bytes]) -> RunnerLink:
    return RunnerLink(LinkSettings(session="s1", instance="i1", log="l1"), Journal(journal))


def open_runner_link() -> RunnerLink:
    link = new_runner_link({})
    link.connected(0.0)
    link.receive(b'{"frame":"welcome","epoch":1,"acked":0}', 0.0)
    return link


def open_gateway_link() -> GatewayLink:
    link = GatewayLink(now=0.0)
    link.receive(way("up")[0], 0.0)
    link.welcome(epoch=1, acked=0, now=0.0)
    return link
