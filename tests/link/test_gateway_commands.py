"""Commands as a gateway's link sends them: in order, without holes, none that the runner has.

The quotations are the protocol's promises.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from cost import grows_linearly
from gateway_frames import HELLO, commands, interrupt, opened

from runner_shell.errors import LocalProtocolError
from runner_shell.link.effects import CommandsAcknowledged
from runner_shell.link.gateway import GatewayLink


def test_commands_go_in_order_and_share_a_frame() -> None:
    """Commands go as they were encoded, unnumbered ones in their place."""
    link = opened()
    secret = b'{"type":"secret.add","name":"N","value":"v"}'
    link.offer_command(1, interrupt(1))
    link.offer_unnumbered(secret)
    link.offer_command(2, interrupt(2))
    assert link.frames_to_send(0.0) == [commands(interrupt(1), secret, interrupt(2))]
    assert link.frames_to_send(0.0) == []


def test_a_command_that_the_runner_has_is_left_out() -> None:
    """What `hello` said is journaled is not sent again."""
    link = opened(last_command=2)
    for seq in (1, 2, 3, 3):
        link.offer_command(seq, interrupt(seq))
    assert link.frames_to_send(0.0) == [commands(interrupt(3))]


def test_commands_are_offered_without_holes() -> None:
    """A number left out, or a command before the welcome, is the caller's bug."""
    link = opened()
    with pytest.raises(LocalProtocolError, match="command 2 was offered where 1 was next"):
        link.offer_command(2, interrupt(2))
    with pytest.raises(LocalProtocolError, match="before the welcome"):
        GatewayLink(now=0.0).offer_command(1, interrupt(1))


@pytest.mark.parametrize("size", [*range(90, 110), 400, *range(880, 900)])
def test_a_frame_of_commands_is_no_larger_than_the_runner_takes(size: int) -> None:
    """Many commands go in as many frames as the runner's `max_frame_bytes` asks for."""
    link = GatewayLink(now=0.0)
    link.receive(HELLO[:-1] + b',"max_frame_bytes":1024}', 0.0)
    link.welcome(epoch=1, acked=0, now=0.0)
    link.frames_to_send(0.0)
    for seq in range(1, 21):
        link.offer_command(seq, interrupt(seq, size=size))
    frames = link.frames_to_send(0.0)
    assert max(map(len, frames)) <= 1024
    assert [c["seq"] for f in frames for c in json.loads(f)["commands"]] == list(range(1, 21))
    assert len(frames) < 10 or size > 300


def test_the_runners_ack_is_handed_out() -> None:
    """`ack` {command seq}: the runner has journaled everything up to there."""
    link = opened()
    assert link.receive(b'{"frame":"ack","seq":3}', 0.0) == [CommandsAcknowledged(3)]


def test_many_commands_are_sent_in_linear_time() -> None:
    """Twenty thousand commands that wait for a runner cost four times what five thousand do."""

    def prepare(count: int) -> Callable[[], object]:
        link = opened()
        offers = [interrupt(seq) for seq in range(1, count + 1)]

        def send() -> None:
            for seq, command in enumerate(offers, 1):
                link.offer_command(seq, command)
            link.frames_to_send(0.0)

        return send

    assert grows_linearly(prepare)
