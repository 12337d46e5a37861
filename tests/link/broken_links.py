"""The classic mistakes, each in a link of its own, for the schedules to find."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw

from runner_shell.link.effects import (
    EventsReceived,
    GatewayEffect,
    NumberedEvent,
    RunnerEffect,
)
from runner_shell.link.gateway import GatewayLink
from runner_shell.link.outbox import Outbox
from runner_shell.link.runner import RunnerLink
from runner_shell.protocol import codec
from runner_shell.protocol.events import Envelope
from runner_shell.protocol.frames import Commands


class ForgetsOnSend(Outbox):
    """Takes what is sent for delivered."""

    def _mark_sent(self, count: int) -> None:
        super()._mark_sent(count)
        for _ in range(count):
            self._in_flight_bytes -= self._in_flight.popleft()
        self.acked += count


class NeverResends(Outbox):
    """Goes on after a redial behind what was on its way."""

    def unsend(self) -> None:
        pass


class ResendsEverything(Outbox):
    """Begins each connection with what was never sent in it, then the rest in the wrong order."""

    def unsend(self) -> None:
        self._unsent.extend(self._in_flight)
        self._in_flight.clear()
        self._in_flight_bytes = 0


class IgnoresCredit(Outbox):
    """Sends whatever there is."""

    def frames(self, now: float) -> list[bytes]:
        self.credit = 10**9
        return super().frames(now)


class ForgetsHeldParts(Outbox):
    """Goes on in mid-event one part too far."""

    def _begin_parts(self) -> None:
        self._parts_held += bool(self._parts_held)
        super()._begin_parts()


def with_outbox(kind: type[Outbox]) -> type[RunnerLink]:
    """A link whose outbox is another."""

    class Link(RunnerLink):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.outbox.__class__ = kind

    return Link


class TakesCommandsTwice(RunnerLink):
    """Has no memory for commands."""

    def _take_commands(self, frame: Commands) -> list[RunnerEffect]:
        self._last_command = min(_numbers(frame), default=1) - 1
        return super()._take_commands(frame)


def _numbers(frame: Commands) -> list[int]:
    heads = [codec.decode_command_head(bytes(raw)) for raw in frame.commands]
    return [head.seq for head in heads if head.seq]


class AcknowledgesUnjournaledCommands(RunnerLink):
    """Acknowledges a command when it comes."""

    def _take_commands(self, frame: Commands) -> list[RunnerEffect]:
        effects = super()._take_commands(frame)
        self.command_journaled(self._last_command)
        return effects


class TakesDuplicates(GatewayLink):
    """Stores whatever comes."""

    def _take_events(self, raws: list[Raw], envelopes: list[Envelope]) -> list[GatewayEffect]:
        new = [numbered(bytes(raw)) for raw in raws]
        self._received = max(self._received, new[-1].seq)
        return [EventsReceived(tuple(new))]


def numbered(data: bytes) -> NumberedEvent:
    head = codec.decode_envelope(data)
    return NumberedEvent(head.seq, head.time, head.type, head.turn, data)


class AcknowledgesUncommitted(GatewayLink):
    """Acknowledges an event when it comes."""

    def receive(self, frame: bytes | str, now: float) -> list[GatewayEffect]:
        effects = super().receive(frame, now)
        super().committed(self._received, now)
        return effects


class NeverAcknowledges(GatewayLink):
    """Keeps to itself what it has committed."""

    def committed(self, seq: int, now: float) -> None:
        pass


BROKEN = [
    pytest.param(with_outbox(ForgetsOnSend), GatewayLink, id="ForgetsOnSend"),
    pytest.param(with_outbox(NeverResends), GatewayLink, id="NeverResends"),
    pytest.param(with_outbox(ResendsEverything), GatewayLink, id="ResendsEverything"),
    pytest.param(with_outbox(IgnoresCredit), GatewayLink, id="IgnoresCredit"),
    pytest.param(with_outbox(ForgetsHeldParts), GatewayLink, id="ForgetsHeldParts"),
    (TakesCommandsTwice, GatewayLink),
    (AcknowledgesUnjournaledCommands, GatewayLink),
    (RunnerLink, TakesDuplicates),
    (RunnerLink, AcknowledgesUncommitted),
    (RunnerLink, NeverAcknowledges),
]
