"""A session that is played: what a scenario does in it, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from ...adapter.contract import Adapter
from ...protocol.events import JSON
from ..hosting import HostedSession, host
from ..order import Finding
from .findings import did_not_happen, ending
from .probe import Probe
from .stored import check_events

BEGIN_SECONDS = 1.0
"""How long a long turn has to emit something before it is interrupted."""

Scenario = Callable[[HostedSession], Awaitable[None]]

_SHELLS = ("turn.", "session.", "command.", "request.", "gap")


class Played(msgspec.Struct):
    """What came of a session.

    Attributes:
        events: All that was stored, as plain objects.
        exit_code: What the process would have exited with.
        findings: Every broken promise.
    """

    events: list[dict[str, JSON]]
    exit_code: int
    findings: list[Finding]

    def of_type(self, *types: str) -> list[dict[str, JSON]]:
        """The events of these types."""
        return [event for event in self.events if event["type"] in types]


def play(
    make: Callable[[], Adapter],
    scenario: Scenario,
    *,
    may_fail: bool = False,
    tell_interrupts: bool = True,
    **hosting: Any,
) -> Played:
    """Host a session, let the scenario act on it, and check everything that was stored.

    Args:
        make: Makes the adapter.
        scenario: What a person does; the session's own end is waited for behind it.
        may_fail: Errors are expected.
        tell_interrupts: False: the adapter is not told of interrupts, only cancelled.
        hosting: What `host` takes besides.
    """
    return asyncio.run(
        _play(make, scenario, may_fail, Probe(tell_interrupts=tell_interrupts), hosting)
    )


async def _play(
    make: Callable[[], Adapter],
    scenario: Scenario,
    may_fail: bool,
    probe: Probe,
    hosting: dict[str, Any],
) -> Played:
    findings: list[Finding] = []
    async with host(lambda: probe.around(make()), **hosting) as session:
        try:
            await scenario(session)
        except (AssertionError, TimeoutError) as error:
            findings.append(did_not_happen(error))
    verdict = await session.end()
    events = session.events
    found = check_events(events, may_fail=may_fail) + probe.findings + findings
    return Played(events=events, exit_code=verdict.exit_code, findings=found)


# --- what a person does ----------------------------------------------------------------------


async def to_its_end(session: HostedSession) -> None:
    """Only look on."""
    await session.end()


async def begun(session: HostedSession) -> None:
    """Wait until the turn runs, and has emitted something if it ever does."""
    await session.wait_for("turn.started")
    loop = asyncio.get_running_loop()
    deadline = loop.time() + BEGIN_SECONDS
    while loop.time() < deadline:
        if any(not kind.startswith(_SHELLS) for kind in session.types()[1:]):
            return
        if session.of_type("turn.finished"):
            return
        await asyncio.sleep(0.01)


async def completed(session: HostedSession, count: int) -> None:
    """Wait for the `count`th turn's ending, which must be `completed`."""
    finished = await session.wait_for("turn.finished", count)
    assert finished["outcome"] == "completed", f"turn {count} is {ending(finished)}"


async def complete_another(session: HostedSession, prompt: str, count: int) -> None:
    """Begin the `count`th turn, which must complete."""
    await session.send("turn.start", content=prompt)
    await completed(session, count)


async def answer(session: HostedSession, given: JSON) -> None:
    """Answer the first question that is asked."""
    request = await session.wait_for("request.opened")
    await session.send("request.answer", request=request["id"], answer=given)


async def interrupt(session: HostedSession, outcomes: tuple[str, ...], *, within: float) -> None:
    """Interrupt the turn, which must end with one of these outcomes within so many seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await session.send("turn.interrupt", reason="the suite interrupts")
    finished = await session.wait_for("turn.finished")
    seconds = loop.time() - began
    assert finished["outcome"] in outcomes, f"the interrupted turn is {ending(finished)}"
    assert seconds <= within, (
        f"the turn ended {seconds:.1f} s after the interrupt; {within:g} s are allowed"
    )
