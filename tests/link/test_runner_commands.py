"""Commands as a runner's link takes them in: once, in order, none that is not kept.

The quotations are the protocol's promises.
"""

from __future__ import annotations

import json

import pytest
from runner_frames import WELCOME, Runner, commands, interrupt

from runner_shell.errors import RemoteProtocolError
from runner_shell.link.effects import CommandReceived, SecretReceived
from runner_shell.link.states import RunnerState
from runner_shell.protocol.commands import ReservedCommand, SecretAdd, TurnInterrupt


def test_commands_come_once_and_in_order() -> None:
    """ "Accepted once (journaled, then acknowledged)": the `ack` waits for the journal."""
    runner = Runner()
    runner.open()
    received = runner.link.receive(commands(interrupt(1), interrupt(2)), 0.0)
    assert received == [
        CommandReceived(TurnInterrupt(id="c1", seq=1, by="ada")),
        CommandReceived(TurnInterrupt(id="c2", seq=2, by="ada")),
    ]
    assert runner.link.frames_to_send(0.0) == []
    runner.link.command_journaled(1)
    runner.link.command_journaled(2)
    assert runner.link.frames_to_send(0.0) == [b'{"frame":"ack","seq":2}']
    assert runner.link.frames_to_send(0.0) == []


def test_a_repeated_command_is_acknowledged_again() -> None:
    """A command that comes twice is not taken twice, but the gateway is told again."""
    runner = Runner()
    runner.open()
    runner.link.receive(commands(interrupt(1)), 0.0)
    runner.link.command_journaled(1)
    runner.sent()
    assert runner.link.receive(commands(interrupt(1)), 0.0) == []
    assert runner.link.frames_to_send(0.0) == [b'{"frame":"ack","seq":1}']


def test_a_command_that_is_not_journaled_is_not_acknowledged() -> None:
    """A repeat before the journal has it neither applies it again nor acknowledges it."""
    runner = Runner()
    runner.open()
    runner.link.receive(commands(interrupt(1)), 0.0)
    runner.link.lost(None, "cut")
    runner.link.connected(0.0)
    (hello,) = runner.sent()
    assert hello["last_command"] == 0
    runner.link.receive(WELCOME, 0.0)
    assert runner.link.receive(commands(interrupt(1)), 0.0) == []
    assert runner.link.frames_to_send(0.0) == [b'{"frame":"ack","seq":0}']
    runner.link.command_journaled(1)
    assert runner.link.frames_to_send(0.0) == [b'{"frame":"ack","seq":1}']


def test_a_missing_command_breaks_the_protocol() -> None:
    """Commands are numbered without holes too."""
    runner = Runner()
    runner.open()
    with pytest.raises(RemoteProtocolError, match="command 2 where 1 was next"):
        runner.link.receive(commands(interrupt(2)), 0.0)
    assert runner.link.state is RunnerState.FAILED


def test_wrong_fields_of_a_command_are_reported() -> None:
    """A client's wrong field gets an answer and breaks nothing; the numbers go on behind it."""
    runner = Runner()
    runner.open()
    wrong = b'{"type":"turn.interrupt","id":"c1","seq":1,"by":"ada","reason":7}'
    (received, behind) = runner.link.receive(commands(wrong, interrupt(2)), 0.0)
    assert isinstance(received, CommandReceived)
    assert received.command == ReservedCommand(
        type="turn.interrupt", id="c1", seq=1, by="ada", fields={"reason": 7}
    )
    assert "$.reason" in received.problem
    assert behind == CommandReceived(TurnInterrupt(id="c2", seq=2, by="ada"))


def test_an_unknown_command_is_passed_on() -> None:
    """ "Unknown commands answered with an error": they are numbered like all others."""
    runner = Runner()
    runner.open()
    unknown = b'{"type":"tea.make","id":"c1","seq":1,"by":"ada","sugar":2}'
    assert runner.link.receive(commands(unknown), 0.0) == [
        CommandReceived(
            ReservedCommand(type="tea.make", id="c1", seq=1, by="ada", fields={"sugar": 2})
        )
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        b'{"type":"turn.interrupt","id":7,"seq":1}',
        b'{"type":"turn.interrupt","id":"c1","seq":"1"}',
        b'{"type":"turn.interrupt","id":"c1"}',
        b'{"type":"turn.interrupt","id":"c1","reason":7}',
        b'{"type":"turn.interrupt","id":"c1","seq":-1}',
        b'{"type":"tea.make","id":"c1","seq":-1}',
        b'{"id":"c1","seq":1}',
        b"7",
    ],
)
def test_a_wrong_envelope_of_a_command_breaks_the_protocol(wrong: bytes) -> None:
    """Number, id and type are the gateway's own: what is wrong with them is its error."""
    runner = Runner()
    runner.open()
    with pytest.raises(RemoteProtocolError):
        runner.link.receive(commands(wrong), 0.0)


def test_secret_add_is_unnumbered() -> None:
    """ "`secret.add` is unnumbered": it moves no number and is not acknowledged."""
    runner = Runner()
    runner.open()
    secret = b'{"type":"secret.add","name":"TOKEN","value":"hunter2"}'
    assert runner.link.receive(commands(secret, interrupt(1), secret), 0.0) == [
        SecretReceived(SecretAdd(name="TOKEN", value="hunter2")),
        CommandReceived(TurnInterrupt(id="c1", seq=1, by="ada")),
        SecretReceived(SecretAdd(name="TOKEN", value="hunter2")),
    ]
    runner.link.command_journaled(0)
    assert runner.link.frames_to_send(0.0) == []


def test_a_secret_that_cannot_be_read_fails_the_link() -> None:
    """ "Nothing secret crosses": going on without knowing the value would let it; and the error
    does not say it."""
    runner = Runner()
    runner.open()
    with pytest.raises(RemoteProtocolError) as caught:
        runner.link.receive(commands(b'{"type":"secret.add","name":1,"value":"hunter2"}'), 0.0)
    assert "hunter2" not in str(caught.value)


def test_an_unknown_unnumbered_command_is_passed_over() -> None:
    """ "An unnumbered one among them counts for nothing", of a type from a later version too."""
    runner = Runner()
    runner.open()
    later = b'{"type":"secret.forget","name":"TOKEN"}'
    assert runner.link.receive(commands(later, interrupt(1)), 0.0) == [
        CommandReceived(TurnInterrupt(id="c1", seq=1, by="ada"))
    ]


def test_commands_of_an_earlier_process_are_not_applied_again() -> None:
    """Commands are "applied at most once": what an earlier process acknowledged is passed over."""
    runner = Runner()
    runner.open(welcome=b'{"frame":"welcome","epoch":2,"acked":0,"last_command":7}')
    command = {"type": "session.end", "id": "c", "seq": 8}
    frame = json.dumps({"frame": "commands", "commands": [command]})
    effects = runner.link.receive(frame, 0.0)
    assert [type(effect) for effect in effects] == [CommandReceived]
