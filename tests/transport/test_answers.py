"""Every answer of a gateway's, by a real server: what is final, what is tried again, and when.

Source: docs/reference/protocol.md, "Closing".
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest
from gateways import Converse, Dialler, Gateway, welcome
from websockets.asyncio.server import ServerConnection

from runner_shell.protocol.frames import CloseCode
from runner_shell.shell.outcome import Verdict
from runner_shell.shell.runner import Runner, RunnerSettings
from runner_shell.testing.adapters import EchoAdapter
from runner_shell.transport.websocket import dial

FINAL_STATUS = [400, 401, 403, 404, 405, 410, 426]
FINAL_CODES = [4000, 4001, 4002, 4003, 4004, 4010, 4011, 4026, 4099]
LATER_STATUS = [302, 408, 425, 429, 500, 502, 503, 504]
LATER_CODES = [1000, 1001, 1006, 1011, 1012, 1013, 4100, 4101, 4110, 4129, 4130, 4199, 4999]
NOW_CODES = [4200, 4201, 4202, 4299]


def closing(code: int, *, first: bool) -> Converse:
    """Close with this code, before or after the welcome."""

    async def converse(connection: ServerConnection) -> None:
        if not first:
            await welcome(connection)
        if code == 1006:  # never sent: what a connection without an end is called
            connection.transport.abort()
        else:
            await connection.close(code, "as ordered")

    return converse


@pytest.mark.parametrize("answer", [*FINAL_STATUS, *FINAL_CODES])
async def test_what_will_not_change_ends_it_at_once(answer: int) -> None:
    """After a final answer nobody dials again, and what it was is said."""
    gateway = Gateway(closing(answer, first=True) if answer >= 1000 else answer)
    async with gateway.serving():
        one = Dialler(gateway.address)
        async with one.running():
            await one.task
        (refusal,) = one.refusals
        assert refusal.code == answer
        assert refusal.fenced == (answer == 4000)
        assert "as ordered" in refusal.reason
    assert len(gateway.tokens) == 1


@pytest.mark.parametrize("answer", [*LATER_STATUS, *LATER_CODES])
async def test_what_may_change_is_tried_again(answer: int) -> None:
    """Every other answer is tried again, behind a back-off once there was one without progress."""
    once = closing(answer, first=True) if answer >= 1000 else answer
    gateway = Gateway(once, once)
    async with gateway.serving():
        one = Dialler(gateway.address)
        async with one.running():
            await one.until(lambda: one.welcomes)
        assert one.refusals == []
        assert len(one.waits) == 2, "the first dial at once, each further one behind a wait"
    assert len(gateway.tokens) == 3


def test_every_close_code_is_among_these() -> None:
    """A new one gets its row here too."""
    codes = {code for name, code in vars(CloseCode).items() if name.isupper()}
    assert len(codes) > 10
    assert codes <= {*FINAL_CODES, *LATER_CODES, *NOW_CODES}


async def test_retry_after_is_kept_to() -> None:
    """Who says when it wants to be dialled again is not dialled before."""
    gateway = Gateway(503, headers={"Retry-After": "1"})
    async with gateway.serving():
        one = Dialler(gateway.address)
        began = time.monotonic()
        async with one.running():
            await one.until(lambda: one.welcomes)
        assert time.monotonic() - began >= 1.0


@pytest.mark.parametrize("code", NOW_CODES)
async def test_what_asks_for_it_is_dialled_again_at_once(code: int) -> None:
    """4200–4299 dial again without backing off."""
    gateway = Gateway(closing(code, first=False), closing(code, first=False))
    async with gateway.serving():
        one = Dialler(gateway.address)
        async with one.running():
            await one.until(lambda: one.welcomes == 3)
        assert one.waits == []


async def test_a_gateway_that_always_asks_for_it_is_not_dialled_without_end() -> None:
    """Without progress the fourth time in a row is behind a back-off."""
    gateway = Gateway(*[closing(4200, first=False)] * 6)
    async with gateway.serving():
        one = Dialler(gateway.address)
        async with one.running():
            await one.until(lambda: one.welcomes == 7)
        assert len(one.waits) == 3


@pytest.mark.parametrize("code", [4000, 4003, 4010, 4050])
async def test_a_final_code_after_the_welcome(code: int) -> None:
    """A final code counts whenever it comes."""
    gateway = Gateway(closing(code, first=False))
    async with gateway.serving():
        one = Dialler(gateway.address)
        async with one.running():
            await one.task
        assert [refusal.code for refusal in one.refusals] == [code]


async def end_of(gateway: Gateway, connect_seconds: float = 60.0) -> Verdict:
    """How a whole runner ends at this gateway."""
    with tempfile.TemporaryDirectory() as scratch:
        runner = Runner(
            RunnerSettings(
                session="s",
                instance="i",
                adapter="echo",
                workspace=Path(scratch),
                framework_dir=Path(scratch),
                prompt="hello",
                grace_seconds=1.0,
                connect_seconds=connect_seconds,
            ),
            lambda: EchoAdapter(EchoAdapter.Settings()),
            lambda: dial(gateway.address, lambda: "token"),
        )
        verdict, _ = await runner.run()
    return verdict


@pytest.mark.parametrize("answer", [401, 403, 404, 426, 4000, 4001, 4004, 4026, 4099])
async def test_a_final_answer_is_exit_code_2(answer: int) -> None:
    """Nobody should start this runner again as it is: 2, and the reason."""
    gateway = Gateway(closing(answer, first=True) if answer >= 1000 else answer)
    async with gateway.serving():
        verdict = await end_of(gateway)
    assert (verdict.outcome, verdict.exit_code) == ("failed", 2)
    assert ("newer runner" if answer == 4000 else "as ordered") in verdict.reason


@pytest.mark.parametrize("answer", [429, 503, 4129, 4200])
async def test_an_answer_that_does_not_change_in_time_is_exit_code_75(answer: int) -> None:
    """A gateway that only ever says "later": 75, so that somebody starts it again."""
    once = closing(answer, first=True) if answer >= 1000 else answer
    gateway = Gateway(*[once] * 10_000)
    async with gateway.serving():
        verdict = await end_of(gateway, connect_seconds=0.3)
    assert (verdict.outcome, verdict.exit_code) == ("failed", 75)
    assert "as ordered" in verdict.reason
