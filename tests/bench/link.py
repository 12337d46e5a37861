"""What the two links cost an event beyond encoding and decoding.

    python -m tests.bench.link [EVENTS]

Both machines run here, joined by nothing but the frames; no socket, no store. Each figure is the
least of several rounds, in microseconds of CPU an event, beside the bare work of the codec on the
same frames: joining the events, and decoding the frame with its envelopes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from runner_shell.link.effects import EventsReceived
from runner_shell.link.gateway import GatewayLimits, GatewayLink
from runner_shell.link.runner import LinkSettings, RunnerLink
from runner_shell.protocol import codec
from runner_shell.protocol.events import BlockDelta
from runner_shell.protocol.frames import Events, Hello, Welcome

ROUNDS = 9
CREDIT = 2**40


class Journal:
    """A list of events, numbered from 1."""

    def __init__(self, events: list[bytes]) -> None:
        self._events = events

    def read(self, seq: int) -> bytes:
        """The event `seq`."""
        return self._events[seq - 1]


def made(count: int) -> list[bytes]:
    """Text deltas of about 200 bytes."""
    payload = codec.encode_payload(BlockDelta(message="message-1", index=0, text="word " * 12))
    time = "2026-11-21T10:00:00.000+00:00"
    return [
        codec.number(payload, seq=seq, time=time, turn="turn-1-1") for seq in range(1, count + 1)
    ]


def runner_side(events: list[bytes]) -> tuple[list[bytes], float, float]:
    """The frames; seconds to take the events in, and to make frames of them."""
    link = RunnerLink(LinkSettings(session="s", instance="i", log="l"), Journal(events))
    link.connected(0.0)
    link.receive(codec.encode_frame(Welcome(epoch=1, acked=0, credit=CREDIT)), 0.0)
    link.frames_to_send(0.0)
    began = time.process_time()
    for seq, event in enumerate(events, 1):
        link.journaled(seq, len(event), lingers=True, now=0.0)
    taken_in = time.process_time()
    frames = link.frames_to_send(1.0)
    return frames, taken_in - began, time.process_time() - taken_in


def gateway_side(frames: list[bytes]) -> float:
    """Seconds to take the frames in and acknowledge them."""
    link = GatewayLink(now=0.0, limits=GatewayLimits(credit_bytes=CREDIT))
    hello = Hello(session="s", epoch=None, instance="i", log="l", next=1, last_command=0)
    link.receive(codec.encode_frame(hello), 0.0)
    link.welcome(epoch=1, acked=0, now=0.0)
    link.frames_to_send(0.0)
    began = time.process_time()
    for frame in frames:
        (effect,) = link.receive(frame, 0.0)
        assert isinstance(effect, EventsReceived)
        link.committed(effect.events[-1].seq, 0.0)
        link.frames_to_send(0.0)
    return time.process_time() - began


def joining(events: list[bytes]) -> float:
    """Seconds that the frames cost without a link."""
    began = time.process_time()
    for first in range(0, len(events), 64):
        codec.join_events(events[first : first + 64])
    return time.process_time() - began


def decoding(frames: list[bytes]) -> float:
    """Seconds that decoding the frames and their envelopes costs without a link."""
    began = time.process_time()
    for frame in frames:
        decoded = codec.decode_runner_frame(frame)
        assert isinstance(decoded, Events)
        codec.decode_envelopes(frame, len(decoded.events))
    return time.process_time() - began


def least(measure: Callable[[], float]) -> float:
    """The least of several rounds."""
    return min(measure() for _ in range(ROUNDS))


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    events = made(count)
    frames = runner_side(events)[0]
    join, decode = least(lambda: joining(events)), least(lambda: decoding(frames))
    rows = {
        "RunnerLink.journaled": least(lambda: runner_side(events)[1]),
        "RunnerLink.frames_to_send, beyond joining": least(lambda: runner_side(events)[2]) - join,
        "GatewayLink.receive … ack, beyond decoding": least(lambda: gateway_side(frames)) - decode,
        "joining": join,
        "decoding frame and envelopes": decode,
    }
    print(f"{count} events of {len(events[-1])} bytes in {len(frames)} frames; µs an event")
    for name, seconds in rows.items():
        print(f"{seconds / count * 1e6:8.3f}  {name}")


if __name__ == "__main__":
    main()
