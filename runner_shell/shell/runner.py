"""One runner: the lifecycle of a session in a process.

Start: hello, then the adapter's import while the socket waits, then `session.started`. Then turns,
one at a time. The end: `session.finished`, everything acknowledged within the grace, and a verdict.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ..adapter.contract import (
    Adapter,
    Capabilities,
    Continue,
    Ending,
    UserMessage,
)
from ..control.status import Status
from ..errors import ConfigurationError, JournalBroken, RemoteProtocolError
from ..journal import INITIAL, CutTurn, Journal, MemoryJournal, Recovered
from ..journal.recovery import KnownRequest, summed
from ..link.effects import (
    Acknowledged,
    CommandReceived,
    GaveUp,
    RunnerEffect,
    SecretReceived,
    Welcomed,
)
from ..link.runner import LinkSettings, RunnerLink
from ..link.states import RunnerState
from ..protocol import codec
from ..protocol.commands import (
    Command,
    ReservedCommand,
    SecretAdd,
    SessionStop,
    TurnStart,
)
from ..protocol.events import (
    JSON,
    Error,
    Event,
    Gap,
    RequestOpened,
    SessionFinished,
    SessionSaved,
    SessionStarted,
    Usage,
    Warning_,
)
from ..redaction import Redactor, SecretRegistry
from ..transport.driver import Dial, LinkDriver
from . import outcome as outcomes
from .commands import CommandDesk, stopped_by
from .crossing import Pressure
from .host import (
    AdapterHost,
    Asked,
    Emitted,
    FromAdapter,
    Saved,
    Withdrawn,
    Woken,
)
from .known_secrets import warning_of
from .outcome import Termination, Verdict, goes_on
from .outlet import Outlet, Tap
from .restart import Policy, Restart
from .safeguard import Safeguard
from .turns import Turns, Work

if TYPE_CHECKING:  # imported where they are made, while the socket waits
    from ..adapter.session import Answer, Session
    from .known_secrets import OwnRules
    from .requests import RequestBook

log = logging.getLogger("runner_shell")

BACKPRESSURE = "backpressure"
"""Why a turn is interrupted whose events the gateway does not take."""


class RunnerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one runner needs to know; seconds throughout, None for never.

    Attributes:
        session: Id of the session.
        instance: Random id of this process.
        adapter: The adapter's name.
        workspace: The agent's working directory.
        framework_dir: Private directory for the framework's files.
        prompt: The first message, or empty.
        interactive: Whether to wait for messages after the first turn.
        timeout_seconds: What the process may take in all.
        idle_seconds: How long to wait without work.
        defer_seconds: How long a question that can be deferred holds its turn.
        grace_seconds: From the order to stop to the end.
        connect_seconds: How long to wait for the first welcome.
        announce_seconds: How long `session.started` waits for what an open adapter says of itself.
        resume: What to do with a turn that was cut off; None: go on if the adapter can.
        high_mark_bytes: Unacknowledged bytes from which on deltas merge and awaited emits wait,
            down to half of it.
        journal_limit_bytes: Unacknowledged bytes at which a running turn is interrupted.
        warnings: Sentences to say at the start, by code.
        version: The shell's version.
    """

    session: str
    instance: str
    adapter: str
    workspace: Path
    framework_dir: Path
    prompt: str = ""
    interactive: bool = False
    timeout_seconds: float | None = None
    idle_seconds: float | None = None
    defer_seconds: float = 60.0
    grace_seconds: float = 10.0
    connect_seconds: float = 60.0
    announce_seconds: float = 10.0
    resume: Policy | None = None
    high_mark_bytes: int = 16 * 1024 * 1024
    journal_limit_bytes: int = 64 * 1024 * 1024
    warnings: tuple[tuple[str, str], ...] = ()
    version: str = ""


class Runner:
    """Runs one session in this process; construct it on the loop that runs it.

    Args:
        settings: What to run.
        make_adapter: Imports and constructs the adapter; called in the adapter's thread.
        dial: Opens a connection to the gateway.
        registry: The secrets that are known.
        taps: Called with each event as it is stored.
        journal: Where events are kept until they are acknowledged.
        find_rules: Looks for redaction rules; called in the adapter's thread. Without it the
            package's own apply.
    """

    def __init__(
        self,
        settings: RunnerSettings,
        make_adapter: Callable[[], Adapter],
        dial: Dial,
        *,
        registry: SecretRegistry | None = None,
        taps: tuple[Tap, ...] = (),
        journal: Journal | None = None,
        find_rules: Callable[[], OwnRules] | None = None,
    ) -> None:
        self.settings = settings
        self._make_adapter = make_adapter
        self._loop = asyncio.get_running_loop()
        self._journal: Journal = journal or MemoryJournal()
        self._restart = Restart(self._journal, settings.resume)
        self._registry = registry if registry is not None else SecretRegistry()
        self._guard = Safeguard(Redactor(self._registry))
        self._find_rules = find_rules
        self._rules: OwnRules | None = None
        self._link = _link(settings, self._journal)
        self._driver = LinkDriver(self._link, dial, self._on_effect, before_send=self._flush)
        self._outlet = Outlet(
            self._link,
            self._journal,
            self._guard,
            kick=self._on_news,
            now=self._loop.time,
            later=self._loop.call_later,
        )
        self._outlet.taps.extend(taps)
        high = min(settings.high_mark_bytes, settings.journal_limit_bytes // 2)
        self._pressure = Pressure(high_bytes=high, low_bytes=high // 2)
        self._host = AdapterHost(
            self._on_adapter, self._pressure, self._feel_pressure, self._registry
        )
        self._welcome: asyncio.Future[Welcomed] = self._loop.create_future()
        self._verdict: asyncio.Future[Verdict] = self._loop.create_future()
        self._queue: deque[Work] = deque()
        self._news = asyncio.Event()
        self._settled = asyncio.Event()
        self._ending_asked = False
        self._turn_count = 0
        self._last_ending: Ending | None = None
        self._session: Session | None = None
        self._usage: Usage | None = self._restart.found.usage
        self._started_at = self._loop.time()
        self._grace_until: float | None = None
        self._early: list[CommandReceived] = []
        self._ready = False
        self._held: list[FromAdapter] = []
        self._opening = False
        self._announced = False
        self._working = False
        self._finishing = False
        # Where an ending is only flushed, commands are left to a process that carries them out.
        self._finished = self._restart.recorded is not None
        self._link_over = False
        self._fenced = False
        self._policy: Policy = "fail"
        self._turns = Turns(
            self._host,
            self._outlet,
            self._pressure,
            stopped=self._verdict,
            share=self._share,
            durable=self._journal.durable,
            complain=self._log_traceback,
            commit=self.commit,
            cut_off=self._journal.resume,
        )
        self.requests: RequestBook
        self.desk = CommandDesk(self)

    # --- orders from outside -----------------------------------------------------------------

    @property
    def turn(self) -> str:
        """Id of the running turn, or empty."""
        return self._turns.current

    @property
    def ending(self) -> bool:
        """Whether the session is on its way out and begins nothing new."""
        return self._finishing or self._verdict.done()

    @property
    def ready(self) -> bool:
        """Whether the session is started and events may be said."""
        return self._ready

    def interrupt(self, reason: str) -> bool:
        """End the running turn soon; False where none runs."""
        return self._turns.interrupt(reason)

    def stop(self, verdict: Verdict) -> None:
        """End the session now, with this verdict; the first order counts."""
        if not self._verdict.done():
            self._grace_until = self._loop.time() + self.settings.grace_seconds
            self._verdict.set_result(verdict)
            self._news.set()

    def end_after_work(self) -> None:
        """End the session when the queued turns are done."""
        self._ending_asked = True
        self._news.set()

    def enqueue(self, work: Work) -> None:
        """Run a turn when its time comes."""
        self._queue.append(work)
        self._news.set()

    def say(self, event: Event) -> None:
        """An event of the shell's own, in the running turn if there is one."""
        if self._opening:
            self._announce()
        self._outlet.say(event, self._turns.current)

    def status(self) -> Status:
        """How it stands now, for whoever asks from outside."""
        link, welcomed = self._link, self._link.epoch is not None
        return Status(
            session=self.settings.session,
            instance=self.settings.instance,
            pid=os.getpid(),
            adapter=self._guard.identifier(self.settings.adapter),
            connected=link.state is RunnerState.OPEN,
            link=link.state.value,
            problem=self.redact(self._driver.last_problem),
            epoch=link.epoch,
            last_acked=link.acked if welcomed else None,
            backlog_events=link.backlog,
            backlog_bytes=self._journal.backlog_bytes,
            turn=self.turn,
            queued_turns=len(self._queue),
            ending=self.ending,
            redaction_failures=self._guard.failures,
            redaction_hits=self._guard.hits,
            uptime_seconds=round(self._loop.time() - self._started_at, 3),
        )

    def commit(self) -> bool:
        """Make everything that was said durable; False where that failed and the session ends."""
        try:
            self._flush()
        except JournalBroken as error:
            self._on_broken_journal(str(error))
            return False
        return True

    def begin(self, command: str) -> bool:
        """The effect of a command begins; False where that cannot be kept."""
        self._journal.applying(command)
        return self.commit()

    def redact(self, text: str) -> str:
        """Redact a text that leaves by another way: stderr, the termination log."""
        return self._guard.text(text)

    @property
    def host(self) -> AdapterHost:
        """The adapter's thread."""
        return self._host

    @property
    def capabilities(self) -> Capabilities:
        """What the adapter can do; nothing before it is loaded."""
        adapter = self._host.adapter
        return adapter.capabilities if adapter is not None else Capabilities()

    # --- the life ----------------------------------------------------------------------------

    async def run(self) -> tuple[Verdict, Termination]:
        """Run the session to its end.

        Returns:
            The verdict, and what the termination log is to say.
        """
        carrying = asyncio.create_task(self._carry(), name="link")
        deadline = self._arm_timeout()
        try:
            verdict = await self._live()
        finally:
            if deadline is not None:
                deadline.cancel()
            await self._end_link(carrying)
        if self._fenced:
            self._give_history_up()
        verdict = msgspec.structs.replace(verdict, reason=self.redact(verdict.reason))
        return verdict, Termination(
            outcome=verdict.outcome,
            reason=verdict.reason,
            resumable=self._resumable(verdict),
            last_acked=self._link.acked if self._link.epoch is not None else None,
            cost=self._usage.cost_usd if self._usage is not None else None,
        )

    async def _live(self) -> Verdict:
        await self._first_of(asyncio.create_task(self._driver.greeted.wait()), None)
        if self._restart.recorded is not None:
            verdict = await self._only_flush()
            if verdict is not None:
                return verdict
        self._host.start()
        loading = asyncio.ensure_future(self._host.load(self._load))
        refusal = await self._await_welcome()
        if refusal is not None:
            loading.cancel()
            await self._host.stop(self._share(0.2))
            return refusal
        verdict = await self._start(loading)
        if verdict is None:
            verdict = await self._work()
        return await self._finish(verdict)

    async def _only_flush(self) -> Verdict | None:
        """The process before has said its ending: have it acknowledged, and return its code.

        None where that ending is of a history that was lost: the session goes on without it.
        """
        refusal = await self._await_welcome(takes_over=False)
        if refusal is not None:
            return refusal
        recorded = self._restart.recorded
        return None if recorded is None else await self._acknowledged(recorded)

    def _arm_timeout(self) -> asyncio.TimerHandle | None:
        seconds = self.settings.timeout_seconds
        if seconds is None:
            return None
        verdict = Verdict.of("timed_out", f"the session took longer than {seconds:g} s")
        return self._loop.call_later(seconds, self.stop, verdict)

    async def _await_welcome(self, *, takes_over: bool = True) -> Verdict | None:
        """Source: "nothing is numbered and no turn begins before the first welcome"."""
        seconds = self.settings.connect_seconds
        if await self._first_of(self._welcome, seconds):
            if takes_over:
                self._on_first_welcome(self._welcome.result())
            return None
        if self._verdict.done():
            return self._verdict.result()
        problem = self._driver.last_problem or "it did not answer"
        return Verdict(
            outcome="failed",
            reason=f"no welcome from the gateway within {seconds:g} s: {problem}",
            exit_code=outcomes.TRANSIENT,
        )

    def _on_first_welcome(self, welcome: Welcomed) -> None:
        from .requests import RequestBook

        prefix = f"req-{welcome.epoch}-"
        self.requests = RequestBook(
            self.say,
            self._on_late_answer,
            prefix=prefix,
            defer_seconds=self.settings.defer_seconds,
            commit=self.commit,
            redact=self._guard.payload,
            identify=self._guard.identifier,
            away=lambda: self._link.state is not RunnerState.OPEN,
        )
        self._ready = True
        found = self._restart.found
        if found.owes_gap:
            self._outlet.say(Gap(after=found.next - 1, reason=_why_lost(welcome)))
        self._say_what_is_omitted(welcome)
        self.requests.restore(found.requests.values())
        self._outlet.restore(found.opened())

    def _take_up(self, welcome: Welcomed) -> None:
        """Keep at once under which number, and with which history, this process goes on."""
        if welcome.lost_after is None:
            self._journal.took_epoch(welcome.epoch)
        else:
            self._lose_history(welcome, welcome.lost_after)
            self._finished = False  # an ending that was recorded in it is nobody's any more

    def _lose_history(self, welcome: Welcomed, after: int) -> None:
        """Source: "goes on with what the gateway holds: state, open requests, last number"."""
        log_id = os.urandom(8).hex()
        requests = _opened(welcome.open_requests)
        self._link.log = log_id
        self._journal.begin_anew(after + 1, log_id, welcome.state, requests, epoch=welcome.epoch)
        self._restart.forget(
            Recovered(
                log=log_id,
                next=after + 1,
                epoch=welcome.epoch,
                owes_gap=True,
                state=welcome.state,
                requests={one.id: KnownRequest(opened=one) for one in requests},
            )
        )
        self._usage = None

    def _say_what_is_omitted(self, welcome: Welcomed) -> None:
        """Source: "one that has lost it must not go on as if `state` were complete"."""
        if welcome.lost_after is None:
            return  # its own journal has all of it
        values, requests = welcome.omitted_state, welcome.omitted_requests
        if values or requests:
            message = (
                f"history was lost, and the gateway's welcome had no room for {values} saved"
                f" values and {requests} open requests: the adapter goes on without them, and"
                " what they ask cannot be answered here"
            )
            self.say(Warning_(code="welcome_incomplete", message=message))

    async def _start(self, loading: asyncio.Future[Adapter]) -> Verdict | None:
        """Say what was left unsaid, then `session.started`; a verdict where the adapter fails.

        Source: "A next process first writes the dead one's missing endings".
        """
        await self._first_of(loading, None)
        adapter = None
        error = None
        if not loading.done():
            loading.cancel()
        else:
            error = loading.exception() or self._apply_rules()
            adapter = None if error is not None else loading.result()
        # What is not known of an adapter that does not load is left to the next process.
        can_resume = adapter is None or adapter.capabilities.resume
        self._policy = self._restart.decide(can_resume=can_resume)
        self._restart.write_endings(self._outlet, self.requests, self._policy)
        if adapter is not None:
            error = await self._open()
        self._announce()
        return None if error is None else self._failed_to_start(error)

    def _announce(self) -> None:
        """Say `session.started`, with what an open adapter says of itself, and what it said since.

        An adapter that takes long, or asks a person, is announced before it is open; and so it is
        where the shell has something to say.
        """
        if self._announced:
            return
        self._announced = True
        self._say_started(self._host.adapter)
        self._say_warnings()
        held, self._held = self._held, []
        for said in held:
            self._on_adapter(said)

    def _load(self) -> Adapter:
        """What takes long, in the adapter's thread."""
        adapter = self._make_adapter()
        if self._find_rules is not None:
            self._rules = self._find_rules()
        return adapter

    def _apply_rules(self) -> ConfigurationError | None:
        """From now on; nothing of the adapter's was redacted yet."""
        if self._rules is None:
            return None
        try:
            self._guard.redactor = self._rules.redactor(self._registry)
        except ConfigurationError as error:
            return error
        return None

    def _say_warnings(self) -> None:
        for code, message in self.settings.warnings:
            self.say(Warning_(code=code, message=message))
        if self._journal.cut_bytes:
            message = (
                f"the last {self._journal.cut_bytes} bytes of the journal were torn and are cut off"
            )
            self.say(Warning_(code="journal_cut", message=message))
        if self._restart.refused_to_resume and self.settings.resume not in (None, "fail"):
            name = self.settings.adapter
            message = f"the adapter {name!r} cannot go on with a turn that was cut off"
            self.say(Warning_(code="resume_not_supported", message=message))

    def _say_started(self, adapter: Adapter | None) -> None:
        assert self._link.epoch is not None, "a session starts after the welcome"
        capabilities: dict[str, JSON] = {}
        description: dict[str, JSON] = {}
        if adapter is not None:
            capabilities = msgspec.to_builtins(adapter.capabilities)
            capabilities["commands"] = sorted(capabilities["commands"])
            description = self._host.description
        self.say(
            SessionStarted(
                epoch=self._link.epoch,
                resumed=self._restart.resumed,
                adapter=self.settings.adapter,
                capabilities=capabilities,
                description=description,
                runner=self.settings.version,
            )
        )

    async def _open(self) -> BaseException | None:
        from ..adapter.session import Session

        settings = self.settings
        self._session = Session(
            settings.session,
            self._host.port,
            workspace=settings.workspace,
            state_dir=settings.framework_dir,
            saved=self._restart.found.state,
            process=str(self._link.epoch),
        )
        opening = asyncio.ensure_future(self._host.open(self._session))
        self._opening = True
        if not await self._first_of(opening, settings.announce_seconds):
            self._announce()
        if not await self._first_of(opening, None):
            opening.cancel()
            return None
        return opening.exception()

    def _failed_to_start(self, error: BaseException) -> Verdict:
        if isinstance(error, ConfigurationError):
            for problem in error.problems:
                self.say(Error(code="configuration", message=problem, origin="configuration"))
            code = outcomes.BAD_CONFIGURATION
            return Verdict(outcome="failed", reason=str(error), exit_code=code)
        message = f"{type(error).__name__}: {error}"
        self._log_traceback("the adapter did not start", error)
        self.say(Error(code="adapter_start", message=message, origin="adapter"))
        return Verdict.of("failed", f"the adapter did not start: {message}")

    # --- turns -------------------------------------------------------------------------------

    async def _work(self) -> Verdict:
        """Run turns until there is a reason to end."""
        self._queue_initial()
        self._take_over()
        for received in self._early:
            self.desk.apply(received)
        self._early.clear()
        self._working = True
        while True:
            if self._verdict.done():
                return self._verdict.result()
            if self._queue:
                await self._run_turn(self._queue.popleft())
                if self._turns.stuck:
                    return self._verdict.result() if self._verdict.done() else self._stuck()
                continue
            if self._work_is_over():
                return self._natural_end()
            if not await self._wait_for_work():
                return self._idle()

    def _queue_initial(self) -> None:
        """Source: "The initial prompt is the command `initial`: it is never run twice"."""
        if not self.settings.prompt:
            return
        if self._welcome.result().lost_after:
            message = (
                "the session has a history but this process has no journal of it; the initial "
                "prompt may have run, so it is not run again. Send a message to go on"
            )
            self.say(Warning_(code="initial_not_repeated", message=message))
            if not self.settings.interactive:
                self.stop(Verdict.of("failed", message))
            return
        if self._restart.found.initial:
            return
        initial = TurnStart(id=INITIAL, content=self.settings.prompt)
        self._journal.accept(0, self._plain(initial))
        if self.commit():
            message_input = UserMessage(content=self.settings.prompt)
            self._queue.appendleft(Work(input=message_input, cause="message", command=INITIAL))

    def _take_over(self) -> None:
        """Go on with what the processes before have left to be done."""
        restart, found = self._restart, self._restart.found
        if restart.last is not None:
            self._last_ending = Ending(*restart.last)  # type: ignore[arg-type]  # or the shell's
        self._ending_asked = self._ending_asked or found.ending_asked
        if restart.stop is not None:
            self.stop(restart.stop)
        self.requests.cancel(keep_deferrable=True)
        for id in restart.answered():
            self.desk.done(id)
        if restart.cut is not None:
            self._go_on_with(restart.cut)
        elif found.answers_due:
            self._on_late_answer()
        self._queue.extend(restart.queued())
        for todo in restart.commands():
            if isinstance(todo, str):
                self.desk.give_up(todo)
            else:
                self.desk.apply(todo, again=True)
        self.requests.watch()
        if restart.resumed and self.settings.prompt and self._has_nothing_to_do():
            message = "the initial prompt has run already; send a message to go on"
            self.say(Warning_(code="initial_not_repeated", message=message))
            if self._last_ending is None:  # lost history, whose first process failed for it
                reason = "the session's history was lost, and its prompt is not run again"
                self._last_ending = Ending("failed", reason)

    def _has_nothing_to_do(self) -> bool:
        return not self._queue and self._work_is_over()

    def _go_on_with(self, cut: CutTurn) -> None:
        match self._policy:
            case "continue":
                self._queue.append(self._restart.work())
            case "ask":
                request, key = self._restart.question(cut)
                self.requests.ask_to_resume(request, key, self._on_resume_answer)
            case "fail":
                self._journal.resume(None)
                reason = f"turn {cut.id} was cut off, and is not gone on with"
                self._last_ending = Ending("failed", reason)

    def _on_resume_answer(self, answer: Answer | None) -> None:
        if answer is None:
            return
        work = self._restart.settle(answer)
        if work is not None:
            self.enqueue(work)
        else:
            self._last_ending = Ending("failed", f"not gone on with: {answer.how}")
            self._news.set()

    def _work_is_over(self) -> bool:
        return self._ending_asked or not (self.settings.interactive or self.requests.has_open)

    def _natural_end(self) -> Verdict:
        ending = self._last_ending
        if ending is None:
            return Verdict.of("completed", "the session ended without a turn")
        if self.requests.has_open and not self._ending_asked:
            return Verdict.of("waiting", ending.reason)
        if ending.outcome == "waiting" and self._ending_asked:
            return Verdict.of("stopped", "the session was ended while a question was open")
        return Verdict.of(ending.outcome, ending.reason)

    def _idle(self) -> Verdict:
        verdict = self._natural_end()
        reason = f"nothing to do for {self.settings.idle_seconds:g} s"
        if verdict.outcome in ("completed", "waiting"):
            return Verdict.of(verdict.outcome, reason)
        return verdict

    def _stuck(self) -> Verdict:
        return Verdict.of("failed", "the adapter did not react when its turn was cancelled")

    async def _wait_for_work(self) -> bool:
        """Wait for something to do; False when the idle time is over."""
        self._news.clear()
        try:
            async with asyncio.timeout(self.settings.idle_seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def _run_turn(self, work: Work) -> None:
        self._turn_count += 1
        done = await self._turns.run(
            f"turn-{self._link.epoch}-{self._turn_count}", work, self.requests
        )
        self._last_ending = done.ending
        self._usage = summed(self._usage, done.ending.usage)
        if done.waiting and self.requests.answers_due:
            self._on_late_answer()
        self.requests.answers_due = False
        if done.raised:
            await self._reopen()

    def _share(self, share: float) -> float:
        """A share of the grace, or of what is left of it once the process must end."""
        left = self.settings.grace_seconds
        if self._grace_until is not None:
            left = max(0.0, self._grace_until - self._loop.time())
        return left * share

    async def _reopen(self) -> None:
        """Source: "If it raises or is cancelled, the shell closes and reopens the adapter"."""
        if self._verdict.done() or (not self._queue and self._work_is_over()):
            return
        assert self._session is not None, "opened before the first turn"
        try:
            async with asyncio.timeout(self.settings.grace_seconds):
                await self._host.close()
                await self._host.open(self._session)
        except Exception as error:  # noqa: BLE001 — the plug-in's edge: reported as the outcome
            self.stop(self._failed_to_start(error))

    # --- what comes in -----------------------------------------------------------------------

    def _on_effect(self, effect: RunnerEffect) -> None:
        match effect:
            case Welcomed():
                if not self._welcome.done():
                    self._take_up(effect)
                    self._welcome.set_result(effect)
            case Acknowledged(seq):
                self._journal.acknowledged(seq)
                self._feel_pressure()
                if self._link.settled:
                    self._settled.set()
            case CommandReceived():
                if self._finished:
                    return  # not acknowledged, so that the next process gets it
                received = self._named(effect)
                command = received.command
                self._journal.accept(command.seq, self._plain(command))
                self._link.command_journaled(command.seq)
                self._take_command(received)
            case SecretReceived(secret):
                self._learn(secret)
            case GaveUp():
                self._on_refusal(effect)
            case _:
                pass  # the connection's own: the driver carried it out

    def _take_command(self, received: CommandReceived) -> None:
        """Commands that come before the work begins wait, in order; one to stop counts at once."""
        if self._working:
            self.desk.apply(received)
            return
        self._early.append(received)
        if isinstance(received.command, SessionStop):
            self.stop(stopped_by(received.command))

    def _on_refusal(self, refusal: GaveUp) -> None:
        reason = f"the gateway refused this runner for good: {refusal.reason}"
        self._fenced = refusal.fenced
        if refusal.fenced:
            reason = "a newer runner took the session over"
        code = outcomes.BAD_CONFIGURATION
        self.stop(Verdict(outcome="failed", reason=reason, exit_code=code))

    def _on_adapter(self, said: FromAdapter) -> None:
        if not self._ready:
            return  # `session.finished` is the last word, whatever a stuck adapter says
        if not self._announced:
            self._held.append(said)
            if isinstance(said, Asked):
                self._announce()
            return
        match said:
            case Emitted(turn, payload):
                self._link.progress += 1
                # On a full disk the last room is for the endings.
                if turn in ("", self._turns.current) and not self._journal.trouble:
                    self._outlet.emitted(payload, turn)
                self._pressure.taken(len(payload))
            case Asked(request, key, may_defer, reply):
                self.requests.ask(request, key, may_defer, reply)
            case Withdrawn(key, reply):
                self.requests.withdraw(key, reply)
            case Saved(key, None):
                self._outlet.say(SessionSaved(state={}, removed=(key,)))
            case Saved(key, value):
                self._outlet.say(SessionSaved(state={key: msgspec.json.decode(value or b"null")}))
            case Woken():
                self.enqueue(Work(input=Continue(cause="wake"), cause="wake"))

    def _feel_pressure(self) -> None:
        """Source: "at the journal's limit its turn is interrupted with that cause"."""
        backlog = self._journal.backlog_bytes
        self._pressure.update(backlog, self._link.backlog)
        self._outlet.merge(self._pressure.merging)
        if backlog > self.settings.journal_limit_bytes:
            self._turns.interrupt(BACKPRESSURE)

    def _give_history_up(self) -> None:
        """Another runner numbers the session's events now: what this one kept must never be sent.

        A next process on this directory then finds that the gateway holds more than it does.
        """
        with suppress(JournalBroken):
            self._journal.begin_anew(1, os.urandom(8).hex(), {}, [], epoch=0)

    def _on_news(self) -> None:
        self._driver.kick()
        self._loop.call_soon(self.commit)

    def _flush(self) -> None:
        self._outlet.flush()
        if self._journal.trouble:
            self._on_broken_journal(self._journal.trouble, can_tell=True)

    def _on_broken_journal(self, reason: str, *, can_tell: bool = False) -> None:
        """What cannot be kept must not be sent: the next process says how this one ended."""
        code = outcomes.TRANSIENT
        self.stop(Verdict(outcome="failed", reason=reason, exit_code=code))
        if not can_tell:
            self._link_over = True
            self._settled.set()

    def _plain(self, command: Command | ReservedCommand) -> bytes:
        """A command as it is journaled: without secrets.

        Source: "Inbound content is journaled redacted too".
        """
        fields = msgspec.json.decode(codec.encode_command(command))
        ids = {name: getattr(command, name) for name in _ids_of(command)}
        return msgspec.json.encode(self._guard.payload(fields) | ids)

    def _named(self, received: CommandReceived) -> CommandReceived:
        """With ids that hold no secret, here and wherever the command goes from here."""
        command = received.command
        ids = {name: getattr(command, name) for name in _ids_of(command)}
        plain = {name: self._guard.identifier(id) for name, id in ids.items()}
        if plain == ids:
            return received
        return CommandReceived(msgspec.structs.replace(command, **plain), received.problem)

    def _learn(self, secret: SecretAdd) -> None:
        warning = warning_of(self._registry.add(secret.name, secret.value))
        if warning is not None and self._ready:
            code, message = warning
            self.say(Warning_(code=code, message=message))

    def _on_late_answer(self) -> None:
        """A question was answered that no task waits for: a turn goes on with it."""
        if self._turns.current:
            return  # `answers_due` says so at its end
        if not any(work.cause == "answers" for work in self._queue):
            self.enqueue(Work(input=Continue(cause="answers"), cause="answers"))

    # --- the end -----------------------------------------------------------------------------

    async def _finish(self, verdict: Verdict) -> Verdict:
        if self._grace_until is None:
            self._grace_until = self._loop.time() + self.settings.grace_seconds
        self._finishing = True
        for received in self._early:
            self.desk.refuse(received)
        await self.desk.close()
        await self._close_adapter()
        keeps = self._journal.durable and goes_on(verdict.outcome, verdict.exit_code)
        if not keeps:
            self.requests.cancel()
        self._outlet.close_open_things("", waiting=keeps)
        self._settled.clear()
        self.say(
            SessionFinished(
                outcome=verdict.outcome,
                reason=verdict.reason,
                resumable=self._resumable(verdict),
                exit_code=verdict.exit_code,
                usage=self._usage,
                duration_seconds=round(self._loop.time() - self._started_at, 6),
            )
        )
        self._ready = False
        self._finished = True
        return await self._acknowledged(verdict)

    def _resumable(self, verdict: Verdict) -> bool:
        """Whether a next process can go on here: not where another one has the session."""
        return self._journal.durable and not self._fenced

    async def _acknowledged(self, verdict: Verdict) -> Verdict:
        """The verdict, or one to be retried where the gateway does not know it in time."""
        self.commit()
        if await self._flushed():
            self._journal.settle(self._link.acked)
            self.commit()
            return verdict
        # Source: "75 … or the ending was not acknowledged within the grace: retry".
        if verdict.exit_code in (outcomes.BAD_CONFIGURATION, outcomes.SHELL_FAULT):
            return verdict
        reason = f"{verdict.reason or verdict.outcome}; not everything was acknowledged in time"
        return Verdict(outcome=verdict.outcome, reason=reason, exit_code=outcomes.TRANSIENT)

    async def _close_adapter(self) -> None:
        if self._turns.stuck:
            return
        if self._host.adapter is not None:
            await self._close_framework()
        await self._host.stop(self._share(0.2))
        self._host.crossing.drain()

    async def _close_framework(self) -> None:
        closing = asyncio.ensure_future(self._host.close())
        done, _ = await asyncio.wait({closing}, timeout=self._share(0.5))
        if not done:
            self.say(Warning_(code="close_slow", message="the adapter's close() took too long"))
            closing.cancel()
        elif closing.exception() is not None:
            error = closing.exception()
            self._log_traceback("the adapter's close() raised", error)
            message = f"the adapter's close() raised {type(error).__name__}: {error}"
            self.say(Warning_(code="close_raised", message=message))

    async def _flushed(self) -> bool:
        """Whether everything is acknowledged within the grace.

        A session that ended by itself has the grace anew with all progress: nobody told it to go,
        and a long backlog is no reason to lose it.
        """
        while True:
            before = self._link.acked
            if await self._settled_in_time():
                return self._link.settled
            if self._verdict.done() or self._link.acked == before:
                return False
            self._grace_until = self._loop.time() + self.settings.grace_seconds

    async def _settled_in_time(self) -> bool:
        try:
            async with asyncio.timeout(max(0.05, self._share(1.0))):
                while not (self._link.settled or self._link_over):
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            return False
        return True

    async def _carry(self) -> None:
        try:
            await self._driver.run()
        except JournalBroken as error:
            self._on_broken_journal(str(error))
        except RemoteProtocolError as error:
            code = outcomes.BAD_CONFIGURATION
            reason = f"the gateway broke the protocol: {error}"
            self.stop(Verdict(outcome="failed", reason=reason, exit_code=code))
        except Exception as error:  # noqa: BLE001 — the edge of a task: it becomes the verdict
            self._log_traceback("the link failed", error)
            code = outcomes.SHELL_FAULT
            reason = f"the shell failed: {type(error).__name__}: {error}"
            self.stop(Verdict(outcome="failed", reason=reason, exit_code=code))
        finally:
            self._link_over = True
            self._settled.set()

    async def _end_link(self, carrying: asyncio.Task[None]) -> None:
        await self._driver.close()
        await asyncio.wait({carrying}, timeout=1.0)
        carrying.cancel()

    # --- odds --------------------------------------------------------------------------------

    async def _first_of(self, awaited: asyncio.Future[Any], seconds: float | None) -> bool:
        """Whether it was done before a stop came and before the time was over."""
        await asyncio.wait(
            {awaited, self._verdict}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        return awaited.done()

    def _log_traceback(self, what: str, error: BaseException | None) -> None:
        if error is None:
            return
        import traceback  # only on the way of an error

        text = "".join(traceback.format_exception(error))
        log.error("%s\n%s", what, self.redact(text))


def _link(settings: RunnerSettings, journal: Journal) -> RunnerLink:
    """The link, going on where the journal's last process stopped."""
    found = journal.recovered
    link = RunnerLink(
        LinkSettings(
            session=settings.session,
            instance=settings.instance,
            log=found.log,
            runner=f"runner-shell/{settings.version}",
            adapter=settings.adapter,
        ),
        journal,
        last_command=found.last_command,
        next_seq=journal.first,
        last_epoch=found.epoch,
    )
    for seq in range(journal.first, found.next):
        link.journaled(seq, journal.size(seq), lingers=False, now=0.0)
    return link


def _ids_of(command: Command | ReservedCommand) -> list[str]:
    """The fields of a command that name something: redacted by known secrets only."""
    if isinstance(command, ReservedCommand):
        return ["id"]
    return [name for name in ("id", "request", "turn", "checkpoint") if hasattr(command, name)]


def _why_lost(welcome: Welcomed) -> str:
    if welcome.diverged:
        return "another runner has gone on with the session: what this one had not sent is dropped"
    return "the journal of the earlier process is gone"


def _opened(requests: tuple[JSON, ...]) -> list[RequestOpened]:
    """The gateway's open requests; what this version cannot read is nobody's to answer here."""
    opened = []
    for payload in requests:
        with suppress(msgspec.ValidationError):
            opened.append(msgspec.convert(payload, RequestOpened))
    return opened
