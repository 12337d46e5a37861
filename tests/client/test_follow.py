"""Following a session: no gap and no repeat, whatever the gateway and the network do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from gateway.support import ADMIN, RUNNER, FrameRunner, event, events_frame
from real_processes import free_port
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from runner_shell.client import GatewayClient, RequestRefused
from runner_shell.errors import RemoteProtocolError, TransportBroken
from runner_shell.gateway.app import Gateway
from runner_shell.gateway.core import GatewayCore
from runner_shell.gateway.server import serve
from runner_shell.gateway.sqlite import SqliteStore
from runner_shell.gateway.tokens import Principal
from runner_shell.transport.memory import memory_pair

Body = bytes | int


class Anybody:
    """Takes every token for the administrator's."""

    async def authenticate(self, token: str) -> Principal | None:
        return ADMIN


def said(*numbers: int) -> bytes:
    """Events of a stream."""
    return b"".join(b"id: %d\ndata: %b\n\n" % (seq, event(seq).encode()) for seq in numbers)


class Scripted:
    """A gateway whose streams are literal: one body a connection, or a status to refuse with."""

    def __init__(self, *bodies: Body) -> None:
        self._bodies = list(bodies)
        self.since: list[str] = []
        app = Starlette(routes=[Route("/sessions/s/events/live", self._live)])
        self.client = GatewayClient(
            "http://gateway", "t", transport=httpx.ASGITransport(app), patience_seconds=0.0
        )

    async def _live(self, request: Request) -> Response:
        self.since.append(request.query_params["since"])
        body = self._bodies.pop(0) if self._bodies else 404
        if isinstance(body, int):
            problem = {"title": "no", "status": body, "detail": f"said {body}", "code": "word"}
            return Response(json.dumps(problem), body, media_type="application/problem+json")

        async def stream() -> AsyncIterator[bytes]:
            yield body

        return StreamingResponse(stream())

    async def follow(self) -> list[int]:
        """The numbers until the gateway refuses for good."""
        heard, refusal = await self.follow_to_the_end()
        assert "said 404" in str(refusal)
        return heard

    async def follow_to_the_end(self) -> tuple[list[int], RequestRefused]:
        """The numbers until the gateway refuses for good, and how it did."""
        heard: list[int] = []
        async with self.client:
            try:
                async for received in self.client.session("s").follow(patience_seconds=60.0):
                    heard.append(received.seq)
            except RequestRefused as refusal:
                return heard, refusal
        raise AssertionError("following never ends by itself")


async def test_a_broken_stream_goes_on_behind_the_last_event() -> None:
    """Each stream is opened behind what was handed out; half a message counts for nothing."""
    gateway = Scripted(said(1, 2) + said(3)[:-9], said(3), said(4))
    assert await gateway.follow() == [1, 2, 3, 4]
    assert gateway.since == ["0", "2", "3", "4"]


async def test_what_comes_again_is_passed_over() -> None:
    """A gateway that ignores where it is asked to begin repeats nothing to the reader."""
    assert await Scripted(said(1, 2), said(1, 2, 3), said(2, 3, 4)).follow() == [1, 2, 3, 4]


async def test_a_hole_is_asked_for_again() -> None:
    """Where a number is missing the stream is opened anew behind the last good one."""
    gateway = Scripted(said(1, 3, 4), said(2, 3))
    assert await gateway.follow() == [1, 2, 3]
    assert gateway.since == ["0", "1", "3"]


async def test_a_hole_that_stays_is_an_error() -> None:
    """A gateway that has no such event is not asked for it for ever."""
    gateway = Scripted(said(1, 3), said(3))
    with pytest.raises(RemoteProtocolError, match="has no event 2"):
        await gateway.follow()


@pytest.mark.parametrize("kind", ["draining", "cut"])
async def test_a_stream_that_is_ended_is_opened_again(kind: str) -> None:
    """A gateway that goes, or has cut a slow reader, is dialled again."""
    ended = f'event: {kind}\ndata: {{"status":503,"detail":"away"}}\n\n'.encode()
    assert await Scripted(said(1) + ended, said(2) + ended).follow() == [1, 2]


async def test_a_token_that_is_just_replaced_is_tried_again() -> None:
    """A token that was good is tried again for a moment; one that never was is refused at once."""
    assert await Scripted(said(1), 401, 401, said(2)).follow() == [1, 2]
    heard, refusal = await Scripted(401, said(1)).follow_to_the_end()
    assert (heard, refusal.code) == ([], 401)


async def test_a_quiet_stream_is_not_away() -> None:
    """Patience is for a gateway that is away, not for a session that says nothing."""
    gateway = Scripted(said(1) + b": still here\n\n", said(2))
    numbers = []
    async with gateway.client:
        async for received in gateway.client.session("s").follow(patience_seconds=0.2):
            numbers.append(received.seq)
            await asyncio.sleep(0.3)  # longer than the patience, as a slow reader is
            if received.seq == 2:
                break
    assert numbers == [1, 2]


async def test_a_gateway_that_is_busy_is_asked_again() -> None:
    """503 and 429 are no refusals for good."""
    assert await Scripted(said(1), 503, 429, said(2)).follow() == [1, 2]


async def test_a_deleted_session_ends_it() -> None:
    """Deletion is told as a refusal, with the gateway's word for it."""
    deleted = b'event: session.deleted\ndata: {"status":404,"detail":"gone","code":"deleted"}\n\n'
    heard, refusal = await Scripted(said(1) + deleted).follow_to_the_end()
    assert heard == [1]
    assert "gone" in str(refusal)
    assert (refusal.code, refusal.problem, refusal.final) == (404, "deleted", True)


async def test_patience_ends() -> None:
    """A gateway that stays away is told of after the patience."""
    gateway = Scripted(503, 503, 503)
    async with gateway.client:
        with pytest.raises(RequestRefused, match="said 503"):
            await anext(gateway.client.session("s").follow(patience_seconds=0.0))


async def test_an_event_without_a_number_is_an_error() -> None:
    """Without numbers nothing could be promised."""
    with pytest.raises(RemoteProtocolError, match="has the id 'x'"):
        await Scripted(b"id: x\ndata: {}\n\n").follow()


@asynccontextmanager
async def life(store: SqliteStore, port: int) -> AsyncIterator[GatewayCore]:
    """A gateway process's life: a new core around the same store, at the same address."""
    core = GatewayCore(store)
    async with serve(Gateway(core, Anybody()), port=port):
        yield core


async def commit(core: GatewayCore, tasks: asyncio.TaskGroup, first: int, last: int) -> None:
    """Have a runner emit the events `first` to `last`."""
    ours, theirs = memory_pair()
    tasks.create_task(core.serve_runner(theirs, RUNNER, "s"))
    runner = FrameRunner(ours)
    await runner.greet(next=first)
    for seq in range(first, last + 1):
        await runner.say(events_frame(event(seq)))
    await runner.hear_ack(last)
    await ours.close(1000, "")


async def test_restarts_of_the_gateway_lose_and_repeat_nothing(tmp_path: Path) -> None:
    """Through three lives of a gateway the reader hears every event once, in order."""
    heard: list[int] = []
    news = asyncio.Event()
    port = free_port()

    async def read() -> None:
        async with (
            GatewayClient(f"http://127.0.0.1:{port}", "t") as gateway,
            aclosing(gateway.session("s").follow()) as events,
        ):
            async for received in events:
                heard.append(received.seq)
                news.set()
                if received.seq == 60:
                    return

    async with SqliteStore(tmp_path / "store.db") as store, asyncio.TaskGroup() as tasks:
        await GatewayCore(store).create_session(ADMIN, "s")
        reading: asyncio.Task[None] | None = None
        for first in (1, 21, 41):
            async with life(store, port) as core:
                reading = reading or tasks.create_task(read())
                await commit(core, tasks, first, first + 19)
                while len(heard) < first:  # it reads in each life
                    news.clear()
                    await news.wait()
                if first == 41:
                    await reading
    assert heard == list(range(1, 61))


async def test_nobody_there() -> None:
    """Without a gateway the patience ends in an error that names the address."""
    port = free_port()
    async with GatewayClient(f"http://127.0.0.1:{port}", "t", patience_seconds=0.0) as gateway:
        with pytest.raises(TransportBroken, match=f"127.0.0.1:{port} cannot be reached"):
            await anext(gateway.session("s").follow())
