"""One turn, from its start to its one ending.

What an adapter returns, raises, leaves open or does not react to: the gateway is told one true
ending of it.

Source: PROTOCOL, promise 3.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from ..adapter.contract import Ending, EndingOutcome, TurnInput, UserMessage
from ..adapter.turn import Turn
from ..errors import AgentFailed, ConfigurationError
from ..journal import CutTurn
from ..protocol.events import Error, Outcome, TurnCause, TurnFinished, TurnStarted
from .outbound.outlet import Outlet
from .outcome import Verdict, goes_on
from .thread.crossing import Pressure
from .thread.host import AdapterHost, Cancelled

if TYPE_CHECKING:
    from .requests import RequestBook


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A turn that is to be run.

    Attributes:
        input: What sets it going.
        cause: The same in the vocabulary's words.
        command: Id of the command that brought it, or empty.
    """

    input: TurnInput
    cause: TurnCause
    command: str = ""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A turn that has its ending.

    Attributes:
        ending: How it ended, as the adapter said or the shell found.
        waiting: Whether it left questions open for a later turn.
        raised: Whether the adapter raised or was cancelled, and is to be opened again.
    """

    ending: Ending
    waiting: bool
    raised: bool


class Turns:
    """Runs turns, one at a time.

    Args:
        host: The adapter's thread.
        outlet: Where starts and endings go.
        pressure: Lifted while a turn must end.
        stopped: Set when the session must end now.
        share: Seconds that a share of the grace is.
        durable: Whether a turn that must go may leave its questions to a next process.
        complain: Logs an exception with a sentence of what went wrong.
        commit: Makes what was said durable; False where that failed.
        cut_off: Told of a turn that ends only because the process must go.

    Attributes:
        current: Id of the running turn, or empty.
        stuck: Whether the adapter did not react, so that no turn can follow.
    """

    def __init__(
        self,
        host: AdapterHost,
        outlet: Outlet,
        pressure: Pressure,
        *,
        stopped: asyncio.Future[Verdict],
        share: Callable[[float], float],
        durable: bool,
        complain: Callable[[str, BaseException | None], None],
        commit: Callable[[], bool],
        cut_off: Callable[[CutTurn], None],
    ) -> None:
        self.current = ""
        self.stuck = False
        self._host = host
        self._outlet = outlet
        self._pressure = pressure
        self._stopped = stopped
        self._share = share
        self._durable = durable
        self._complain = complain
        self._commit = commit
        self._cut_off = cut_off
        self._loop = asyncio.get_running_loop()
        self._interrupted: asyncio.Future[str]
        self._requests: RequestBook

    def interrupt(self, reason: str) -> bool:
        """End the running turn soon; False where none runs."""
        if not self.current:
            return False
        if not self._interrupted.done():
            self._interrupted.set_result(reason)
        return True

    @property
    def takes_messages(self) -> bool:
        """Whether a turn runs that nobody has told to end."""
        return bool(self.current) and not (self._interrupted.done() or self._stopped.done())

    async def run(self, id: str, work: Work, requests: RequestBook) -> Done:
        """Run a turn; when this returns, its ending is written."""
        turn = Turn(id, work.input, self._host.port)
        self.current = id
        self._requests = requests
        self._interrupted = self._loop.create_future()
        began = self._loop.time()
        self._say(_turn_started(work))
        # Else a turn could have effects that no next process knows to have begun.
        returned = self._host.turn(turn) if self._commit() else self._not_begun()
        ending, outcome = await self._await_ending(returned)
        turn.finish()
        ending, outcome = self._honest(ending, outcome)
        waiting = outcome == "waiting"
        if self._goes_on(outcome):
            self._cut_off(CutTurn(id=id, cause=work.cause, command=work.command))
        if not waiting:
            requests.cancel()
        self._outlet.close_open_things(id, waiting=waiting)
        self._say(
            TurnFinished(
                outcome=outcome,
                reason=ending.reason,
                usage=ending.usage,
                cost_usd=ending.usage.cost_usd if ending.usage is not None else None,
                duration_seconds=round(self._loop.time() - began, 6),
            )
        )
        self.current = ""
        raised = returned.done() and returned.exception() is not None
        return Done(ending=ending, waiting=waiting, raised=raised)

    def _goes_on(self, outcome: Outcome) -> bool:
        """Whether a next process is to go on with a turn that this one must end."""
        if not self._stopped.done() or self._interrupted.done() or outcome == "waiting":
            return False
        verdict = self._stopped.result()
        return outcome == verdict.outcome and goes_on(verdict.outcome, verdict.exit_code)

    def _not_begun(self) -> asyncio.Future[Ending]:
        never: asyncio.Future[Ending] = self._loop.create_future()
        never.set_result(Ending("interrupted", "it could not be journaled, and has not begun"))
        return never

    def _say(self, event: Error | TurnStarted | TurnFinished) -> None:
        self._outlet.say(event, self.current)

    async def _await_ending(self, returned: asyncio.Future[Ending]) -> tuple[Ending, Outcome]:
        """Wait for the turn; an interrupt, the deadline and a stop share one path.

        Source: "tell → grace → cancel → grace → fence. Pressure never holds an interrupt back."
        """
        any_of: set[asyncio.Future[Any]] = {returned, self._stopped, self._interrupted}
        await asyncio.wait(any_of, return_when=asyncio.FIRST_COMPLETED)
        if returned.done():
            return self._ending_of(returned)
        order: Outcome = "interrupted"
        reason = ""
        if self._stopped.done():
            verdict = self._stopped.result()
            order, reason = verdict.outcome, verdict.reason
            self._requests.defer_all()
        else:
            reason = self._interrupted.result()
        reacted = await self._tell_then_cancel(returned, reason)
        self._pressure.restore()
        if not reacted:
            self.stuck = True
            self._say(Error(code="adapter_stuck", message=_STUCK, origin="adapter"))
            return Ending("interrupted", reason or order), order
        ending, _ = self._ending_of(returned, ordered=True)
        if ending.outcome == "completed":
            return ending, "completed"  # it was done before it heard
        if ending.outcome == "waiting" and self._durable:
            return ending, "waiting"
        return Ending("interrupted", reason or ending.reason, ending.usage), order

    async def _tell_then_cancel(self, returned: asyncio.Future[Ending], reason: str) -> bool:
        grace = self._share(0.4)
        telling = self._host.interrupt(reason)
        self._pressure.lift()  # only now: it hears the interrupt before it can emit any more
        either: set[asyncio.Future[Any]] = {telling, returned}
        await asyncio.wait(either, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
        told = telling.done() and telling.exception() is None and telling.result()
        if not telling.done():
            telling.cancel()
        elif telling.exception() is not None:
            self._complain("the adapter's interrupt failed", telling.exception())
        if told:
            await asyncio.wait({returned}, timeout=grace)
        if not returned.done():
            self._host.cancel(returned)
            await asyncio.wait({returned}, timeout=self._share(0.4))
        if self._host.has_returned(returned):
            await asyncio.wait({returned})  # only behind what it emitted before
        return returned.done()

    def _ending_of(
        self, returned: asyncio.Future[Ending], *, ordered: bool = False
    ) -> tuple[Ending, Outcome]:
        error = returned.exception()
        if error is None:
            ending: Any = returned.result()
            if isinstance(ending, Ending) and ending.outcome in get_args(EndingOutcome):
                return ending, ending.outcome
            what = ending if isinstance(ending, Ending) else type(ending).__name__
            message = f"turn() returned {what} where it must return an Ending"
            self._say(Error(code="no_ending", message=message, origin="adapter"))
            return Ending("failed", message), "failed"
        if isinstance(error, Cancelled) and ordered:
            return Ending("interrupted"), "interrupted"
        ending = self._say_error(error)
        return ending, "failed"

    def _say_error(self, error: BaseException) -> Ending:
        if isinstance(error, AgentFailed):
            code, retryable, message = error.code, error.retryable, str(error)
            self._say(Error(code=code, message=message, retryable=retryable))
            return Ending("failed", message)
        if isinstance(error, ConfigurationError):
            self._say(Error(code="configuration", message=str(error), origin="configuration"))
            return Ending("failed", str(error))
        message = f"{type(error).__name__}: {error}"
        if isinstance(error, Cancelled):
            message = "the adapter cancelled its own turn"
        self._complain("the turn raised", error)
        self._say(Error(code="adapter_raised", message=message, origin="adapter"))
        return Ending("failed", message)

    def _honest(self, ending: Ending, outcome: Outcome) -> tuple[Ending, Outcome]:
        """Source: "Returning with something still open and no honest Ending is a failure"."""
        left = self._outlet.ledger.open_things()
        if outcome == "completed" and left:
            message = f"turn() returned 'completed' with something open: {', '.join(left[:5])}"
            self._say(Error(code="left_open", message=message, origin="adapter"))
            return Ending("failed", message, ending.usage), "failed"
        if outcome == "waiting" and not (self._requests.has_open or self._requests.answers_due):
            message = "turn() returned 'waiting' but no question is open"
            self._say(Error(code="waits_for_nothing", message=message, origin="adapter"))
            return Ending("failed", message, ending.usage), "failed"
        return ending, outcome


_STUCK = (
    "the adapter reacted neither to the interrupt nor to being cancelled; its turn is ended and "
    "the process with it"
)


def _turn_started(work: Work) -> TurnStarted:
    content = work.input.content if isinstance(work.input, UserMessage) else None
    return TurnStarted(cause=work.cause, input=content, command=work.command)
