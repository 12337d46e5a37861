"""Deltas that cross together: joined as bytes, exact to the character."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner_shell.protocol.codec import decode_payload, encode_payload
from runner_shell.protocol.events import BlockDelta, Log, ToolOutput, UnknownEvent
from runner_shell.shell.thread.joining import JOINED_BYTES, DeltaRun

TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ['"', "\\", '\\"', '","text":"', '"}', "\n", "\x00", "é\u2028"]
)
EVENTS = st.one_of(
    st.builds(
        BlockDelta,
        message=st.sampled_from(["m", 'm"text":"', "n"]),
        index=st.integers(0, 1),
        text=TEXTS,
        scope=st.sampled_from([(), ("s",)]),
    ),
    st.builds(ToolOutput, call=st.sampled_from(["c", "d"]), text=TEXTS),
    st.builds(Log, message=TEXTS),
)


def crossed(payloads: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """What comes of payloads that cross in one go."""
    run = DeltaRun()
    out: list[tuple[str, bytes]] = []
    for turn, payload in payloads:
        if run.add(turn, payload):
            continue
        out += taken(run)
        if not run.begin(turn, payload):
            out.append((turn, payload))
    return out + taken(run)


def taken(run: DeltaRun) -> list[tuple[str, bytes]]:
    turn, payloads = run.take()
    return [(turn, payload) for payload in payloads]


def spelled(payloads: list[tuple[str, bytes]]) -> list[tuple[object, ...]]:
    """One entry for each character of a delta, one for anything else: alike if nothing moved."""
    letters: list[tuple[object, ...]] = []
    for turn, payload in payloads:
        event = decode_payload(payload)
        if isinstance(event, BlockDelta | ToolOutput):
            place = msgspec.structs.replace(event, text="")
            letters += [(turn, place, letter) for letter in event.text]
        else:
            letters.append((turn, event))
    return letters


@given(st.lists(st.tuples(st.sampled_from(["t", "u"]), EVENTS)))
def test_no_character_is_lost_moved_or_changed(said: list[tuple[str, BlockDelta]]) -> None:
    """Whatever was said in whatever order, the same characters come out in the same order."""
    payloads = [(turn, encode_payload(event)) for turn, event in said]
    assert spelled(crossed(payloads)) == spelled(payloads)


def test_what_follows_of_the_same_block_is_one() -> None:
    """As many deltas as come of a block in one go are one; another block's begin anew."""
    said = [BlockDelta(message="m", index=i, text=t) for i, t in [(0, "a"), (0, "b"), (1, "c")]]
    out = crossed([("t", encode_payload(event)) for event in said])
    assert [decode_payload(payload) for _, payload in out] == [
        BlockDelta(message="m", index=0, text="ab"),
        BlockDelta(message="m", index=1, text="c"),
    ]


def test_a_run_is_bounded() -> None:
    """A joined delta stays well below a frame, however many come in one go."""
    delta = encode_payload(BlockDelta(message="m", index=0, text="x" * 1000))
    out = crossed([("t", delta)] * 100)
    assert 5 < len(out) < 10
    assert max(len(payload) for _, payload in out) < JOINED_BYTES + 2 * len(delta)


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "a", "message": "m", "index": 0},
        {"index": 0, "text": "a", "message": "m"},
        {"message": "m", "index": 0, "text": "a", "later": "x"},
        {"message": "m", "index": 0},
    ],
)
def test_a_delta_of_another_shape_is_left_alone(fields: dict[str, object]) -> None:
    """One whose text is not its last field, as an adapter may write it by hand, is not joined."""
    payload = encode_payload(UnknownEvent(type="block.delta", fields=fields))
    assert crossed([("t", payload)] * 2) == [("t", payload)] * 2
