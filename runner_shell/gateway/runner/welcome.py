"""What a runner is welcomed with, and how much of it fits into a frame; pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from ...protocol.events import JSON
from ...protocol.frames import MAX_FRAME_BYTES
from ..quotas import Allowance

_ENVELOPE_BYTES = 512
"""What a welcome has besides state and requests, at most."""


class Admission(Struct, frozen=True, kw_only=True):
    """What a runner is welcomed with.

    Attributes:
        epoch: The number of its process.
        acked: The last committed event.
        committed_epoch: The number of the process that brought it; 0 without one.
        last_command: The last command it needs no more.
        state: What the adapter saved.
        open_requests: The requests without an ending, oldest first.
        omitted_state: How many saved values are left out.
        omitted_requests: How many open requests are left out.
        allowance: What its connection may still store; not told.
    """

    epoch: int
    acked: int
    committed_epoch: int = 0
    last_command: int
    state: dict[str, JSON]
    open_requests: tuple[JSON, ...]
    omitted_state: int = 0
    omitted_requests: int = 0
    allowance: Allowance | None = None


def fitting(admission: Admission, runner_max_frame_bytes: int) -> Admission:
    """The admission without what makes its frame too large for either side.

    Saved values come first, the smallest before the others, so that as many as can be are there;
    then requests, the oldest first. Each is whole or left out.

    Args:
        admission: Everything there is.
        runner_max_frame_bytes: The largest frame the runner takes.
    """
    room = min(runner_max_frame_bytes, MAX_FRAME_BYTES) - _ENVELOPE_BYTES
    sizes = {name: _size(name) + _size(value) + 2 for name, value in admission.state.items()}
    kept: set[str] = set()
    for name in sorted(sizes, key=sizes.__getitem__):
        if sizes[name] > room:
            break
        room -= sizes[name]
        kept.add(name)
    requests = tuple(_while_they_fit(admission.open_requests, room))
    return msgspec.structs.replace(
        admission,
        state={name: value for name, value in admission.state.items() if name in kept},
        open_requests=requests,
        omitted_state=admission.omitted_state + len(sizes) - len(kept),
        omitted_requests=admission.omitted_requests + len(admission.open_requests) - len(requests),
    )


def _while_they_fit(requests: Iterable[JSON], room: int) -> Iterable[JSON]:
    for request in requests:
        room -= _size(request) + 1
        if room < 0:
            return
        yield request


def _size(value: JSON) -> int:
    return len(msgspec.json.encode(value))
