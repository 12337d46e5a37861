"""What is kicked leaves at once where it can, and in order wherever it cannot."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from gateways import TOKEN, Gateway
from websockets.asyncio.server import ServerConnection

from runner_shell.link.runner import LinkSettings, RunnerLink
from runner_shell.protocol.frames import MAX_FRAME_BYTES
from runner_shell.transport.driver import LinkDriver
from runner_shell.transport.memory import MemorySocket, memory_pair
from runner_shell.transport.socket import PromptSocket
from runner_shell.transport.websocket import dial

WELCOME = b'{"frame":"welcome","epoch":1,"acked":0,"credit":100000000,"max_frame_bytes":%d}'
DEADLINE_SECONDS = 60.0


async def until(what: Callable[[], bool]) -> None:
    """Let the loop run until it is so."""
    while not what():  # noqa: ASYNC110 — nothing here tells when
        await asyncio.sleep(0)


class Scene:
    """A driver between a journal and the gateway's end of a connection.

    Attributes:
        theirs: What the gateway reads from.
        socket: What the driver writes to.
    """

    def __init__(self, wrap: type[Slow] | None = None) -> None:
        self.journal: dict[int, bytes] = {}
        ours, self.theirs = memory_pair()
        self.socket = ours if wrap is None else wrap(ours)
        self.link = RunnerLink(
            LinkSettings(session="s", instance="i", log="l", linger_seconds=0.0), self
        )
        self.driver = LinkDriver(self.link, self._dial, lambda effect: None)

    async def _dial(self) -> PromptSocket:
        return self.socket

    def read(self, seq: int) -> bytes:
        """The journal, for the link."""
        return self.journal[seq]

    def say(self, size: int = 10) -> None:
        """Journal one event more, and kick."""
        seq = self.link.number()
        data = b'{"seq":%d,"time":"t","type":"log","message":"%b"}' % (seq, b"x" * size)
        self.journal[seq] = data
        self.link.journaled(seq, len(data), lingers=False, now=0.0)
        self.driver.kick()

    @property
    def arrived(self) -> list[int]:
        """The numbers of the events that are on the gateway's side already."""
        frames = [json.loads(frame) for frame in self.theirs._inbox]
        return [event["seq"] for frame in frames for event in frame.get("events", ())]

    @asynccontextmanager
    async def running(self, *, max_frame_bytes: int = MAX_FRAME_BYTES) -> AsyncIterator[Scene]:
        """Carry while the block runs, from the welcome on."""
        carrying = asyncio.create_task(self.driver.run())
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await self.theirs.recv()
                await self.theirs.send(WELCOME % max_frame_bytes)
                await until(lambda: self.link.epoch is not None)
                await asyncio.sleep(0)
                yield self
        finally:
            await self.driver.close()
            await asyncio.wait({carrying})


class Slow:
    """A connection whose buffer is full until it is told to go on."""

    def __init__(self, inner: MemorySocket) -> None:
        self.inner = inner
        self.is_clear = True
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.recv, self.close = inner.recv, inner.close

    def send_now(self, data: bytes) -> None:
        assert self.is_clear
        self.inner.send_now(data)

    async def send(self, data: bytes) -> None:
        await self.inner.send(data)
        await self.goes_on.wait()

    def block(self) -> None:
        self.is_clear = False
        self.goes_on.clear()

    def unblock(self) -> None:
        self.is_clear = True
        self.goes_on.set()


async def test_what_is_kicked_is_sent_before_kick_returns() -> None:
    """No task has to be woken for it."""
    async with Scene().running() as scene:
        for seq in (1, 2, 3):
            scene.say()
            assert scene.arrived[-1] == seq


async def test_nothing_overtakes_what_the_writer_sends() -> None:
    """While it waits for room all is the writer's; then what is kicked goes at once again."""
    async with Scene(Slow).running() as scene:
        socket = scene.socket
        assert isinstance(socket, Slow)
        socket.block()
        scene.say()
        await asyncio.sleep(0)
        socket.is_clear = True  # there is room again, and the writer does not know it yet
        scene.say()
        scene.say()
        assert scene.arrived == [1]
        socket.unblock()
        await until(lambda: len(scene.arrived) == 3)
        await asyncio.sleep(0)
        scene.say()
        assert scene.arrived == [1, 2, 3, 4]


async def test_a_large_event_is_the_writers_to_finish() -> None:
    """It goes in many parts, of which a kick sends the first few, and in their order."""
    async with Scene().running(max_frame_bytes=1024) as scene:
        scene.say(size=100_000)
        scene.say()
        await until(lambda: 2 in scene.arrived)
        frames = [json.loads(frame) for frame in scene.theirs._inbox]
    parts = [frame["index"] for frame in frames if frame["frame"] == "part"]
    assert parts == list(range(frames[0]["total"]))


async def test_a_kick_without_a_connection_is_no_error() -> None:
    """Neither before the first dial nor behind a broken one: it is sent once there is another."""
    scene = Scene()
    scene.driver.kick()
    async with scene.running():
        scene.theirs.cut()
        scene.say()
        scene.say()
        assert scene.link.backlog == 2


async def test_a_real_connection_says_when_it_takes_no_more() -> None:
    """Frames go at once while they leave; where the peer does not read they wait, none is lost."""
    frames: list[str | bytes] = []
    reads, done = asyncio.Event(), asyncio.Event()

    async def read_late(connection: ServerConnection) -> None:
        await reads.wait()
        async for frame in connection:
            frames.append(frame)
            if frame == "end":
                done.set()

    gateway = Gateway(read_late)
    async with asyncio.timeout(DEADLINE_SECONDS), gateway.serving():
        socket = await dial(gateway.address, lambda: TOKEN)
        sent = []
        while socket.is_clear and len(sent) < 1000:
            sent.append(f"{len(sent)} ".ljust(100_000, "x"))
            socket.send_now(sent[-1].encode())
        assert not socket.is_clear
        reads.set()
        await socket.send(b"end")
        await done.wait()
        assert socket.is_clear
        await socket.close(1000, "")
        assert not socket.is_clear
    assert frames == [*sent, "end"]
