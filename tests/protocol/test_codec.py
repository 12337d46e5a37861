"""The codec: what is written is read again, and nothing that is read can do harm."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from msgspec import inspect

from runner_shell.errors import LimitExceeded, RemoteProtocolError
from runner_shell.protocol import catalogue, codec, commands, events, frames

DECODERS: dict[str, Callable[[bytes], object]] = {
    "runner frame": codec.decode_runner_frame,
    "gateway frame": codec.decode_gateway_frame,
    "envelope": codec.decode_envelope,
    "payload": codec.decode_payload,
    "event": codec.decode_event,
    "command": codec.decode_command,
}
each_decoder = pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS.keys())

TIME = "2026-11-21T10:00:00.000+00:00"

quick = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow], database=None
)
thorough = settings(quick, max_examples=300)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def values(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """Everything a field of this type may hold."""
    match kind:
        case inspect.AnyType():
            return json_values
        case inspect.StructType(cls=cls):
            return structs(cls)
        case inspect.LiteralType(values=allowed):
            return st.sampled_from(allowed)
        case inspect.ListType(item_type=item):
            return st.lists(values(item), max_size=3)
        case inspect.VarTupleType(item_type=item):
            return st.lists(values(item), max_size=3).map(tuple)
        case inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(values(key), values(value), max_size=3)
        case inspect.UnionType(types=types):
            return st.one_of([values(member) for member in types])
        case _:
            scalars: dict[type[inspect.Type], st.SearchStrategy[Any]] = {
                inspect.BoolType: st.booleans(),
                inspect.FloatType: st.floats(allow_nan=False, allow_infinity=False),
                inspect.IntType: st.integers(),
                inspect.NoneType: st.none(),
                inspect.StrType: st.text(),
            }
            return scalars[type(kind)]


def structs(cls: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Every instance of a struct."""
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    return st.builds(cls, **{field.name: values(field.type) for field in info.fields})


def nested(depth: int) -> bytes:
    """An unknown event, or command, that is nested this deep."""
    arrays = depth - 1
    return b'{"type":"new","deep":' + b"[" * arrays + b"]" * arrays + b"}"


def numbered(payload: bytes) -> bytes:
    return codec.number(payload, seq=1, time=TIME, turn="t1")


# --- there and back --------------------------------------------------------------------------

EVENT_NAMES = list(catalogue.EVENTS)


@pytest.mark.parametrize("name", EVENT_NAMES)
def test_event_survives_the_wire(name: str) -> None:
    """An event that is encoded, numbered and decoded is the event that was emitted."""

    @quick
    @given(
        event=structs(catalogue.EVENTS[name].struct),
        seq=st.integers(min_value=1, max_value=2**53),
        turn=st.text(),
    )
    def check(event: events.Event, seq: int, turn: str) -> None:
        stored = codec.decode_event(
            codec.number(codec.encode_payload(event), seq=seq, time=TIME, turn=turn)
        )
        assert stored.payload == event
        assert stored.envelope == events.Envelope(
            seq=seq, time=TIME, type=name, turn=turn, scope=event.scope
        )

    check()


@pytest.mark.parametrize("name", EVENT_NAMES)
def test_the_short_way_of_an_emitted_event_reads_the_same(name: str) -> None:
    """`decode_emitted` makes what `decode_payload` makes, and refuses what that refuses."""

    @quick
    @given(event=structs(catalogue.EVENTS[name].struct), cut=st.integers(min_value=1))
    def check(event: events.Event, cut: int) -> None:
        payload = codec.encode_payload(event)
        assert codec.decode_emitted(payload) == codec.decode_payload(payload)
        with pytest.raises(RemoteProtocolError):
            codec.decode_emitted(payload[: -1 - cut % (len(payload) - 1)])
        with pytest.raises(RemoteProtocolError):
            codec.decode_emitted(payload[:-1] + b',"scope":7}')

    check()


@pytest.mark.parametrize("name", catalogue.COMMANDS)
def test_command_survives_the_wire(name: str) -> None:
    """A command that is encoded and decoded is the command that was given."""

    @quick
    @given(command=structs(catalogue.COMMANDS[name]))
    def check(command: commands.Command) -> None:
        assert codec.decode_command(codec.encode_command(command)) == command

    check()


@quick
@given(secret=structs(commands.SecretAdd))
def test_secret_survives_the_wire(secret: commands.SecretAdd) -> None:
    """`secret.add` is read as it was given, though it stands in no numbered table."""
    assert codec.decode_command(codec.encode_command(secret)) == secret


@pytest.mark.parametrize(
    ("frame", "decode"),
    [
        (cls, decode)
        for table, decode in (
            (catalogue.RUNNER_FRAMES, codec.decode_runner_frame),
            (catalogue.GATEWAY_FRAMES, codec.decode_gateway_frame),
        )
        for cls in table.values()
        if cls not in (frames.Events, frames.Commands)
    ],
)
def test_frame_survives_the_wire(
    frame: type[frames.Frame], decode: Callable[[bytes], frames.Frame]
) -> None:
    """A frame that is encoded and decoded is the frame that was sent."""

    @quick
    @given(original=structs(frame))
    def check(original: frames.Frame) -> None:
        assert decode(codec.encode_frame(original)) == original

    check()


@quick
@given(st.lists(json_values.map(msgspec.json.encode), max_size=5))
def test_members_of_a_frame_keep_their_bytes(members: list[bytes]) -> None:
    """Events and commands come out of a frame as the very bytes that went in."""
    up = codec.decode_runner_frame(codec.join_events(members))
    down = codec.decode_gateway_frame(codec.join_commands(members))
    assert isinstance(up, frames.Events)
    assert isinstance(down, frames.Commands)
    assert [bytes(raw) for raw in up.events] == members
    assert [bytes(raw) for raw in down.commands] == members


# --- what this version does not know ---------------------------------------------------------


@quick
@given(
    name=st.text(),
    fields=st.dictionaries(st.text(), json_values, max_size=3),
    scope=st.lists(st.text(), max_size=3).map(tuple),
)
def test_unknown_event_is_carried_through(
    name: str, fields: dict[str, events.JSON], scope: tuple[str, ...]
) -> None:
    """An event of a type that nobody knows keeps its type, its scope and every field."""
    assume(name not in catalogue.EVENTS)
    assume(not {"seq", "time", "turn", "type", "scope"} & fields.keys())
    event = events.UnknownEvent(type=name, fields=fields, scope=scope)
    stored = codec.decode_event(numbered(codec.encode_payload(event)))
    assert stored.payload == event
    assert stored.envelope.scope == scope


@quick
@given(
    name=st.text() | st.sampled_from(catalogue.RESERVED_COMMANDS),
    fields=st.dictionaries(st.text(), json_values, max_size=3),
)
def test_unknown_command_is_carried_through(name: str, fields: dict[str, events.JSON]) -> None:
    """A command that this version does not carry out keeps its id, number and fields."""
    assume(name not in catalogue.COMMANDS and name != "secret.add")
    assume(not {"type", "id", "seq", "by"} & fields.keys())
    command = commands.ReservedCommand(type=name, id="c1", seq=7, by="ada", fields=fields)
    assert codec.decode_command(codec.encode_command(command)) == command


@pytest.mark.parametrize("name", catalogue.RESERVED_EVENTS)
def test_reserved_event_is_unknown_for_now(name: str) -> None:
    """A reserved name reads as an unknown event until something emits it."""
    payload = codec.decode_payload(json.dumps({"type": name, "x": 1}).encode())
    assert payload == events.UnknownEvent(type=name, fields={"x": 1})


def test_unknown_field_of_a_known_event_is_no_error() -> None:
    """A newer peer's further field is overlooked when read, and stays in the bytes."""
    event = b'{"seq":1,"time":"t","type":"log","message":"hi","colour":"red"}'
    assert codec.decode_event(event).payload == events.Log(message="hi")
    frame = codec.decode_runner_frame(codec.join_events([event]))
    assert isinstance(frame, frames.Events)
    assert bytes(frame.events[0]) == event


@pytest.mark.parametrize("field", ["seq", "time", "turn", "type", "scope"])
def test_unknown_event_cannot_forge_its_envelope(field: str) -> None:
    """A field with an envelope field's name is refused: it would hide the shell's own."""
    event = events.UnknownEvent(type="new", fields={field: 99})
    with pytest.raises(TypeError, match=field):
        codec.encode_payload(event)


# --- what cannot be written ------------------------------------------------------------------


def cycle() -> list[object]:
    """A list that holds itself."""
    whole: list[object] = []
    whole.append(whole)
    return whole


@pytest.mark.parametrize(
    "value", [object(), "\ud800", {"half": "\udc00"}, cycle(), 1j], ids=lambda v: type(v).__name__
)
def test_what_json_cannot_hold_is_a_type_error(value: object) -> None:
    """A value that cannot cross is the caller's error, and always the same one."""
    with pytest.raises(TypeError):
        codec.encode_payload(events.Custom(name="x", data=value))


# --- limits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("decode", [codec.decode_runner_frame, codec.decode_gateway_frame])
def test_frame_of_the_limit_passes_and_one_more_byte_does_not(
    decode: Callable[..., frames.Frame],
) -> None:
    """A frame may be as large as the limit, to the byte."""
    frame = codec.encode_frame(frames.Heartbeat(progress=5))
    assert decode(frame, max_bytes=len(frame)) == frames.Heartbeat(progress=5)
    with pytest.raises(LimitExceeded, match="bytes"):
        decode(frame, max_bytes=len(frame) - 1)


def test_size_counts_bytes_and_not_characters() -> None:
    """A text frame is measured as UTF-8."""
    frame = '{"frame":"heartbeat","x":"ééééé"}'
    with pytest.raises(LimitExceeded):
        codec.decode_runner_frame(frame, max_bytes=len(frame))


def test_command_larger_than_a_frame_is_refused() -> None:
    """A command has the limit of a frame."""
    command = commands.TurnStart(id="c1", content="x" * frames.MAX_FRAME_BYTES)
    with pytest.raises(LimitExceeded):
        codec.decode_command(codec.encode_command(command))


@pytest.mark.parametrize("decode", [codec.decode_payload, codec.decode_command])
def test_depth_of_the_limit_passes_and_one_level_more_does_not(
    decode: Callable[[bytes], object],
) -> None:
    """Arrays and objects may nest as deep as the limit and no deeper."""
    decode(nested(frames.MAX_DEPTH))
    with pytest.raises(LimitExceeded, match="deep"):
        decode(nested(frames.MAX_DEPTH + 1))


def test_what_is_not_too_deep_by_itself_is_not_so_in_a_frame() -> None:
    """A command of the greatest depth, or a request in `welcome`, is not refused for its frame."""
    deepest = nested(frames.MAX_DEPTH)
    codec.decode_gateway_frame(codec.join_commands([deepest]))
    welcome = frames.Welcome(epoch=1, acked=0, open_requests=(json.loads(deepest),))
    assert codec.decode_gateway_frame(codec.encode_frame(welcome)) == welcome


def test_event_that_is_too_deep_spoils_only_itself() -> None:
    """A frame with an event nested too deeply is read; the event is what is refused."""
    frame = codec.decode_runner_frame(codec.join_events([nested(frames.MAX_DEPTH + 1)]))
    assert isinstance(frame, frames.Events)
    with pytest.raises(LimitExceeded):
        codec.decode_event(bytes(frame.events[0]))


@pytest.mark.parametrize("text", ["[{" * 500, '\\"[' * 500, '"' * 9 + "[" * 500, "\\" + "[" * 500])
def test_brackets_in_text_are_no_depth(text: str) -> None:
    """Only structure counts as depth: text may hold brackets, quotes and backslashes at will."""
    event = events.Log(message=text)
    assert codec.decode_payload(codec.encode_payload(event)) == event


@pytest.mark.parametrize(
    "data",
    [
        b"{" * 40 + b"[" * 20 + b"[]" * 60 + b'"' + b'\\"' * 125_000,
        b"[" * 60 + b"[]" * 60 + b'"a\\\n' * 50_000,
        b"[" * 250_000,
        b"[]" * 125_000,
        b'"' * 250_000 + b"[" * 70,
    ],
    ids=["endless text", "broken escapes", "open", "closed", "quotes"],
)
@each_decoder
def test_hostile_bytes_take_no_time(decode: Callable[[bytes], object], data: bytes) -> None:
    """A frame's worth of hostile bytes is refused in a moment: the checks take linear time."""
    began = time.process_time()
    with pytest.raises(RemoteProtocolError):
        decode(data)
    assert time.process_time() - began < 2


# --- bytes from a stranger -------------------------------------------------------------------

VALID = [
    numbered(codec.encode_payload(events.Log(message="hi", fields={"a": [1, {"b": None}]}))),
    numbered(codec.encode_payload(events.TurnFinished(outcome="failed", usage=events.Usage()))),
    b'{"type":"new","seq":1,"time":"t","scope":["a"],"x":1e5}',
    codec.encode_command(commands.TurnStart(id="c1", content="é", seq=3)),
    b'{"type":"files.rewind","id":"c1","seq":1,"by":"","to":4}',
    codec.encode_command(commands.SecretAdd(name="key", value="v")),
    codec.encode_frame(frames.Welcome(epoch=1, acked=0, state={"a": 1}, open_requests=({},))),
    codec.encode_frame(frames.Part(seq=1, index=0, total=2, data="QQ==")),
    codec.join_events([b'{"seq":1}']),
]

NASTY = {
    "no such byte": b"\xff",
    "overlong": b"\xc0\x80",
    "surrogate in UTF-8": b"\xed\xa0\x80",
    "half a pair": b"\\ud800",
    "a pair the wrong way": b"\\udc00\\ud800",
    "nul": b"\x00",
    "5000 digits": b"1" * 5000,
    "-400 digits": b"-" + b"9" * 400,
    "1e400": b"1e400",
    "tiny": b"1e-99999999999999999999",
    "zeros": b"0" * 50,
    "NaN": b"NaN",
    "infinity": b"-Infinity",
    "null": b"null",
    "deep arrays": b"[" * 2000,
    "deep objects": b'{"a":' * 2000,
    "quote": b'"',
    "backslash": b"\\",
    "brace": b"}",
    "byte order mark": b"\xef\xbb\xbf",
}


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Something valid with a slice of it replaced."""
    whole = draw(st.sampled_from(VALID))
    start = draw(st.integers(0, len(whole)))
    end = draw(st.integers(start, len(whole)))
    wound = draw(st.sampled_from(list(NASTY.values())) | st.binary(max_size=8))
    return whole[:start] + wound + whole[end:]


def only_named_errors(decode: Callable[[bytes], object], data: bytes) -> None:
    """Decode, and let nothing pass but the one error that bytes may cause."""
    try:
        decode(data)
    except RemoteProtocolError:
        return


@each_decoder
def test_no_bytes_raise_anything_but_a_protocol_error(decode: Callable[[bytes], object]) -> None:
    """Whatever a peer sends, it is read or refused as the peer's error."""

    @thorough
    @given(st.binary(max_size=64) | json_values.map(msgspec.json.encode) | damaged())
    @example(b"")
    @example(b"[]")
    @example(b'{"type":1}')
    @example(b'{"type":"log","type":"gap"}')
    @example(b'{"type":"new","scope":null}')
    @example(b'{"type":"new","scope":[1]}')
    @example(b'{"type":"new","seq":"x"}')
    def check(data: bytes) -> None:
        only_named_errors(decode, data)

    check()


@pytest.mark.parametrize("nasty", NASTY.values(), ids=NASTY.keys())
@each_decoder
def test_nasty_values_raise_nothing_else(decode: Callable[[bytes], object], nasty: bytes) -> None:
    """Invalid UTF-8, huge numbers and deep nesting, in any field, are the peer's error at most."""
    for data in (
        nasty,
        b'{"type":"gap","seq":1,"time":"t","after":' + nasty + b',"reason":""}',
        b'{"type":"step.progress","seq":1,"time":"t","id":"","fraction":' + nasty + b"}",
        b'{"type":"custom","seq":1,"time":"t","name":"x","data":"' + nasty + b'"}',
        b'{"type":"new","id":"","x":' + nasty + b"}",
        b'{"type":"' + nasty + b'"}',
        b'{"frame":"ack","seq":' + nasty + b"}",
        b'{"frame":"events","events":[' + nasty + b"]}",
        b'{"frame":"' + nasty + b'"}',
    ):
        only_named_errors(decode, data)


@each_decoder
def test_invalid_utf8_is_refused_even_where_nobody_looks(
    decode: Callable[[bytes], object],
) -> None:
    """Bytes that are passed on are UTF-8 throughout, in fields that nobody knows too."""
    head = b'{"frame":"heartbeat","type":"log","seq":1,"time":"t","message":"","id":"c1","x":"'
    with pytest.raises(RemoteProtocolError, match="UTF-8"):
        decode(head + b'\xff"}')


def test_half_a_surrogate_pair_in_a_text_frame_is_refused() -> None:
    """A `str` that is not Unicode text is the peer's error, like the same in bytes."""
    with pytest.raises(RemoteProtocolError):
        codec.decode_runner_frame('{"frame":"heartbeat","x":"\ud800"}')


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"type":"turn.start","id":"c1"}', "content"),
        (b'{"type":"request.answer","id":"c1","request":3,"answer":null}', "request"),
        (b'{"type":"turn.start","id":7,"content":""}', "id"),
    ],
)
def test_wrong_command_says_which_field(data: bytes, says: str) -> None:
    """A known command with wrong fields is refused, and the message names the field."""
    with pytest.raises(RemoteProtocolError, match=says):
        codec.decode_command(data)


def test_each_side_takes_only_the_other_sides_frames() -> None:
    """A runner's frame is none of the gateway's, and the other way round."""
    hello = frames.Hello(session="s", epoch=None, instance="i", log="l", next=1, last_command=0)
    with pytest.raises(RemoteProtocolError):
        codec.decode_gateway_frame(codec.encode_frame(hello))
    with pytest.raises(RemoteProtocolError):
        codec.decode_runner_frame(codec.encode_frame(frames.Welcome(epoch=1, acked=0)))
