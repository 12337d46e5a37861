"""Drives a runner's link: dials, carries frames both ways, and dials again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from ..errors import Refused, RemoteProtocolError, TransportBroken, TransportClosed
from ..link.effects import Acknowledged, CloseSocket, Redial, RunnerEffect
from ..link.runner import RunnerLink
from ..link.states import RunnerState
from ..protocol.frames import CloseCode
from .backoff import Backoff
from .socket import PromptSocket, Socket

Dial = Callable[[], Awaitable[PromptSocket]]

NORMAL_CLOSE = 1000

DIALS_AT_ONCE = 3
"""How often in a row, without acknowledged progress, "dial again now" is taken at its word: a
gateway that says nothing else must not be dialled as fast as it can refuse."""


class LinkDriver:
    """Owns the connection of one runner.

    Args:
        link: The link; only this driver and the outlet touch it, on one event loop.
        dial: Opens a connection; raises `Refused` or `TransportBroken`.
        on_effect: Called for every effect that is not the connection's own.
        backoff: How long to wait between dials.
        before_send: Called before frames are made: what they hold must be journaled.
    """

    def __init__(
        self,
        link: RunnerLink,
        dial: Dial,
        on_effect: Callable[[RunnerEffect], None],
        backoff: Backoff | None = None,
        before_send: Callable[[], None] = lambda: None,
    ) -> None:
        self.last_problem = ""
        self.greeted = asyncio.Event()
        """Set when the first `hello` is on the wire, or the first connection came to nothing."""
        self._link = link
        self._dial = dial
        self._on_effect = on_effect
        self._backoff = backoff or Backoff()
        self._before_send = before_send
        self._news = asyncio.Event()
        self._at_once = False
        self._hurries = 0
        self._acked = 0
        self._goodbye = (NORMAL_CLOSE, "")
        self._socket: PromptSocket | None = None
        self._is_writing = False
        self._now = time.monotonic  # the loop's clock, without the two calls to it

    def kick(self) -> None:
        """There is something to send, and it is journaled: it goes at once if nothing is before it.

        To wake a task for it would cost as much as to send it, and most of the delay.
        """
        if self._is_writing or not self._send_now():
            self._news.set()

    def _send_now(self) -> bool:
        """False where the writer has to send, or to go on."""
        socket = self._socket
        if socket is None or self._link.state is not RunnerState.OPEN or not socket.is_clear:
            return False
        for frame in self._link.frames_to_send(self._now()):
            socket.send_now(frame)
        return not self._link.more_to_send

    async def run(self) -> None:
        """Dial and carry until the link is refused, failed or closed.

        Raises:
            RemoteProtocolError: The gateway broke the protocol.
        """
        while self._link.state is RunnerState.AWAY:
            await self._pause()
            try:
                self._socket = await self._dial()
            except Refused as refusal:
                self.greeted.set()
                await self._take_refusal(refusal)
                continue
            except TransportBroken as broken:
                self.last_problem = str(broken)
                self.greeted.set()
                continue
            self._goodbye = (NORMAL_CLOSE, "")
            if self._link.state is RunnerState.AWAY:
                self._link.connected(self._now())
                await self._converse(self._socket)
                self.greeted.set()  # it may have ended before anything could be written
            await self._socket.close(*self._goodbye)

    async def close(self) -> None:
        """Say goodbye and stop."""
        self._link.close()
        self._news.set()
        if self._socket is not None:
            await self._socket.close(NORMAL_CLOSE, "")

    async def _pause(self) -> None:
        at_once, self._at_once = self._at_once, False
        if at_once and self._hurries < DIALS_AT_ONCE:
            self._hurries += 1
            return
        seconds = self._backoff.next_seconds()
        if seconds:
            await asyncio.sleep(seconds)

    async def _take_refusal(self, refusal: Refused) -> None:
        self.last_problem = refusal.reason
        if refusal.final:
            self._deliver(self._link.refused(refusal.code, refusal.reason))
        elif refusal.retry_after_seconds:
            await asyncio.sleep(min(refusal.retry_after_seconds, 60.0))

    async def _converse(self, socket: Socket) -> None:
        """Carry frames until one side of the connection ends; then tell the link."""
        reader = asyncio.create_task(self._read(socket), name="link-reader")
        writer = asyncio.create_task(self._write(socket), name="link-writer")
        watch = asyncio.create_task(self._watch(), name="link-watch")
        tasks = (reader, writer, watch)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            match result:
                case None | asyncio.CancelledError() | TransportClosed():
                    pass
                case TransportBroken():
                    self.last_problem = str(result)
                    self._deliver(self._link.lost(result.code, str(result)))
                case RemoteProtocolError():
                    await socket.close(CloseCode.PROTOCOL, str(result))
                    raise result
                case _:
                    raise result

    async def _read(self, socket: Socket) -> None:
        while True:
            frame = await socket.recv()
            self._deliver(self._link.receive(frame, self._now()))
            self._news.set()

    async def _write(self, socket: Socket) -> None:
        while self._link.state in (RunnerState.GREETING, RunnerState.OPEN):
            self._news.clear()
            await self._send_due(socket)
            self.greeted.set()
            await self._wait_for_news()

    async def _send_due(self, socket: Socket) -> None:
        self._is_writing = True
        try:
            more = True
            while more:
                self._before_send()
                for frame in self._link.frames_to_send(self._now()):
                    await socket.send(frame)
                more = self._link.more_to_send
        finally:
            self._is_writing = False

    async def _watch(self) -> None:
        """Find a silent gateway. Not the writer's work: a peer that takes nothing holds it up."""
        while (silent_at := self._link.silent_at()) is not None:
            await asyncio.sleep(max(0.0, silent_at - self._now()))
            self._deliver(self._link.tick(self._now()))

    async def _wait_for_news(self) -> None:
        deadline = self._link.next_deadline()
        if self._news.is_set():
            return
        loop = asyncio.get_running_loop()
        timer = None if deadline is None else loop.call_at(deadline, self._news.set)
        try:
            await self._news.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _deliver(self, effects: list[RunnerEffect]) -> None:
        for effect in effects:
            match effect:
                case Redial():
                    self.last_problem = effect.reason
                    self._at_once = effect.at_once
                case CloseSocket():
                    # The writer sees the new state and leaves, and `run` closes.
                    self._goodbye = (effect.code, effect.reason)
                case Acknowledged():
                    if effect.seq > self._acked:
                        self._acked = effect.seq
                        self._hurries = 0
                        self._backoff.reset()
                    self._on_effect(effect)
                case _:
                    self._on_effect(effect)
