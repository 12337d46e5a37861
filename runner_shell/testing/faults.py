"""A TCP proxy on loopback that breaks connections on order: what a network does, when a test asks.

    async with FaultProxy(("127.0.0.1", gateway_port), seed=7) as proxy:
        dial(proxy.address)
        proxy.black_hole("down")      # nothing comes through any more, and nobody is told
        …
        proxy.heal()                  # and now it does
        for fault in proxy.faults(20):
            await proxy.play(fault)   # chosen by the seed, one after the other

It breaks bytes, not frames: it can end a connection in mid-frame, but repeats and reorders nothing,
because TCP does not either.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Literal, Self, TypeAlias, get_args

from msgspec import Struct

Direction: TypeAlias = Literal["up", "down", "both"]
"""`up` is from who dialled the proxy to its target, `down` the other way."""

FaultKind: TypeAlias = Literal[
    "refuse", "reset", "close", "black_hole", "outage", "delay", "throttle", "cut_in_frame"
]
"""As the methods of `FaultProxy`; an `outage` is a black hole that no connection survives."""

PIECE_BYTES = 64 * 1024
THROTTLE_SLICE_SECONDS = 0.02
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Fault(Struct, frozen=True, kw_only=True):
    """One thing that goes wrong for a while.

    Attributes:
        kind: What.
        direction: Which way, where that makes a difference.
        seconds: How long it lasts; for `delay` also how late each piece comes, in tenths of it.
        bytes: For `cut_in_frame` how many still pass, for `throttle` how many a second.
    """

    kind: FaultKind
    direction: Direction = "both"
    seconds: float = 0.0
    bytes: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.direction} for {self.seconds:.2f} s, {self.bytes} bytes"


class FaultProxy:
    """Carries connections to a target, faithfully until it is told otherwise.

    Every fault holds for the connections of now and for those to come, until `heal`; `reset`,
    `close` and `cut_in_frame` are over with the connections they end.

    Args:
        target: Host and port that it stands before.
        port: Its own port; one below those that the system gives to dialling sockets unless given,
            so that nobody who dials it while it refuses is connected to himself.
        seed: Of `faults`; the same seed gives the same faults.

    Attributes:
        connections: How many it has carried so far.
        history: What went wrong, in order, in words.
    """

    def __init__(self, target: tuple[str, int], *, port: int = 0, seed: int = 0) -> None:
        self.target = target
        self.connections = 0
        self.history: list[str] = []
        self._port = port
        self._random = random.Random(seed)
        self._reservation: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._carried: set[_Carried] = set()
        self._ways = {"up": _Way(), "down": _Way()}

    async def __aenter__(self) -> Self:
        self._reserve()
        await self.accept()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._stop_listening()
        self._end_all(reset=True)
        for carried in list(self._carried):
            await carried.gone.wait()
        if self._reservation is not None:
            self._reservation.close()

    @property
    def address(self) -> str:
        """Where to dial, as `host:port`."""
        return f"127.0.0.1:{self._port}"

    @property
    def port(self) -> int:
        """Its port."""
        return self._port

    # --- faults ------------------------------------------------------------------------------

    async def refuse(self) -> None:
        """Refuse every new connection; those that stand go on."""
        self._note("refuse")
        await self._stop_listening()
        self._reserve()

    async def accept(self) -> None:
        """Take connections again, after `refuse`."""
        if self._server is not None:
            return
        assert self._reservation is not None, "entered before"
        listener, self._reservation = self._reservation, None
        self._server = await asyncio.start_server(self._carry, sock=listener)

    def reset(self) -> None:
        """End every connection by RST: what was on its way is lost, in both directions."""
        self._note("reset")
        self._end_all(reset=True)

    def close(self) -> None:
        """End every connection by FIN, behind what has come so far."""
        self._note("close")
        self._end_all(reset=False)

    def black_hole(self, direction: Direction = "both") -> None:
        """Let nothing through, and say so to nobody: half-open sockets on both sides.

        What stands before the hole goes on after `heal`, as TCP's retransmission would have it.
        """
        self._note(f"black_hole {direction}")
        for way in self._chosen(direction):
            way.is_clear.clear()

    def delay(self, seconds: float, direction: Direction = "both") -> None:
        """Let each piece wait before it goes on."""
        self._note(f"delay {seconds:.3f} s {direction}")
        for way in self._chosen(direction):
            way.delay_seconds = seconds

    def throttle(self, bytes_per_second: int, direction: Direction = "both") -> None:
        """Let only so much through in a second, for each connection."""
        self._note(f"throttle {bytes_per_second} bytes/s {direction}")
        for way in self._chosen(direction):
            way.bytes_per_second = bytes_per_second

    def cut_in_frame(self, after_bytes: int, direction: Direction = "both") -> None:
        """Let so many more bytes through, then end the connection by RST in the midst of it."""
        self._note(f"cut_in_frame after {after_bytes} bytes {direction}")
        for carried in self._carried:
            for name in self._names(direction):
                carried.left[name] = after_bytes

    def heal(self) -> None:
        """Let everything through again; after `refuse` call `accept` too."""
        for way in self._ways.values():
            way.bytes_per_second = 0
            way.delay_seconds = 0.0
            way.is_clear.set()
        for carried in self._carried:
            carried.left.clear()

    # --- a sequence of them ------------------------------------------------------------------

    def faults(self, count: int, *, longest_seconds: float = 2.0) -> Iterator[Fault]:
        """So many faults, chosen by the seed."""
        choose = self._random
        for _ in range(count):
            yield Fault(
                kind=choose.choice(get_args(FaultKind)),
                direction=choose.choice(get_args(Direction)),
                seconds=choose.uniform(0.0, longest_seconds),
                bytes=choose.choice((0, 1, 7, 100, 3000, 20_000)),
            )

    async def play(self, fault: Fault) -> None:
        """Let a fault happen for as long as it says, then heal."""
        match fault.kind:
            case "refuse":
                self.reset()
                await self.refuse()
            case "reset":
                self.reset()
            case "close":
                self.close()
            case "black_hole" | "outage":
                self.black_hole(fault.direction)
            case "delay":
                self.delay(fault.seconds / 10, fault.direction)
            case "throttle":
                self.throttle(max(2000, fault.bytes), fault.direction)
            case "cut_in_frame":
                self.cut_in_frame(fault.bytes, fault.direction)
        await asyncio.sleep(fault.seconds)
        if fault.kind == "outage":
            self.reset()
        self.heal()
        await self.accept()

    # --- how ---------------------------------------------------------------------------------

    def _note(self, what: str) -> None:
        self.history.append(what)

    def _names(self, direction: Direction) -> tuple[str, ...]:
        return ("up", "down") if direction == "both" else (direction,)

    def _chosen(self, direction: Direction) -> list[_Way]:
        return [self._ways[name] for name in self._names(direction)]

    def _reserve(self) -> None:
        """Hold the port without listening: who dials it is refused, and nobody else gets it."""
        for _ in range(100):
            candidate = socket.socket()
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            candidate.setblocking(False)
            # Not from the seed: what else runs on the machine must not change the faults.
            port = self._port or random.randrange(20_000, 32_000)
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                candidate.close()
                if self._port:
                    raise
                continue
            self._reservation, self._port = candidate, port
            return
        raise OSError("no free port from 20000 to 31999")

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()  # not `wait_closed`: that waits for the connections too
            self._server = None
            await asyncio.sleep(0)

    def _end_all(self, *, reset: bool) -> None:
        for carried in list(self._carried):
            carried.end(reset=reset)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            up_reader, up_writer = await asyncio.open_connection(*self.target)
        except OSError:
            _end(writer, reset=True)
            return
        carried = _Carried(writer, up_writer)
        self._carried.add(carried)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump("up", reader, up_writer, carried))
                pumps.create_task(self._pump("down", up_reader, writer, carried))
        finally:
            carried.end(reset=False)
            self._carried.discard(carried)
            carried.gone.set()

    async def _pump(
        self,
        name: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        carried: _Carried,
    ) -> None:
        way = self._ways[name]
        with suppress(OSError):
            while piece := await reader.read(PIECE_BYTES):
                if not await self._through(way, carried):
                    return
                left = carried.left.get(name)
                if left is not None and len(piece) > left:
                    writer.write(piece[:left])
                    await _drained(writer, carried)
                    carried.end(reset=True)
                    return
                if left is not None:
                    carried.left[name] = left - len(piece)
                await _write(writer, piece, way, carried)
            if await self._through(way, carried) and writer.can_write_eof():
                writer.write_eof()

    async def _through(self, way: _Way, carried: _Carried) -> bool:
        """Wait until the way is clear; False where the connection ended before."""
        if way.delay_seconds:
            await carried.ended_within(way.delay_seconds)
        while not way.is_clear.is_set() and not carried.over.is_set():
            clear = asyncio.ensure_future(way.is_clear.wait())
            over = asyncio.ensure_future(carried.over.wait())
            try:
                await asyncio.wait({clear, over}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                clear.cancel()
                over.cancel()
        return not carried.over.is_set()


class _Way:
    """What one direction is like just now."""

    def __init__(self) -> None:
        self.is_clear = asyncio.Event()
        self.is_clear.set()
        self.delay_seconds = 0.0
        self.bytes_per_second = 0


class _Carried:
    """One connection: both of its sockets, and how many bytes they may still carry."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self.left: dict[str, int] = {}
        self.over = asyncio.Event()
        self.gone = asyncio.Event()
        self._writers = writers

    def end(self, *, reset: bool) -> None:
        """End it on both sides; ending twice does nothing."""
        if self.over.is_set():
            return
        self.over.set()
        for writer in self._writers:
            _end(writer, reset=reset)

    async def ended_within(self, seconds: float) -> None:
        """Wait, but no longer than the connection lives."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.over.wait()


async def _write(writer: asyncio.StreamWriter, piece: bytes, way: _Way, carried: _Carried) -> None:
    while piece and not carried.over.is_set():
        rate = way.bytes_per_second
        size = max(1, int(rate * THROTTLE_SLICE_SECONDS)) if rate else len(piece)
        writer.write(piece[:size])
        await _drained(writer, carried)
        piece = piece[size:]
        if piece:
            await carried.ended_within(size / rate if rate else 0.0)


async def _drained(writer: asyncio.StreamWriter, carried: _Carried) -> None:
    """Wait while the receiver is slow, but no longer than the connection lives."""
    drain = asyncio.ensure_future(writer.drain())
    over = asyncio.ensure_future(carried.over.wait())
    try:
        await asyncio.wait({drain, over}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        over.cancel()
        drain.cancel()
        (broken,) = await asyncio.gather(drain, return_exceptions=True)
    if isinstance(broken, OSError):
        raise broken


def _end(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if not reset:
        writer.close()
        return
    raw = writer.get_extra_info("socket")
    with suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
