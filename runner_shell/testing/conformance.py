"""The adapter contract as a pytest suite: subclass it, say how your adapter plays each scenario.

```python
from runner_shell.testing.conformance import AdapterConformance


class TestMyAdapter(AdapterConformance):
    adapter = MyAdapter
    environment = {"MY_MODEL": "fake"}
    says = "hello"
    runs_long = "count to a million"
```

The tests are plain functions, so that no plug-in is needed, and run the adapter in a real shell,
joined to a gateway in memory. A scenario that is None has no tests: they are taken out of the
subclass, so that pytest neither collects nor skips them.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from ..adapter import discovery
from ..adapter.contract import Adapter, Capabilities, Ending
from ..adapter.settings import AdapterSettings
from ..adapter.turn import Turn
from ..errors import ConfigurationError, RemoteProtocolError
from ..protocol import codec
from ..protocol.catalogue import COMMANDS, RESERVED_COMMANDS
from ..protocol.events import JSON, Event, UnknownEvent
from .hosting import HostedSession, host
from .order import Finding, StoredFields, check_order

__all__ = [
    "AdapterConformance",
    "ContractBroken",
    "Finding",
    "Played",
    "check_complaints",
    "check_events",
    "check_order",
    "check_valid",
]

SETTLE_SECONDS = 2.0
"""How long threads, tasks and processes may take to go after the session's end."""

BEGIN_SECONDS = 1.0
"""How long a long turn has to emit something before it is interrupted."""

_NAME = re.compile(r"[a-z][a-z0-9_-]*")

_SHELLS = ("turn.", "session.", "command.", "request.", "gap")


class ContractBroken(pytest.fail.Exception):  # type: ignore[misc,name-defined] # untyped
    """A test of the suite found something; pytest shows the findings without a traceback.

    Attributes:
        findings: What was found, each once.
    """

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        super().__init__("\n\n".join(map(str, findings)), pytrace=False)


Scenario = Callable[[HostedSession], Awaitable[None]]
Leftovers = dict[str, set[str]]


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


class AdapterConformance:
    """Checks an adapter against the contract.

    Attributes:
        adapter: The class, or a function without parameters that makes one.
        environment: What the class's settings are read from.
        says: A prompt; the turn says some text and completes.
        runs_long: A prompt; the turn lasts until it is interrupted.
        asks: A prompt; the turn asks exactly one question and completes once it is answered.
        answer: The answer to that question.
        fails: A prompt; the turn fails as the framework's turns do.
        uses_tool: A prompt; the turn calls at least one tool and completes.
        entry_point: The name under which the adapter is installed, where it claims one.
        interrupt_seconds: Within this a turn ends after an interrupt.
    """

    adapter: ClassVar[Any]
    environment: ClassVar[Mapping[str, str]] = {}
    says: ClassVar[str]
    runs_long: ClassVar[str | None] = None
    asks: ClassVar[str | None] = None
    answer: ClassVar[JSON] = "yes"
    fails: ClassVar[str | None] = None
    uses_tool: ClassVar[str | None] = None
    entry_point: ClassVar[str | None] = None
    interrupt_seconds: ClassVar[float] = 5.0

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Take out the tests of scenarios that are None, and put back those of the others."""
        super().__init_subclass__(**kwargs)
        for scenario, tests in SCENARIO_TESTS.items():
            for test in tests:
                if getattr(cls, scenario) is None:
                    setattr(cls, test, None)
                elif getattr(cls, test) is None:
                    setattr(cls, test, getattr(AdapterConformance, test))

    # --- what it is --------------------------------------------------------------------------

    def test_name_and_capabilities_are_sane(self) -> None:
        """`name` is a lower-case word; every command it claims is one that exists."""
        adapter: Any = self._make()  # not what the types say, if it is wrong
        findings = []
        name = getattr(adapter, "name", None)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            findings.append(
                Finding(
                    rule="name",
                    contract="`name` is a lower-case word of letters, digits, `-` and `_`",
                    happened=f"it is {name!r}",
                    fix='set `name: ClassVar[str] = "my-framework"` in the class',
                )
            )
        capabilities = adapter.capabilities
        if not isinstance(capabilities, Capabilities):
            findings.append(_wrong_capabilities(f"it is {type(capabilities).__name__}"))
        elif unknown := capabilities.commands - {*COMMANDS, *RESERVED_COMMANDS}:
            findings.append(_wrong_capabilities(f"no commands: {', '.join(sorted(unknown))}"))
        _report(findings)

    def test_settings_come_from_the_environment(self) -> None:
        """`Settings` is a subclass of `AdapterSettings` that `environment` fills."""
        settings: Any = self._make().Settings
        happened = ""
        if not (isinstance(settings, type) and issubclass(settings, AdapterSettings)):
            happened = f"it is {settings!r}"
        else:
            try:
                settings.from_environment(self.environment)
            except ConfigurationError as error:
                happened = f"the suite's `environment` does not fill it: {error}"
        if happened:
            _report(
                [
                    Finding(
                        rule="settings",
                        contract="`Settings` subclasses `AdapterSettings`, filled from variables",
                        happened=happened,
                        fix="declare the fields there, and give the suite what they need",
                    )
                ]
            )

    def test_it_is_found_by_its_entry_point(self) -> None:
        """`runner-shell run --adapter NAME` finds this class."""
        assert self.entry_point is not None, "without a name this test is taken out"
        try:
            found = discovery.load(self.entry_point)
        except ConfigurationError as error:
            happened = str(error)
        else:
            if isinstance(self._make(), found):
                return
            happened = f"{self.entry_point!r} is {found.__module__}.{found.__qualname__}"
        fix = f'add `{self.entry_point} = "package.module:Class"` to the group and install again'
        _report(
            [
                Finding(
                    rule="entry_point",
                    contract=f"adapters are found by the entry-point group {discovery.GROUP!r}",
                    happened=happened,
                    fix=fix,
                )
            ]
        )

    # --- a turn ------------------------------------------------------------------------------

    def test_it_opens_and_closes_without_a_turn(self) -> None:
        """A session that never gets a message ends in order."""

        async def scenario(session: HostedSession) -> None:
            await session.wait_for("session.started")
            await session.send("session.end")
            await session.end()

        _report(self._play(scenario, interactive=True).findings)

    def test_a_turn_completes(self) -> None:
        """`says` gives some text, one ending, `completed`, and the exit code 0."""
        played = self._play(_to_its_end, prompt=self.says)
        findings = played.findings
        findings += _expect_outcome(played, "completed", "says")
        if not any(event["text"] for event in played.of_type("block.delta")):
            findings.append(
                Finding(
                    rule="says",
                    contract="what the agent says is streamed as text blocks of a message",
                    happened=f"no text came: {_types(played.events)}",
                    fix="write to `async with turn.message(id)`, or give another prompt as `says`",
                )
            )
        _report(findings)

    def test_turns_follow_each_other(self) -> None:
        """A second turn in the same process is as good as the first."""

        async def scenario(session: HostedSession) -> None:
            await self._complete_another(session, 1, send=False)
            await self._complete_another(session, 2)

        _report(self._play(scenario, prompt=self.says, interactive=True).findings)

    def test_a_tool_call_is_shown(self) -> None:
        """`uses_tool` gives a start and an ending for each call, and completes."""
        played = self._play(_to_its_end, prompt=self.uses_tool or "")
        findings = played.findings + _expect_outcome(played, "completed", "uses_tool")
        if not played.of_type("tool.finished"):
            findings.append(
                Finding(
                    rule="uses_tool",
                    contract="every tool call is told by `tool.started` and `tool.finished`",
                    happened=f"none came: {_types(played.events)}",
                    fix="emit both around the call, under the framework's own id of it",
                )
            )
        _report(findings)

    # --- interrupts --------------------------------------------------------------------------

    def test_an_interrupt_ends_the_turn_in_time(self) -> None:
        """`turn.interrupt` ends `runs_long` within `interrupt_seconds`; the next turn works."""
        _report(self._play(self._interrupted, prompt=self.runs_long, interactive=True).findings)

    def test_cancellation_is_passed_on(self) -> None:
        """Cancelled without being told, `runs_long` ends too; the next turn works."""
        played = self._play(
            self._interrupted, prompt=self.runs_long, interactive=True, tell_interrupts=False
        )
        _report(played.findings)

    def test_a_stop_ends_the_session_in_time(self) -> None:
        """`session.stop` in the middle of `runs_long` gives one true ending and the code 130."""

        async def scenario(session: HostedSession) -> None:
            await _begun(session)
            await session.send("session.stop")
            await session.end()

        played = self._play(scenario, prompt=self.runs_long)
        _report(played.findings + _expect_outcome(played, "stopped", "runs_long", exit_code=130))

    def test_a_message_during_a_turn_is_folded_in_or_queued(self) -> None:
        """It never vanishes and never runs twice: the reply says where it went, and it holds."""
        can = bool(self._make().capabilities.inject)

        async def scenario(session: HostedSession) -> None:
            await _begun(session)
            id = await session.send("turn.start", content=self.says)
            reply = await session.wait_for("command.done", command=id)
            folded = reply.get("result") is not None
            assert can or not folded, "a message was folded in without the capability `inject`"
            await self._interrupt(session, ("interrupted",))
            if folded:
                await session.send("turn.start", content=self.says)
            finished = await session.wait_for("turn.finished", 2)
            assert finished["outcome"] == "completed", f"the next turn is {_ending(finished)}"
            await session.send("session.end")
            await session.end()
            begun = [turn.get("command") for turn in session.of_type("turn.started")]
            assert begun.count(id) == (not folded), f"the turns were begun by {begun}"

        _report(self._play(scenario, prompt=self.runs_long, interactive=True).findings)

    # --- failures ----------------------------------------------------------------------------

    def test_a_failure_is_told_as_one(self) -> None:
        """`fails` gives an `error` event with a code, the outcome `failed`, and the exit code 1."""
        played = self._play(_to_its_end, prompt=self.fails, may_fail=True)
        findings = played.findings + _expect_outcome(played, "failed", "fails", exit_code=1)
        if not any(event["code"] for event in played.of_type("error")):
            findings.append(
                Finding(
                    rule="error",
                    contract="a failing turn says why in an `error` event with a code",
                    happened=f"none came: {_types(played.events)}",
                    fix="raise `AgentFailed(message, code=…)`, or emit `Error` before the ending",
                )
            )
        _report(findings)

    def test_it_works_again_after_a_failure(self) -> None:
        """The turn after `fails` completes in the same process."""

        async def scenario(session: HostedSession) -> None:
            await session.wait_for("turn.finished")
            await self._complete_another(session, 2)

        played = self._play(scenario, prompt=self.fails, interactive=True, may_fail=True)
        _report(played.findings)

    # --- questions ---------------------------------------------------------------------------

    def test_an_answered_question_lets_the_turn_complete(self) -> None:
        """`asks` opens one request; once it is answered the work completes."""

        async def scenario(session: HostedSession) -> None:
            await self._answer(session)
            await session.end()

        played = self._play(scenario, prompt=self.asks)
        findings = played.findings + _expect_outcome(played, "completed", "asks")
        closed = [event["how"] for event in played.of_type("request.closed")]
        if closed != ["answered"]:
            findings.append(
                Finding(
                    rule="asks",
                    contract="asking again under the same key never asks a person twice",
                    happened=f"the requests were closed so: {closed}",
                    fix="give `session.ask` the framework's own id of the question as its key",
                )
            )
        _report(findings)

    def test_a_question_is_closed_when_its_turn_is_interrupted(self) -> None:
        """An interrupt while `asks` waits closes the request or ends the turn `waiting`."""

        async def scenario(session: HostedSession) -> None:
            await session.wait_for("request.opened")
            await self._interrupt(session, ("interrupted", "waiting"))

        _report(self._play(scenario, prompt=self.asks, interactive=True).findings)

    def test_a_question_is_deferred_or_held(self) -> None:
        """With `defer` a turn ends `waiting` and goes on with the answer; without, it holds on."""

        async def scenario(session: HostedSession) -> None:
            opened = await session.wait_for("request.opened")
            if opened.get("deferrable"):
                await session.wait_for("turn.finished", outcome="waiting")
            await self._answer(session)
            await session.end()

        played = self._play(scenario, prompt=self.asks, defer_seconds=0.05)
        findings = played.findings + _expect_outcome(played, "completed", "asks")
        if any(event.get("deferrable") for event in played.of_type("request.opened")) != bool(
            self._make().capabilities.defer
        ):
            findings.append(_wrong_capabilities("`defer` and the question do not agree"))
        _report(findings)

    # --- what stays --------------------------------------------------------------------------

    def test_nothing_is_left_running(self) -> None:
        """No thread, task or child process outlives a session, however its turn ended."""
        prompts = [prompt for prompt in (self.says, self.runs_long) if prompt is not None]
        self._play_all(prompts)  # what a framework keeps for the whole process begins here
        before = _running()
        findings = self._play_all(prompts)
        deadline = time.monotonic() + SETTLE_SECONDS
        while (left := _more(before, _running())) and time.monotonic() < deadline:
            time.sleep(0.02)
        findings += [
            Finding(
                rule="left_running",
                contract="`close` lets everything go: threads, tasks and child processes",
                happened=f"after the session a {what} was left: {name}",
                fix="end it in `close`, or at the end of the turn that started it",
            )
            for what, names in left.items()
            for name in sorted(names)
        ]
        _report(findings)

    # --- how ---------------------------------------------------------------------------------

    def _make(self) -> Adapter:
        adapter = type(self).adapter
        if isinstance(adapter, type) and issubclass(adapter, Adapter):
            return adapter(adapter.Settings.from_environment(self.environment))
        made = adapter()
        assert isinstance(made, Adapter), f"`adapter` made {type(made).__name__}, not an Adapter"
        return made

    def _play_all(self, prompts: list[str]) -> list[Finding]:
        async def scenario(session: HostedSession) -> None:
            await _begun(session)

        return [finding for prompt in prompts for finding in self._play(scenario, prompt).findings]

    def _play(
        self,
        scenario: Scenario,
        prompt: str | None = "",
        *,
        may_fail: bool = False,
        tell_interrupts: bool = True,
        **settings: Any,
    ) -> Played:
        """Host a session, let the scenario act on it, and check everything that was stored."""
        probe = _Probe(tell_interrupts=tell_interrupts)

        async def play() -> Played:
            findings: list[Finding] = []
            async with host(
                lambda: probe.around(self._make()),
                prompt=prompt or "",
                **({"grace_seconds": self.interrupt_seconds} | settings),
            ) as session:
                try:
                    await scenario(session)
                except (AssertionError, TimeoutError) as error:
                    findings.append(_did_not_happen(error))
            verdict = await session.end()
            events = session.events
            found = check_events(events, may_fail=may_fail) + probe.findings + findings
            return Played(events=events, exit_code=verdict.exit_code, findings=found)

        return asyncio.run(play())

    async def _complete_another(
        self, session: HostedSession, count: int, *, send: bool = True
    ) -> None:
        if send:
            await session.send("turn.start", content=self.says)
        finished = await session.wait_for("turn.finished", count)
        assert finished["outcome"] == "completed", f"turn {count} is {_ending(finished)}"

    async def _answer(self, session: HostedSession) -> None:
        request = await session.wait_for("request.opened")
        await session.send("request.answer", request=request["id"], answer=self.answer)

    async def _interrupted(self, session: HostedSession) -> None:
        await _begun(session)
        await self._interrupt(session, ("interrupted",))
        await self._complete_another(session, 2)

    async def _interrupt(self, session: HostedSession, outcomes: tuple[str, ...]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await session.send("turn.interrupt", reason="the suite interrupts")
        finished = await session.wait_for("turn.finished")
        seconds = loop.time() - began
        assert finished["outcome"] in outcomes, f"the interrupted turn is {_ending(finished)}"
        assert seconds <= self.interrupt_seconds, (
            f"the turn ended {seconds:.1f} s after the interrupt; "
            f"{self.interrupt_seconds:g} s are allowed"
        )


SCENARIO_TESTS = {
    "runs_long": (
        "test_an_interrupt_ends_the_turn_in_time",
        "test_cancellation_is_passed_on",
        "test_a_stop_ends_the_session_in_time",
        "test_a_message_during_a_turn_is_folded_in_or_queued",
    ),
    "asks": (
        "test_an_answered_question_lets_the_turn_complete",
        "test_a_question_is_closed_when_its_turn_is_interrupted",
        "test_a_question_is_deferred_or_held",
    ),
    "fails": ("test_a_failure_is_told_as_one", "test_it_works_again_after_a_failure"),
    "uses_tool": ("test_a_tool_call_is_shown",),
    "entry_point": ("test_it_is_found_by_its_entry_point",),
}
"""The tests that each scenario is needed for."""


class _Probe:
    """Watches one adapter from inside: emits after the ending, tasks that outlive `close`."""

    def __init__(self, *, tell_interrupts: bool) -> None:
        self.findings: list[Finding] = []
        self._tell_interrupts = tell_interrupts

    def around(self, adapter: Adapter) -> Adapter:
        run, close = adapter.turn, adapter.close

        async def watched_turn(turn: Turn) -> Ending:
            self._watch(turn)
            try:
                return await run(turn)
            finally:
                over.add(turn.id)

        async def watched_close() -> None:
            await close()
            await self._look_for_tasks()

        async def untold(reason: str) -> bool:
            return False

        over: set[str] = set()
        self._over = over
        # Set on the instance, so that the class under test stays as it is.
        vars(adapter).update(turn=watched_turn, close=watched_close)
        if not self._tell_interrupts:
            vars(adapter).update(interrupt=untold)
        return adapter

    def _watch(self, turn: Turn) -> None:
        emit = turn.emit

        def watched_emit(event: Event | UnknownEvent) -> Awaitable[None]:
            if turn.id in self._over:
                self.findings.append(
                    Finding(
                        rule="after_end",
                        contract="nothing is emitted after the turn's ending",
                        happened=f"{type(event).__name__} was emitted after `turn()` had returned",
                        fix="await or cancel every task that emits before `turn()` returns",
                    )
                )
            return emit(event)

        vars(turn).update(emit=watched_emit)

    async def _look_for_tasks(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            _, left = await asyncio.wait(left, timeout=SETTLE_SECONDS / 2)
        for task in left:
            self.findings.append(
                Finding(
                    rule="left_running",
                    contract="`close` lets everything go: threads, tasks and child processes",
                    happened=f"a task was still running after `close`: {task.get_coro()!r}",
                    fix="cancel and await it in `close`, or give it to a TaskGroup of the turn",
                )
            )


# --- checks ----------------------------------------------------------------------------------


def check_events(events: list[dict[str, JSON]], *, may_fail: bool = False) -> list[Finding]:
    """All checks of stored events: validity, order, and what the shell complained of."""
    return check_valid(events) + check_order(events) + check_complaints(events, may_fail=may_fail)


def check_valid(events: Iterable[StoredFields]) -> list[Finding]:
    """Every event is JSON that its type's struct takes."""
    findings = []
    for event in events:
        try:
            codec.decode_event(msgspec.json.encode(event))
        except (RemoteProtocolError, TypeError) as error:
            findings.append(
                Finding(
                    rule="invalid",
                    contract="every event is JSON that its type's schema takes",
                    happened=f"event {event.get('seq')}: {error}",
                    fix="build it from the structs in `runner_shell.events`",
                )
            )
    return findings


_COMPLAINTS = {
    "adapter_order": (
        "every start has one ending, in order, without the shell's repair",
        "emit the start first and each ending once, or use `async with turn.message(…)`",
    ),
    "invalid_event": (
        "events are of the vocabulary, valid, and not the shell's own",
        "build them from the structs in `runner_shell.events`; the shell starts and ends turns",
    ),
    "left_open": (
        "returning with something still open is a failure",
        "emit the ending in a `finally`, or use `async with turn.message(…)`",
    ),
    "no_ending": (
        "`turn()` returns an `Ending`",
        'end every path of `turn()` with `return Ending("completed")` or another outcome',
    ),
    "waits_for_nothing": (
        '`Ending("waiting")` is for turns with an open question',
        "return it only after `session.ask(…, may_defer=True)` gave None",
    ),
    "adapter_stuck": (
        "an interrupt or, failing that, a cancellation ends the turn within the grace",
        "let `CancelledError` pass; do not block the thread; stop the framework in `interrupt`",
    ),
    "adapter_raised": (
        "what fails in the framework is mapped to an error with a code of its own",
        "catch the framework's errors and raise `AgentFailed(message, code=…)`",
    ),
    "adapter_start": (
        "`open` succeeds, or raises `ConfigurationError` with what is to be mended",
        "mend it, or give the suite the `environment` that the adapter needs",
    ),
    "configuration": (
        "`open` succeeds with the suite's `environment`",
        "give the suite the `environment` that the adapter needs",
    ),
    "close_raised": (
        "`close` may follow a half-done `open` or `turn`, and does not raise",
        "begin with attributes that are None, and let go only of what is there",
    ),
    "close_slow": (
        "`close` returns within the grace",
        "cancel what it waits for, and bound its own awaits",
    ),
}


def check_complaints(events: Iterable[StoredFields], *, may_fail: bool = False) -> list[Finding]:
    """What the shell complained of, as findings.

    Args:
        events: Stored events.
        may_fail: Errors are expected; those of the adapter's own making still count.
    """
    findings = []
    for event in events:
        if event["type"] not in ("warning", "error"):
            continue
        code, message = str(event["code"]), str(event.get("message", ""))
        if code in _COMPLAINTS:
            contract, fix = _COMPLAINTS[code]
            findings.append(Finding(rule=code, contract=contract, happened=message, fix=fix))
        elif event["type"] == "error" and not may_fail:
            findings.append(
                Finding(
                    rule="error",
                    contract="only the scenario `fails` fails",
                    happened=f"{code}: {message}",
                    fix="mend it, or give the suite another prompt for this scenario",
                )
            )
    return findings


def _expect_outcome(
    played: Played, outcome: str, scenario: str, *, exit_code: int = 0
) -> list[Finding]:
    endings = played.of_type("turn.finished", "session.finished")
    found = [_ending(event) for event in endings]
    fits = len(endings) > 1 and all(event["outcome"] == outcome for event in endings[-2:])
    if fits and played.exit_code == exit_code:
        return []
    return [
        Finding(
            rule="outcome",
            contract=f"`{scenario}` ends {outcome!r}, and the process exits with {exit_code}",
            happened=f"{found}, exit code {played.exit_code}",
            fix="return the honest Ending, or give the suite another prompt for this scenario",
        )
    ]


def _wrong_capabilities(happened: str) -> Finding:
    return Finding(
        rule="capabilities",
        contract="`capabilities` says truly what the adapter can do",
        happened=happened,
        fix="declare `capabilities: ClassVar[Capabilities]`; commands are types of the protocol",
    )


def _did_not_happen(error: BaseException) -> Finding:
    return Finding(
        rule="scenario",
        contract="the scenario takes its course",
        happened=str(error) or type(error).__name__,
        fix="see the other findings first; else give the suite another prompt for this scenario",
    )


async def _to_its_end(session: HostedSession) -> None:
    await session.end()


async def _begun(session: HostedSession) -> None:
    """The turn runs, and has emitted something if it ever does."""
    await session.wait_for("turn.started")
    loop = asyncio.get_running_loop()
    deadline = loop.time() + BEGIN_SECONDS
    while loop.time() < deadline:
        if any(not kind.startswith(_SHELLS) for kind in session.types()[1:]):
            return
        if session.of_type("turn.finished"):
            return
        await asyncio.sleep(0.01)


def _report(findings: list[Finding]) -> None:
    if findings:
        raise ContractBroken(list(dict.fromkeys(findings)))


def _types(events: list[dict[str, JSON]]) -> list[str]:
    return [str(event["type"]) for event in events]


def _ending(finished: StoredFields) -> str:
    reason = finished.get("reason")
    return f"{finished['outcome']}{f' ({reason})' if reason else ''}"


# --- what runs -------------------------------------------------------------------------------


def _running() -> Leftovers:
    threads = {f"{thread.name} ({thread.ident})" for thread in threading.enumerate()}
    return {"thread": threads, "child process": _children()}


def _more(before: Leftovers, after: Leftovers) -> Leftovers:
    more = {what: names - before[what] for what, names in after.items()}
    return {what: names for what, names in more.items() if names}


def _children() -> set[str]:
    """Child processes that run; only where `/proc` tells (Linux)."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, tail = stat.read_text().rpartition(")")
        except OSError:
            continue  # it is gone already
        state, parent = tail.split()[:2]
        if int(parent) == os.getpid() and state != "Z":
            found.add(f"{head.partition('(')[2]} (pid {stat.parent.name})")
    return found
