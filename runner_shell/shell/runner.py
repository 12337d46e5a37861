"""One runner: the lifecycle of a session in a process.

Start: hello, then the adapter's import while the socket waits, then `session.started`
(`opening`). Then turns, one at a time (`working`). The end: `session.finished`, everything
acknowledged within the grace, and a verdict (`closing`, `delivery`).

Here stands what joins them: what a runner is made of, and the orders that come from outside. What
the gateway and the adapter say comes in by `reception`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from ..adapter.contract import Adapter, Capabilities
from ..control.status import Status
from ..journal import Journal, MemoryJournal
from ..link.effects import Welcomed
from ..link.runner import LinkSettings, RunnerLink
from ..link.states import RunnerState
from ..protocol import codec
from ..protocol.events import Event, Usage
from ..redaction import Redactor, SecretRegistry
from ..transport.driver import Dial
from .agenda import Agenda
from .closing import Closing
from .commands import CommandDesk
from .opening import Opening
from .outbound.delivery import Delivery
from .outbound.outlet import Outlet, Tap
from .outbound.safeguard import Safeguard
from .outcome import Termination, Verdict
from .reception import Reception
from .restart import Restart
from .settings import RunnerSettings
from .stopping import Stopping
from .thread.crossing import Pressure
from .thread.host import AdapterHost
from .turns import Turns
from .working import Working

if TYPE_CHECKING:  # imported where it is made, while the socket waits
    from .configuration.known_secrets import OwnRules
    from .requests import RequestBook

__all__ = ["Runner", "RunnerSettings"]

log = logging.getLogger("runner_shell")


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

    Attributes:
        settings: What to run.
        journal: Where events are kept until they are acknowledged.
        restart: What the processes before have left.
        registry: The secrets that are known.
        guard: What everything that leaves passes.
        link: The numbers, and what is on its way.
        outlet: The one way out for events.
        pressure: What the adapter's thread is told of how much is not acknowledged.
        host: The adapter's thread.
        stopping: The order to end, and the grace.
        agenda: The turns that wait.
        delivery: The connection, and what is acknowledged.
        turns: Runs one turn.
        reception: What comes in.
        opening: The beginning.
        working: The turns, one after the other.
        requests: The questions; there from the first welcome on.
        desk: Carries commands out.
        usage: The sum over the turns.
        ready: Whether the session is started and events may be said.
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
        self._loop = asyncio.get_running_loop()
        self._started_at = self._loop.time()
        self.journal: Journal = journal or MemoryJournal()
        self.restart = Restart(self.journal, settings.resume)
        self.registry = registry if registry is not None else SecretRegistry()
        self.guard = Safeguard(Redactor(self.registry))
        self.link = _link(settings, self.journal)
        self.stopping = Stopping(settings.grace_seconds)
        self.agenda = Agenda(
            interactive=settings.interactive, has_open=lambda: self.requests.has_open
        )
        self.outlet = Outlet(
            self.link,
            self.journal,
            self.guard,
            kick=self._kick,
            now=time.monotonic,
            later=self._loop.call_later,
        )
        self.outlet.taps.extend(taps)
        self.delivery = Delivery(
            self.link,
            self.journal,
            dial,
            self.stopping,
            on_effect=lambda effect: self.reception.on_effect(effect),
            flush=self.outlet.flush,
            stop=self.stop,
            complain=self.complain,
        )
        high = min(settings.high_mark_bytes, settings.journal_limit_bytes // 2)
        self.pressure = Pressure(high_bytes=high, low_bytes=high // 2)
        self.reception = Reception(self)
        self.host = AdapterHost(
            self.reception.on_adapter, self.pressure, self.reception.rest, self.registry
        )
        self.turns = Turns(
            self.host,
            self.outlet,
            self.pressure,
            stopped=self.stopping.ordered,
            share=self.stopping.share,
            durable=self.journal.durable,
            complain=self.complain,
            commit=self.commit,
            cut_off=self.journal.resume,
        )
        self.usage: Usage | None = self.restart.found.usage
        self.requests: RequestBook
        self.desk = CommandDesk(self)
        self.opening = Opening(self, make_adapter, find_rules)
        self.working = Working(self)
        self._closing = Closing(self)
        self.ready = False
        self._finishing = False

    # --- orders from outside -----------------------------------------------------------------

    @property
    def turn(self) -> str:
        """Id of the running turn, or empty."""
        return self.turns.current

    @property
    def takes_messages(self) -> bool:
        """Whether a message could be folded into the running turn: none waits before it."""
        return self.turns.takes_messages and not self.agenda

    @property
    def ending(self) -> bool:
        """Whether the session is on its way out and begins nothing new."""
        return self._finishing or self.stopping.is_ordered

    def _kick(self) -> None:
        if not self.host.crossing.is_taking:  # else it is delivered at the end of that
            self.delivery.kick()

    def interrupt(self, reason: str) -> bool:
        """End the running turn soon; False where none runs."""
        return self.turns.interrupt(reason)

    def stop(self, verdict: Verdict) -> None:
        """End the session now, with this verdict; the first order counts."""
        if self.stopping.order(verdict):
            self.agenda.wake()

    def say(self, event: Event) -> None:
        """An event of the shell's own, in the running turn if there is one."""
        self.opening.announce_first()
        self.outlet.say(event, self.turns.current)

    def tell(self, event: Event) -> None:
        """An event of the running turn that could as well be the adapter's."""
        self.outlet.emitted(codec.encode_payload(event), self.turns.current)

    def status(self) -> Status:
        """How it stands now, for whoever asks from outside."""
        link, welcomed = self.link, self.link.epoch is not None
        return Status(
            session=self.settings.session,
            instance=self.settings.instance,
            pid=os.getpid(),
            adapter=self.guard.identifier(self.settings.adapter),
            connected=link.state is RunnerState.OPEN,
            link=link.state.value,
            problem=self.redact(self.delivery.driver.last_problem),
            epoch=link.epoch,
            last_acked=link.acked if welcomed else None,
            backlog_events=link.backlog,
            backlog_bytes=self.journal.backlog_bytes,
            turn=self.turn,
            queued_turns=len(self.agenda),
            ending=self.ending,
            redaction_failures=self.guard.failures,
            redaction_hits=self.guard.hits,
            uptime_seconds=round(self.uptime_seconds, 3),
        )

    def commit(self) -> bool:
        """Make everything that was said durable; False where that failed and the session ends."""
        return self.delivery.commit()

    def begin(self, command: str) -> bool:
        """The effect of a command begins; False where that cannot be kept."""
        self.journal.applying(command)
        return self.commit()

    def redact(self, text: str) -> str:
        """Redact a text that leaves by another way: stderr, the termination log."""
        return self.guard.text(text)

    def complain(self, what: str, error: BaseException | None) -> None:
        """Log an exception with a sentence of what went wrong, redacted."""
        if error is None:
            return
        import traceback  # only on the way of an error

        text = "".join(traceback.format_exception(error))
        log.error("%s\n%s", what, self.redact(text))

    @property
    def uptime_seconds(self) -> float:
        """How long this process has the session."""
        return self._loop.time() - self._started_at

    @property
    def resumable(self) -> bool:
        """Whether a next process can go on here: not where another one has the session."""
        return self.journal.durable and not self.reception.fenced

    @property
    def capabilities(self) -> Capabilities:
        """What the adapter can do; nothing before it is loaded."""
        adapter = self.host.adapter
        return adapter.capabilities if adapter is not None else Capabilities()

    # --- the life ----------------------------------------------------------------------------

    async def run(self) -> tuple[Verdict, Termination]:
        """Run the session to its end.

        Returns:
            The verdict, and what the termination log is to say.
        """
        carrying = asyncio.create_task(self.delivery.carry(), name="link")
        deadline = self._arm_timeout()
        try:
            verdict = await self._live()
        finally:
            if deadline is not None:
                deadline.cancel()
            await self.delivery.close(carrying)
        if self.reception.fenced:
            self.delivery.give_history_up()
        verdict = msgspec.structs.replace(verdict, reason=self.redact(verdict.reason))
        return verdict, Termination(
            outcome=verdict.outcome,
            reason=verdict.reason,
            resumable=self.resumable,
            last_acked=self.link.acked if self.link.epoch is not None else None,
            cost=self.usage.cost_usd if self.usage is not None else None,
        )

    async def _live(self) -> Verdict:
        await self.stopping.first_of(asyncio.create_task(self.delivery.driver.greeted.wait()))
        if self.restart.recorded is not None:
            verdict = await self._only_flush()
            if verdict is not None:
                return verdict
        self.host.start()
        loading = asyncio.ensure_future(self.host.load(self.opening.load))
        refusal = await self.opening.await_welcome()
        if refusal is not None:
            loading.cancel()
            await self.host.stop(self.stopping.share(0.2))
            return refusal
        verdict = await self.opening.start(loading)
        if verdict is None:
            verdict = await self.working.run()
        return await self._closing.finish(verdict)

    async def _only_flush(self) -> Verdict | None:
        """The process before has said its ending: have it acknowledged, and return its code.

        None where that ending is of a history that was lost: the session goes on without it.
        """
        refusal = await self.opening.await_welcome(takes_over=False)
        if refusal is not None:
            return refusal
        recorded = self.restart.recorded
        return None if recorded is None else await self.delivery.finish(recorded)

    def _arm_timeout(self) -> asyncio.TimerHandle | None:
        seconds = self.settings.timeout_seconds
        if seconds is None:
            return None
        verdict = Verdict.of("timed_out", f"the session took longer than {seconds:g} s")
        return self._loop.call_later(seconds, self.stop, verdict)

    def begin_saying(self, welcome: Welcomed) -> None:
        """From here on events can be said, and questions asked."""
        from .requests import RequestBook

        prefix = f"req-{welcome.epoch}-"
        self.requests = RequestBook(
            self.say,
            self.working.on_late_answer,
            prefix=prefix,
            defer_seconds=self.settings.defer_seconds,
            commit=self.commit,
            redact=self.guard.payload,
            identify=self.guard.identifier,
            away=lambda: self.link.state is not RunnerState.OPEN,
        )
        self.ready = True

    def begin_nothing_new(self) -> None:
        """The session is on its way out."""
        self._finishing = True
        self.reception.refuse_early()

    def say_nothing_more(self) -> None:
        """`session.finished` is said, and the last word."""
        self.ready = False
        self.reception.take_nothing_more()


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
            linger_seconds=0.0,  # deltas have waited where they crossed
        ),
        journal,
        last_command=found.last_command,
        next_seq=journal.first,
        last_epoch=found.epoch,
    )
    for seq in range(journal.first, found.next):
        link.journaled(seq, journal.size(seq), lingers=False, now=0.0)
    return link
