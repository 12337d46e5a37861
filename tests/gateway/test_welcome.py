"""What fits into a welcome, and what a runner with small frames is told."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner_shell.gateway.errors import InvalidInputError
from runner_shell.gateway.runner.welcome import Admission, fitting
from runner_shell.link.gateway import GatewayLink
from runner_shell.protocol.frames import MAX_FRAME_BYTES, CloseCode

from .support import ADMIN, bench, event, events_frame, hello

JSON = st.recursive(
    st.none() | st.integers(-(2**53), 2**53) | st.text(max_size=200),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=12,
)


def _admission(state: dict[str, Any], requests: list[Any]) -> Admission:
    return Admission(
        epoch=2**40,
        acked=2**50,
        last_command=2**50,
        state=state,
        open_requests=tuple(requests),
        omitted_requests=3,
    )


@settings(max_examples=40, deadline=None)
@given(
    state=st.dictionaries(st.text(max_size=20), JSON, max_size=12),
    requests=st.lists(JSON, max_size=12),
    room=st.integers(1024, 4096),
)
def test_a_welcome_is_never_too_large(
    state: dict[str, Any], requests: list[Any], room: int
) -> None:
    """Whatever was saved and asked; what is there is whole, and the rest is counted."""
    told = fitting(_admission(state, requests), room)
    link = GatewayLink(now=0.0)
    link.receive(hello(session="s"), 0.0)
    link.welcome(
        epoch=told.epoch,
        acked=told.acked,
        committed_epoch=2**40,
        last_command=told.last_command,
        state=told.state,
        open_requests=told.open_requests,
        omitted_state=told.omitted_state,
        omitted_requests=told.omitted_requests,
        now=0.0,
    )
    (frame,) = link.frames_to_send(0.0)
    assert len(frame) <= room
    assert told.state.items() <= state.items() or all(
        msgspec.json.encode(state[name]) == msgspec.json.encode(value)
        for name, value in told.state.items()
    )
    assert list(told.open_requests) == requests[: len(told.open_requests)]
    assert told.omitted_state == len(state) - len(told.state)
    assert told.omitted_requests == 3 + len(requests) - len(told.open_requests)


def test_everything_is_there_where_it_fits() -> None:
    """Nothing is left out for nothing, and nothing is said to be."""
    whole = fitting(_admission({"a": 1, "b": [2]}, [{"id": "q"}]), MAX_FRAME_BYTES)
    assert (whole.state, whole.omitted_state) == ({"a": 1, "b": [2]}, 0)
    assert (whole.open_requests, whole.omitted_requests) == (({"id": "q"},), 3)


async def test_a_large_state_leaves_room_for_the_small_one() -> None:
    """The runner is welcomed with what fits, in a frame that it takes."""
    async with bench() as gateway:
        first = gateway.dial()
        await first.greet()
        for seq, state in enumerate(({"big": "x" * 200_000}, {"b": "y" * 90_000}, {"id": 7}), 1):
            await first.say(events_frame(event(seq, "session.saved", state=state)))
        ask = {"key": "k", "kind": "plan", "title": "?"}
        for seq in range(4, 8):
            question = event(seq, "request.opened", id=f"q{seq}", body="z" * 100_000, **ask)
            await first.say(events_frame(question))
        await first.hear_ack(7)
        for limit, keys, requests in ((MAX_FRAME_BYTES, {"b", "id"}, 1), (2048, {"id"}, 0)):
            runner = gateway.dial()
            await runner.say(hello(instance=str(limit), max_frame_bytes=limit))
            frame = await runner.socket.recv()
            assert len(frame) <= limit
            welcome = json.loads(frame)
            assert welcome["state"].keys() == keys
            assert welcome["omitted_state"] == 3 - len(keys)
            assert len(welcome.get("open_requests", [])) == requests
            assert welcome["omitted_requests"] == 4 - requests


async def test_a_command_that_a_runner_cannot_take_is_named() -> None:
    """It closes the link for good, before anything is sent; a secret is refused instead."""
    async with bench() as gateway:
        large = {"type": "turn.start", "id": "c1", "content": "x" * 5000}
        await gateway.core.submit_command(ADMIN, "s", large)
        small = gateway.dial()
        await small.say(hello(max_frame_bytes=4096))
        assert await small.hear_close() == CloseCode.PROTOCOL
        runner = gateway.dial()
        await runner.greet(instance="two", max_frame_bytes=6000)
        assert [command["id"] for command in await runner.hear_commands(1)] == ["c1"]
        secret = {"type": "secret.add", "name": "n", "value": "v" * 7000}
        with pytest.raises(InvalidInputError, match="takes at most"):
            await gateway.core.submit_command(ADMIN, "s", secret)


async def test_frames_of_commands_fit_their_runner() -> None:
    """However many wait, and however small its frames are."""
    async with bench() as gateway:
        for n in range(40):
            command = {"type": "turn.start", "id": f"c{n}", "content": "x" * (40 * n)}
            await gateway.core.submit_command(ADMIN, "s", command)
        runner = gateway.dial()
        await runner.greet(max_frame_bytes=2048)
        heard: list[str] = []
        while len(heard) < 40:
            frame = await runner.socket.recv()
            assert len(frame) <= 2048
            heard += [command["id"] for command in json.loads(frame).get("commands", [])]
        assert heard == [f"c{n}" for n in range(40)]
