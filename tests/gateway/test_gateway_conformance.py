"""The suite for gateways: ours conforms, and broken ones are caught by the rule they break."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from runner_shell.errors import ConfigurationError
from runner_shell.gateway.app import Gateway
from runner_shell.gateway.core import GatewayCore
from runner_shell.gateway.runner.welcome import Admission
from runner_shell.gateway.server import serve
from runner_shell.gateway.sessions import live
from runner_shell.gateway.sqlite import SqliteStore
from runner_shell.gateway.store import (
    DEFAULT_TENANT,
    Append,
    CommandRow,
    EventRow,
    Outcome,
    SessionKey,
)
from runner_shell.gateway.tokens import Role, issue
from runner_shell.link.gateway import GatewayLimits, GatewayLink
from runner_shell.testing.gateway_conformance import RULES, Finding, check_gateway

from .support import SteadyClock

QUICK = GatewayLimits(heartbeat_seconds=0.5)


def _quick(store: SqliteStore) -> GatewayCore:
    return GatewayCore(store, limits=QUICK, clock=SteadyClock())


async def check(store: SqliteStore, *rules: str, seconds: float = 60.0) -> list[Finding]:
    """What the suite finds in our gateway over this store."""
    async with store:
        token, record = issue(Role.ADMIN, DEFAULT_TENANT)
        await store.put_token(record)
        async with serve(Gateway(_quick(store))) as url:
            return await check_gateway(url, token, seconds=seconds, rules=rules)


async def test_our_gateway_conforms() -> None:
    """Every rule, over real sockets."""
    assert await check(SqliteStore(":memory:")) == []
    assert len(RULES) >= 15


async def test_its_sessions_are_deleted() -> None:
    """A gateway that is checked is left as it was."""
    async with SqliteStore(":memory:") as store:
        token, record = issue(Role.ADMIN, DEFAULT_TENANT)
        await store.put_token(record)
        async with serve(Gateway(_quick(store))) as url:
            await check_gateway(url, token, rules=("epochs", "parts"))
        assert await store.list_sessions(DEFAULT_TENANT, limit=9) == []


def _encoded_anew(row: EventRow) -> EventRow:
    return msgspec.structs.replace(row, data=msgspec.json.encode(msgspec.json.decode(row.data)))


class EncodesAnew(SqliteStore):
    """Gives events back as its own library writes them."""

    async def append_frames(self, appends: Sequence[Append]) -> Sequence[Outcome]:
        return await super().append_frames(
            [
                append._replace(rows=[_encoded_anew(row) for row in append.rows])
                for append in appends
            ]
        )


class CountsEveryDial(SqliteStore):
    """Gives every `hello` without an epoch a new one."""

    async def bump_epoch(self, key: SessionKey, instance: str) -> int:
        self._dials = getattr(self, "_dials", 0) + 1
        return await super().bump_epoch(key, f"{instance} {self._dials}")


class ForgetsAcknowledgements(SqliteStore):
    """Delivers commands that the runner has journaled again."""

    async def acknowledge_command(self, key: SessionKey, seq: int) -> None:
        return None


class TurnsCommandsRound(SqliteStore):
    """Hands out only the last one that waits."""

    async def commands_after(self, key: SessionKey, seq: int, *, limit: int) -> list[CommandRow]:
        rows = await super().commands_after(key, seq, limit=limit)
        return [row._replace(seq=seq + 1) for row in rows[-1:]]


class LosesState(SqliteStore):
    """Forgets what the adapter saved."""

    async def saved_state(self, key: SessionKey) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(
    ("store", "rule"),
    [
        (EncodesAnew, "events_are_kept_as_they_came"),
        (CountsEveryDial, "epochs"),
        (ForgetsAcknowledgements, "commands_wait"),
        (TurnsCommandsRound, "commands_wait"),
        (LosesState, "state_comes_back"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_a_broken_store_is_caught(store: type[SqliteStore], rule: str) -> None:
    """By the rule that it breaks, with what happened, what is due, and what to do."""
    findings = await check(store(":memory:"), rule, seconds=3.0)
    assert [finding.rule for finding in findings] == [rule]
    assert "MUST" in findings[0].contract
    assert findings[0].happened
    assert findings[0].fix


async def test_a_gateway_that_takes_gaps_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """It acknowledges what it never got."""

    def take(self: GatewayLink, raws: list[msgspec.Raw], envelopes: list[Any]) -> list[Any]:
        return []

    monkeypatch.setattr(GatewayLink, "_take_events", take)
    found = await check(
        SqliteStore(":memory:"), "gaps_are_refused", "repeats_are_passed_over", seconds=1.0
    )
    assert [finding.rule for finding in found] == ["repeats_are_passed_over", "gaps_are_refused"]


async def test_a_gateway_that_fences_nobody_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two connections of one session both live on."""

    async def replace(self: live.LiveSession, connection: Any) -> None:
        self.connection = connection

    monkeypatch.setattr(live.LiveSession, "_replace", replace)
    (finding,) = await check(SqliteStore(":memory:"), "fencing", seconds=1.0)
    assert "did not close" in finding.happened


async def test_a_welcome_that_is_too_large_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would close the connection at every dial."""

    def whole(admission: Admission, runner_max_frame_bytes: int) -> Admission:
        return admission

    monkeypatch.setattr(live, "fitting", whole)
    (finding,) = await check(SqliteStore(":memory:"), "frames_fit", seconds=10.0)
    assert "4096" in finding.happened


async def test_a_gateway_that_is_not_there_is_a_wrong_setting() -> None:
    """Not sixteen findings."""
    with pytest.raises(ConfigurationError, match="cannot be reached"):
        await check_gateway("http://127.0.0.1:9", "token", seconds=1.0)
    with pytest.raises(ConfigurationError, match="no rule"):
        await check_gateway("http://127.0.0.1:9", "token", rules=("odd",))


async def test_what_is_no_gateway_breaks_every_rule() -> None:
    """A server of something else is told about, rule by rule, without a crash."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        findings = await check_gateway(f"http://127.0.0.1:{port}", "token", seconds=5.0)
    assert [finding.rule for finding in findings] == list(RULES)
