"""An adapter that says a secret in every way there is; the canary test's runners load it."""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from typing import Any

import msgspec
import structlog

from runner_shell import Adapter, AdapterSettings, Capabilities, Ending
from runner_shell.adapter.session import Request
from runner_shell.errors import AgentFailed, ConfigurationError
from runner_shell.protocol.catalogue import EVENTS
from runner_shell.protocol.events import (
    BlockDelta,
    BlockFinished,
    BlockStarted,
    MessageStarted,
    StepStarted,
    ToolOutput,
    ToolStarted,
    UnknownEvent,
    Usage,
)

WAYS = (
    "make", "describe", "open", "open_configuration", "events", "state", "logs", "threads",
    "ask", "turn", "agent_failed", "ending", "close", "nothing",
)  # fmt: skip


class Settings(AdapterSettings):
    """Which way."""

    canary_token: str
    way: str = "nothing"
    number: int = 0


class Canary(Adapter):
    """Plants its secret."""

    name = "canary"
    Settings = Settings
    capabilities = Capabilities(defer=True, commands=frozenset({"adapter.call", "settings.update"}))

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.secret: str = settings.canary_token
        self._fail("make")

    def _is(self, way: str) -> bool:
        return bool(self.settings.way == way)  # type: ignore[attr-defined]

    def _fail(self, way: str) -> None:
        if self._is(way):
            try:
                raise ValueError(f"inner {self.secret}")
            except ValueError as error:
                raise RuntimeError(self.secret, {self.secret: [self.secret]}) from error

    def describe(self) -> dict[str, Any]:
        self._fail("describe")
        return {self.secret: {"deep": [self.secret]}}

    async def open(self, session: Any) -> None:
        self.session = session
        session.secrets.add("LEARNT", "learnt-" + self.secret[::-1])
        self._fail("open")
        if self._is("open_configuration"):
            raise ConfigurationError(f"CANARY is {self.secret}", f"use another than {self.secret}")

    async def turn(self, turn: Any) -> Ending:
        secret, learnt = self.secret, "learnt-" + self.secret[::-1]
        async with turn.message(f"said-{secret}", model=secret, scope=(secret,)) as message:
            for text in (*secret, " ", secret, " ", *learnt, " ", secret[:9]):
                await message.text(text)
        if self._is("events"):
            await self._say_every_event(turn)
        if self._is("state"):
            self.session.state[secret] = {secret: [secret, learnt]}
            self.session.state["kept"] = secret
            del self.session.state[secret]
        if self._is("logs"):
            self._log()
        if self._is("threads"):
            thread = threading.Thread(target=self._raise, name=f"thread-{secret}")
            thread.start()
            thread.join()
            self._leave_garbage()
            del self._leave_garbage
        if self._is("ask"):
            await self._ask()
        self._fail("turn")
        if self._is("agent_failed"):
            raise AgentFailed(f"because of {secret}", code=secret)
        if self._is("ending"):
            return Ending("failed", f"because of {secret}")
        return Ending("completed")

    async def _say_every_event(self, turn: Any) -> None:
        for kind, row in EVENTS.items():
            fields = _filled(row.struct, self.secret)
            await turn.emit(UnknownEvent(type=kind, fields=fields, scope=(self.secret,)))
        turn.emit(UnknownEvent(type=f"x.{self.secret}", fields={self.secret: self.secret}))
        turn.emit(MessageStarted(id="open"))
        turn.emit(BlockStarted(message="open", index=0))
        for char in self.secret:
            turn.emit(BlockDelta(message="open", index=0, text=char))
        turn.emit(BlockFinished(message="open", index=0, content={self.secret: self.secret}))
        turn.emit(ToolStarted(call=self.secret, name=self.secret, input={self.secret: 1}))
        for char in self.secret:
            turn.emit(ToolOutput(call=self.secret, text=char))
        turn.emit(StepStarted(id=self.secret, name=self.secret))

    def _log(self) -> None:
        secret = self.secret
        for level in (logging.WARNING, logging.ERROR, logging.CRITICAL):
            logging.getLogger(f"a.{secret}").log(level, "std %s %r", secret, {secret: secret})
        logging.getLogger("a").warning(secret, extra={"also": secret}, stack_info=True)
        logging.getLogger("a").warning("wrong %d", secret)  # the handler reports what it was given
        logging.getLogger("a").warning("%s", _Unprintable(secret))
        warnings.warn(f"warned of {secret}", stacklevel=1)
        log = structlog.get_logger("b").bind(**{secret: secret})
        log.warning(secret, field=secret, deep={secret: [secret]})
        for say in ("debug", "info", "warning", "error"):
            getattr(self.session.log, say)(secret, **{secret: secret, "deep": {secret: [secret]}})
        try:
            self._raise()
        except RuntimeError:
            logging.getLogger("a").exception("caught %s", secret)
            log.exception(secret)

    def _raise(self) -> None:
        local = self.secret
        raise RuntimeError(local)

    def _leave_garbage(self) -> None:
        """An exception where nobody can catch it."""
        garbage = _Garbage(self.secret)
        del garbage

    async def _ask(self) -> None:
        secret = self.secret
        request = Request(
            kind="question",
            title=secret,
            body={secret: [secret]},
            schema={"title": secret},
            options=(secret, {"label": secret}),
            default=secret,
        )
        await self.session.ask(request, key=f"key-{secret}")

    async def interrupt(self, reason: str) -> bool:
        raise RuntimeError(self.secret)

    async def handle(self, command: Any) -> Any:
        if getattr(command, "method", "") == "fails":
            raise RuntimeError(self.secret)
        return {self.secret: [self.secret]}

    async def close(self) -> None:
        self._fail("close")


class _Unprintable:
    def __init__(self, secret: str) -> None:
        self._secret = secret

    def __str__(self) -> str:
        raise ValueError(self._secret)


class _Garbage(_Unprintable):
    def __del__(self) -> None:
        raise RuntimeError(self._secret)


def _filled(struct: type[Any], secret: str) -> dict[str, Any]:
    """Every field of an event with the secret in it, as deep as its type allows."""
    return {
        field.encode_name: _value(field.type, secret)
        for field in msgspec.structs.fields(struct)
        if field.name != "scope"
    }


def _value(kind: Any, secret: str) -> Any:
    deep = {secret: [secret, {secret: f"x{secret}y"}], "plain": secret}
    entry = {"id": secret, "text": secret}
    usages = {secret: Usage(input_tokens=1)}
    for value in (secret, deep, [secret, secret], [entry], [deep], usages, 1, True):
        try:
            msgspec.convert(msgspec.to_builtins(value), kind)
        except msgspec.ValidationError:
            continue
        return deep if kind is Any else value
    return msgspec.to_builtins(getattr(kind, "__args__", (None,))[0])  # a word of the vocabulary


if __name__ == "__main__":  # so that a runner can be told apart from the test in a listing
    sys.exit(os.EX_USAGE)
