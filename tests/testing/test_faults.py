"""The fault proxy does to real sockets what it says, and nothing else."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import get_args

import pytest

from runner_shell.testing.faults import Direction, Fault, FaultKind, FaultProxy

QUIET_SECONDS = 0.2
"""For how long nothing must come; nothing is judged to be late by it."""


@asynccontextmanager
async def echo() -> AsyncIterator[tuple[str, int]]:
    """A server that sends back what it gets."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield host, port


@asynccontextmanager
async def proxied(seed: int = 0) -> AsyncIterator[FaultProxy]:
    """A proxy before an echo."""
    async with echo() as target, FaultProxy(target, seed=seed) as proxy:
        yield proxy


class Client:
    """A connection through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, text: bytes) -> bytes:
        """Send and hear it come back."""
        self.writer.write(text)
        return await self.reader.readexactly(len(text))

    async def silence(self) -> bytes:
        """What comes in a while: nothing."""
        try:
            async with asyncio.timeout(QUIET_SECONDS):
                return await self.reader.read(1)
        except TimeoutError:
            return b""


@asynccontextmanager
async def client(proxy: FaultProxy) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


async def test_it_carries_faithfully() -> None:
    """Without a fault every byte arrives, in order, both ways, and the end is passed on."""
    data = bytes(range(256)) * 4000
    async with proxied() as proxy, client(proxy) as one:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_send(one, data))
            heard = tasks.create_task(one.reader.readexactly(len(data)))
        assert heard.result() == data
        one.writer.write_eof()
        assert await one.reader.read() == b""
        assert proxy.connections == 1


async def _send(one: Client, data: bytes) -> None:
    one.writer.write(data)
    await one.writer.drain()


async def test_refusing() -> None:
    """Who dials is refused by the system itself, connections that stand go on, and the port stays
    the proxy's."""
    async with proxied() as proxy, client(proxy) as standing:
        await standing.say(b"a")
        await proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", proxy.port))
        assert await standing.say(b"b") == b"b"
        await proxy.accept()
        async with client(proxy) as later:
            assert await later.say(b"c") == b"c"


async def test_reset() -> None:
    """RST: the other end sees the connection broken, not ended; new ones are carried."""
    async with proxied() as proxy:
        async with client(proxy) as one:
            await one.say(b"a")
            proxy.reset()
            with pytest.raises(ConnectionResetError):
                await one.reader.read(1)
        async with client(proxy) as two:
            assert await two.say(b"b") == b"b"


async def test_close() -> None:
    """FIN: the other end sees an orderly end."""
    async with proxied() as proxy, client(proxy) as one:
        await one.say(b"a")
        proxy.close()
        assert await one.reader.read() == b""


@pytest.mark.parametrize("direction", ["up", "down", "both"])
async def test_a_black_hole(direction: Direction) -> None:
    """Nothing comes through and nobody is told; after healing what stood before it does."""
    async with proxied() as proxy, client(proxy) as one:
        await one.say(b"a")
        proxy.black_hole(direction)
        one.writer.write(b"b")
        assert await one.silence() == b""
        async with client(proxy) as later:
            later.writer.write(b"c")
            assert await later.silence() == b"", "it holds for new connections too"
            proxy.heal()
            assert await later.reader.readexactly(1) == b"c"
        assert await one.reader.readexactly(1) == b"b"


async def test_a_black_hole_can_be_reset() -> None:
    """What stands before a hole does not keep a connection from being ended."""
    async with proxied() as proxy, client(proxy) as one:
        await one.say(b"a")
        proxy.black_hole()
        one.writer.write(b"b")
        assert await one.silence() == b""
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await one.reader.read(1)


async def test_delay() -> None:
    """Each piece comes no sooner than it is told to."""
    loop = asyncio.get_running_loop()
    async with proxied() as proxy, client(proxy) as one:
        await one.say(b"a")
        proxy.delay(0.2, "up")
        began = loop.time()
        assert await one.say(b"b") == b"b"
        assert loop.time() - began >= 0.19


async def test_throttle() -> None:
    """A second brings no more than it is told to."""
    loop = asyncio.get_running_loop()
    async with proxied() as proxy, client(proxy) as one:
        proxy.throttle(10_000, "down")
        began = loop.time()
        assert await one.say(b"x" * 5000) == b"x" * 5000
        assert loop.time() - began >= 0.4


async def test_cut_in_frame() -> None:
    """So many bytes pass, the next do not, and the connection is broken there."""
    async with proxied() as proxy, client(proxy) as one:
        await one.say(b"a")
        proxy.cut_in_frame(3, "up")
        one.writer.write(b"bcdef")
        assert await one.reader.readexactly(3) == b"bcd"
        with pytest.raises(ConnectionResetError):
            await one.reader.read(1)


async def test_a_target_that_is_away() -> None:
    """Where nobody listens behind the proxy a connection is broken at once."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        target = gone.getsockname()
    async with FaultProxy(target) as proxy, client(proxy) as one:
        with pytest.raises(ConnectionResetError):
            await one.reader.read(1)


async def test_a_seed_gives_the_same_faults() -> None:
    """Faults are replayable: the same seed, the same faults; another seed, others."""
    one, same, other = (FaultProxy(("127.0.0.1", 1), seed=seed) for seed in (5, 5, 6))
    faults = list(one.faults(200))
    assert list(same.faults(200)) == faults
    assert list(other.faults(200)) != faults
    assert {fault.kind for fault in faults} == set(get_args(FaultKind))


@pytest.mark.parametrize("fault", [*FaultProxy(("127.0.0.1", 1), seed=1).faults(20)], ids=str)
async def test_a_played_fault_is_over(fault: Fault) -> None:
    """After `play` the proxy carries again, whatever the fault was, and says what it did."""
    short = Fault(kind=fault.kind, direction=fault.direction, seconds=0.01, bytes=fault.bytes)
    async with proxied() as proxy, client(proxy) as one:
        await one.say(b"a")
        await proxy.play(short)
        async with client(proxy) as two:
            assert await two.say(b"b") == b"b"
        done = "reset" if fault.kind == "outage" else fault.kind
        assert any(done in line for line in proxy.history)


def test_the_page_s_example_works() -> None:
    """The example in docs/how-to/faults.md runs as it stands there."""
    page = Path(__file__).parents[2] / "docs/how-to/faults.md"
    code = page.read_text().partition("```python\n")[2].partition("```")[0]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:3] == ["black_hole down", "refuse", "reset"]
