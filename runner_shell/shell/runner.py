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
from ..errors import ConfigurationError, RemoteProtocolError
from ..journal import Journal, MemoryJournal
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
from ..protocol.commands import SessionStop
from ..protocol.events import (
    JSON,
    Error,
    Event,
    Gap,
    SessionFinished,
    SessionSaved,
    SessionStarted,
    Usage,
    Warning_,
)
from ..redaction import Redactor, Registry
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
from .outcome import Termination, Verdict
from .outlet import Outlet, Tap
from .turns import Turns, Work

if TYPE_CHECKING:  # imported where they are made, while the socket waits
    from ..adapter.session import Session
    from .requests import RequestBook

log = logging.getLogger("runner_shell")

INITIAL = "initial"
"""Id of the command that the initial prompt is."""


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
    """

    def __init__(
        self,
        settings: RunnerSettings,
        make_adapter: Callable[[], Adapter],
        dial: Dial,
        *,
        registry: Registry | None = None,
        taps: tuple[Tap, ...] = (),
        journal: Journal | None = None,
    ) -> None:
        self.settings = settings
        self._make_adapter = make_adapter
        self._loop = asyncio.get_running_loop()
        self._journal: Journal = journal or MemoryJournal()
        self._redactor = Redactor(registry or Registry())
        self._link = RunnerLink(
            LinkSettings(
                session=settings.session,
                instance=settings.instance,
                log=settings.instance,
                runner=f"runner-shell/{settings.version}",
                adapter=settings.adapter,
            ),
            self._journal,
        )
        self._driver = LinkDriver(self._link, dial, self._on_effect)
        self._outlet = Outlet(
            self._link,
            self._journal,
            self._redactor,
            kick=self._driver.kick,
            now=self._loop.time,
        )
        self._outlet.taps.extend(taps)
        self._pressure = Pressure()
        self._host = AdapterHost(self._on_adapter, self._pressure)
        self._welcome: asyncio.Future[Welcomed] = self._loop.create_future()
        self._verdict: asyncio.Future[Verdict] = self._loop.create_future()
        self._queue: deque[Work] = deque()
        self._news = asyncio.Event()
        self._settled = asyncio.Event()
        self._ending_asked = False
        self._turn_count = 0
        self._last_ending: Ending | None = None
        self._session: Session | None = None
        self._usage: Usage | None = None
        self._started_at = self._loop.time()
        self._grace_until: float | None = None
        self._early: list[CommandReceived] = []
        self._ready = False
        self._working = False
        self._finishing = False
        self._finished = False
        self._link_over = False
        self._turns = Turns(
            self._host,
            self._outlet,
            self._pressure,
            stopped=self._verdict,
            share=self._share,
            durable=self._journal.durable,
            complain=self._log_traceback,
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
        self._outlet.say(event, self._turns.current)

    def status(self) -> Status:
        """How it stands now, for whoever asks from outside."""
        link, welcomed = self._link, self._link.epoch is not None
        return Status(
            session=self.settings.session,
            instance=self.settings.instance,
            pid=os.getpid(),
            adapter=self.settings.adapter,
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
            uptime_seconds=round(self._loop.time() - self._started_at, 3),
        )

    def redact(self, text: str) -> str:
        """Redact a text that leaves by another way: stderr, the termination log."""
        return self._redactor.text(text)

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
        verdict = msgspec.structs.replace(verdict, reason=self.redact(verdict.reason))
        return verdict, Termination(
            outcome=verdict.outcome,
            reason=verdict.reason,
            resumable=self._journal.durable,
            last_acked=self._link.acked if self._link.epoch is not None else None,
            cost=self._usage.cost_usd if self._usage is not None else None,
        )

    async def _live(self) -> Verdict:
        await self._first_of(asyncio.create_task(self._driver.greeted.wait()), None)
        self._host.start()
        loading = asyncio.ensure_future(self._host.load(self._make_adapter))
        refusal = await self._await_welcome()
        if refusal is not None:
            loading.cancel()
            await self._host.stop(self._share(0.2))
            return refusal
        verdict = await self._start(loading)
        if verdict is None:
            verdict = await self._work()
        return await self._finish(verdict)

    def _arm_timeout(self) -> asyncio.TimerHandle | None:
        seconds = self.settings.timeout_seconds
        if seconds is None:
            return None
        verdict = Verdict.of("timed_out", f"the session took longer than {seconds:g} s")
        return self._loop.call_later(seconds, self.stop, verdict)

    async def _await_welcome(self) -> Verdict | None:
        """Source: "nothing is numbered and no turn begins before the first welcome"."""
        seconds = self.settings.connect_seconds
        if await self._first_of(self._welcome, seconds):
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
        )
        self._ready = True
        if welcome.lost_after is not None:
            reason = "the journal of the earlier process is gone"
            self._outlet.say(Gap(after=welcome.lost_after, reason=reason))

    async def _start(self, loading: asyncio.Future[Adapter]) -> Verdict | None:
        """Say `session.started` and open the adapter; a verdict where that fails."""
        await self._first_of(loading, None)
        if not loading.done():
            loading.cancel()
            self._say_started(None)
            return None  # a stop came first: `_work` finds it
        error = loading.exception()
        self._say_started(None if error is not None else loading.result())
        if error is not None:
            return self._failed_to_start(error)
        for code, message in self.settings.warnings:
            self.say(Warning_(code=code, message=message))
        return await self._open()

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
                resumed=False,
                adapter=self.settings.adapter,
                capabilities=capabilities,
                description=description,
                runner=self.settings.version,
            )
        )

    async def _open(self) -> Verdict | None:
        from ..adapter.session import Session

        settings = self.settings
        self._session = Session(
            settings.session,
            self._host.port,
            workspace=settings.workspace,
            state_dir=settings.framework_dir,
            saved=self._welcome.result().state,
        )
        opening = asyncio.ensure_future(self._host.open(self._session))
        if not await self._first_of(opening, None):
            opening.cancel()
            return None
        error = opening.exception()
        return None if error is None else self._failed_to_start(error)

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
        message_input = UserMessage(content=self.settings.prompt)
        self._queue.appendleft(Work(input=message_input, cause="message", command=INITIAL))

    def _work_is_over(self) -> bool:
        waiting = self._last_ending is not None and self._last_ending.outcome == "waiting"
        if self._ending_asked:
            return True
        return not self.settings.interactive and not (waiting and self.requests.has_open)

    def _natural_end(self) -> Verdict:
        ending = self._last_ending
        if ending is None:
            return Verdict.of("completed", "the session ended without a turn")
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
        self._add_usage(done.ending.usage)
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
                    self._welcome.set_result(effect)
            case Acknowledged(seq):
                self._journal.acknowledged(seq)
                self._pressure.update(self._journal.backlog_bytes)
                if self._link.settled:
                    self._settled.set()
            case CommandReceived(command):
                if self._finished:
                    return  # not acknowledged, so that the next process gets it
                self._journal.accept(command.seq, codec.encode_command(command))
                self._link.command_journaled(command.seq)
                self._take_command(effect)
            case SecretReceived(secret):
                self._redactor.registry.add(secret.name, secret.value)
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
        if refusal.fenced:
            reason = "a newer runner took the session over"
        code = outcomes.BAD_CONFIGURATION
        self.stop(Verdict(outcome="failed", reason=reason, exit_code=code))

    def _on_adapter(self, said: FromAdapter) -> None:
        if not self._ready:
            return  # `session.finished` is the last word, whatever a stuck adapter says
        match said:
            case Emitted(turn, payload):
                self._link.progress += 1
                if turn in ("", self._turns.current):
                    self._outlet.emitted(payload, turn)
                self._pressure.update(self._journal.backlog_bytes, taken=len(payload))
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
        self.requests.cancel()
        self._outlet.close_open_things("", waiting=False)
        self._settled.clear()
        self.say(
            SessionFinished(
                outcome=verdict.outcome,
                reason=verdict.reason,
                resumable=self._journal.durable,
                exit_code=verdict.exit_code,
                usage=self._usage,
                duration_seconds=round(self._loop.time() - self._started_at, 6),
            )
        )
        self._ready = False
        self._finished = True
        if await self._flushed():
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

    def _add_usage(self, usage: Usage | None) -> None:
        if usage is None:
            return
        so_far = self._usage or Usage()
        costs = [cost for cost in (so_far.cost_usd, usage.cost_usd) if cost is not None]
        self._usage = Usage(
            input_tokens=so_far.input_tokens + usage.input_tokens,
            output_tokens=so_far.output_tokens + usage.output_tokens,
            cache_read_tokens=so_far.cache_read_tokens + usage.cache_read_tokens,
            cache_write_tokens=so_far.cache_write_tokens + usage.cache_write_tokens,
            cost_usd=sum(costs) if costs else None,
        )

    def _log_traceback(self, what: str, error: BaseException | None) -> None:
        if error is None:
            return
        import traceback  # only on the way of an error

        text = "".join(traceback.format_exception(error))
        log.error("%s\n%s", what, self.redact(text))
