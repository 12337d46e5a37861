"""Commands, from whoever hands them in to the runner that gets them as frames."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from runner_shell.gateway.core import MAX_COMMAND_BYTES
from runner_shell.gateway.errors import (
    InvalidInputError,
    NotConnectedError,
)

from .support import (
    ADMIN,
    KEY,
    bench,
    event,
    events_frame,
    turn_start,
)


async def test_a_command_reaches_a_connected_runner() -> None:
    """With its number and the verified principal; what the client claims is replaced."""
    async with bench() as gateway:
        runner = gateway.dial()
        await runner.greet()
        forged = turn_start("c1", by="someone else", seq=99)
        assert await gateway.core.submit_command(ADMIN, "s", forged) == (1, True)
        (command,) = await runner.hear_commands(1)
        assert command["content"] == "hello"
        assert (command["seq"], command["by"]) == (1, "ada")


async def test_commands_wait_for_the_runner_in_order() -> None:
    """What it has not journaled comes after each dial, from the first on; nothing twice after."""
    async with bench() as gateway:
        names = [f"c{n}" for n in range(1, 251)]
        for name in names:
            await gateway.core.submit_command(ADMIN, "s", turn_start(name))
        runner = gateway.dial()
        await runner.greet()
        assert [c["id"] for c in await runner.hear_commands(250)] == names
        await runner.say('{"frame":"ack","seq":249}')
        runner.socket.cut()
        again = gateway.dial()
        await again.greet(epoch=1, last_command=249)
        assert [c["seq"] for c in await again.hear_commands(1)] == [250]


async def test_concurrent_commands_arrive_in_the_order_of_their_numbers() -> None:
    """However their calls interleave."""
    async with bench() as gateway:
        runner = gateway.dial()
        await runner.greet()
        calls = [gateway.core.submit_command(ADMIN, "s", turn_start(f"c{n}")) for n in range(50)]
        receipts = await asyncio.gather(*calls)
        heard = await runner.hear_commands(50)
        assert [c["seq"] for c in heard] == list(range(1, 51))
        assert sorted(receipt.seq for receipt in receipts) == list(range(1, 51))


async def test_an_acknowledged_command_is_noted() -> None:
    """The session shows how far its runner has journaled."""
    async with bench() as gateway:
        await gateway.core.submit_command(ADMIN, "s", turn_start("c1"))
        runner = gateway.dial()
        await runner.greet()
        await runner.hear_commands(1)
        await runner.say('{"frame":"ack","seq":1}')
        await runner.say(events_frame(event(1)))
        await runner.hear_ack(1)
        assert (await gateway.core.session(ADMIN, "s")).acknowledged_command == 1


async def test_the_same_id_is_one_command() -> None:
    """Handing it in again gets the first number and sends nothing more."""
    async with bench() as gateway:
        runner = gateway.dial()
        await runner.greet()
        assert await gateway.core.submit_command(ADMIN, "s", turn_start("c1")) == (1, True)
        assert await gateway.core.submit_command(ADMIN, "s", turn_start("c1")) == (1, False)
        assert await gateway.core.submit_command(ADMIN, "s", turn_start("c2")) == (2, True)
        assert [c["id"] for c in await runner.hear_commands(2)] == ["c1", "c2"]


async def test_an_answer_says_when_and_from_whom_it_came() -> None:
    """`received_at` and `by` are the gateway's, whatever the client wrote."""
    now = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
    async with bench(wall_clock=lambda: now) as gateway:
        runner = gateway.dial()
        await runner.greet()
        answer = {"type": "request.answer", "id": "a", "request": "q", "answer": True}
        await gateway.core.submit_command(
            ADMIN, "s", answer | {"received_at": "1999-01-01T00:00:00Z", "by": "nobody"}
        )
        (command,) = await runner.hear_commands(1)
        assert command["received_at"] == "2026-11-21T12:00:00.000+00:00"
        assert command["by"] == "ada"


async def test_a_secret_is_passed_on_and_never_stored() -> None:
    """It needs a connected runner, has no number, and leaves nothing in the store."""
    secret = {"type": "secret.add", "name": "KEY", "value": "hush-hush"}
    async with bench() as gateway:
        with pytest.raises(NotConnectedError):
            await gateway.core.submit_command(ADMIN, "s", secret)
        runner = gateway.dial()
        await runner.greet()
        assert await gateway.core.submit_command(ADMIN, "s", secret) == (0, True)
        assert await runner.hear_commands(1) == [secret]
        assert await gateway.core.store.commands_after(KEY, 0, limit=9) == []


async def test_an_unknown_command_is_carried_through() -> None:
    """The runner answers it; the gateway only numbers it."""
    async with bench() as gateway:
        runner = gateway.dial()
        await runner.greet()
        await gateway.core.submit_command(ADMIN, "s", {"type": "x.y", "id": "u", "z": [1]})
        (command,) = await runner.hear_commands(1)
        assert command == {"type": "x.y", "id": "u", "seq": 1, "by": "ada", "z": [1]}


@pytest.mark.parametrize(
    "command",
    [
        {},
        {"type": 7, "id": "c"},
        {"type": "turn.start", "content": "no id"},
        {"type": "turn.start", "id": "", "content": "x"},
        {"type": "turn.start", "id": "with space", "content": "x"},
        {"type": "turn.start", "id": "no-content"},
        {"type": "x.y"},
        turn_start("large", content="x" * MAX_COMMAND_BYTES),
    ],
)
async def test_a_wrong_command_is_refused(command: dict[str, Any]) -> None:
    """With its number untouched."""
    async with bench() as gateway:
        with pytest.raises(InvalidInputError):
            await gateway.core.submit_command(ADMIN, "s", command)
        assert (await gateway.core.session(ADMIN, "s")).last_command == 0
