"""One turn: runs of the graph until it is at rest, and the questions between them.

A turn runs the graph until it is at rest. Where it stopped at interrupts, their questions are
asked, all at the same time, and the graph is resumed with the answers in the same turn. Where
answers are deferred the graph gets those that are known, the turn ends `waiting`, and the next one
asks the rest again under the same keys.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Iterable, Sequence
from contextlib import aclosing
from typing import Any, cast

from langgraph.errors import GraphDrained, is_invalid_resume
from langgraph.runtime import RunControl
from langgraph.types import Command, StateSnapshot

from runner_shell import AgentFailed, Answer, Continue, Ending, Turn, TurnOver, UserMessage, events

from .breakpoints import next_nodes, stands_at_breakpoint, stopping_place
from .failures import failure, task_notes
from .inputs import graph_input
from .meter import Meter
from .opened import Opened, checkpoint_id
from .requests import Question, breakpoint_question, question
from .translate import Translator
from .turn_record import Begun
from .values import error_text

OPEN_TOOLS = "langgraph.open_tools"
"""Durable: tools left open over a `waiting` end, with their scopes."""

ATTEMPTS = "langgraph.attempts"
"""Durable: how often an interrupt was asked whose answers the graph refused."""

STOPPED_AT = "langgraph.stopped_at"
"""Durable: where the static breakpoint is that is asked about."""


class Run:
    """One turn of a graph.

    Args:
        turn: The turn.
        opened: The graph.

    Attributes:
        meter: What it used so far.
        interrupted: Why it is to end, once it is told to.
    """

    def __init__(self, turn: Turn, opened: Opened) -> None:
        self.meter = Meter()
        self.interrupted: str | None = None
        self._turn = turn
        self._opened = opened
        self._session = opened.session
        self._control: RunControl | None = None
        self._timeout: asyncio.Timeout | None = None
        self._reported: events.Usage | None = None
        self._waiting = False
        # Taken over, not copied: should this process die, the shell ends what this turn has open.
        tools = self._session.state.pop(OPEN_TOOLS, {})
        settings = opened.settings
        self._translator = Translator(
            {call: tuple(scope) for call, scope in tools.items()},
            state=settings.langgraph_state,
            state_max_bytes=settings.langgraph_state_max_bytes,
            saved_at_once=settings.langgraph_durability == "sync",
        )

    async def to_ending(self) -> Ending:
        """Run to the turn's ending; whatever is open at it is closed.

        Raises:
            AgentFailed: The graph failed, and how.
        """
        # A timeout that somebody else brings about: it ends the turn's own awaits, is told apart
        # from a cancellation by the shell, and leaves the adapter as it was.
        try:
            async with asyncio.timeout(None) as self._timeout:
                return await self._to_rest()
        except GraphDrained:
            return self._ended(self.interrupted or "drained")
        except TimeoutError as error:
            if self._timeout is not None and self._timeout.expired():
                self._name_busy_threads()
                return self._ended(self.interrupted or "")
            raise failure(error) from error
        except asyncio.CancelledError:
            self._name_busy_threads()
            raise
        finally:
            self._timeout = None
            self._finish()

    def interrupt(self, reason: str) -> bool:
        """End the turn soon: at the next superstep, or cancelled when that takes too long."""
        timeout = self._timeout
        if timeout is None:
            return False
        self.interrupted = reason
        loop = asyncio.get_running_loop()
        seconds = 0.0
        if self._control is not None and not self._opened.is_remote:
            self._control.request_drain(reason)
            seconds = self._opened.settings.langgraph_drain_seconds
        timeout.reschedule(loop.time() + seconds)
        return True

    # --- to rest -----------------------------------------------------------------------------

    async def _to_rest(self) -> Ending:
        given = self._turn.input
        if isinstance(given, UserMessage):
            stopped = await self._begin(given)
        else:
            stopped = await self._go_on(given)
        return await self._answer_to_rest(stopped=stopped)

    async def _begin(self, message: UserMessage) -> bool:
        # What the last turn left at a question is given up for the new message.
        await self._emit(self._translator.close())
        self._session.state.pop(STOPPED_AT, None)
        given = await graph_input(message, self._opened.graph, id=self._turn.id)
        after = checkpoint_id(await self._opened.state())
        if self._opened.record is not None:
            self._opened.record.write(Begun(after=after, input=given))
        await self._stream(given)
        return True

    async def _go_on(self, given: Continue) -> bool:
        """Go on from the thread's newest checkpoint.

        Returns:
            Whether the graph stands at a static breakpoint, if it stands at all.
        """
        state = await self._opened.state()
        begun = self._begun() if given.cause == "restart" else None
        if begun is not None and begun.after == checkpoint_id(state):
            await self._stream(begun.input)  # the process died before the graph took it in
            return True
        if state.created_at is None:
            raise AgentFailed(_STATE_LOST, code="state_lost")
        if given.cause == "restart" and self._lost_input(begun, state):
            raise AgentFailed(_INPUT_LOST, code="input_lost")
        if not state.next or state.interrupts:
            return False
        failed = any(task.error for task in state.tasks)
        asked_here = self._session.state.get(STOPPED_AT) == stopping_place(state)
        if not failed and (asked_here or await stands_at_breakpoint(self._opened, state)):
            return True
        await self._stream(None)
        return True

    def _begun(self) -> Begun | None:
        return self._opened.record.read() if self._opened.record is not None else None

    def _lost_input(self, begun: Begun | None, state: StateSnapshot) -> bool:
        """Whether nothing says that the graph is at rest because of this turn."""
        return self._opened.record is not None and begun is None and not state.next

    async def _answer_to_rest(self, *, stopped: bool) -> Ending:
        """Ask what the graph asks and go on with the answers, until it is at rest."""
        while questions := _questions(state := await self._opened.state(), stopped=stopped):
            if self.interrupted is not None:
                return self._ended(self.interrupted)
            self._translator.skip(_done(state))
            if not state.interrupts:
                self._session.state[STOPPED_AT] = stopping_place(state)
            answers = await self._ask(questions)
            given_up = [one.how for several in answers for one in several if one and _gave_up(one)]
            if given_up:
                return self._ended(f"the graph's question was {given_up[0]}")
            known = {
                asked.id: (asked, [one for one in several if one is not None])
                for asked, several in zip(questions, answers, strict=True)
                if None not in several
            }
            if not known:
                self._waiting = True
                return Ending("waiting", "the graph's questions are open", self.meter.total)
            values = {id: asked.resume(several) for id, (asked, several) in known.items()}
            if state.interrupts:
                expired = any(one.how == "expired" for _, all in known.values() for one in all)
                await self._resume(values, state, expired=expired)
            elif not next(iter(values.values())):
                return self._ended("stopped at a breakpoint")
            else:
                self._session.state.pop(STOPPED_AT, None)
                await self._stream(None)
            stopped = True
        return Ending("completed", usage=self.meter.total)

    async def _resume(
        self, values: dict[str, events.JSON], state: StateSnapshot, *, expired: bool
    ) -> None:
        """Give the graph its answers; note those that it refused, to be asked anew."""
        refused = set(values)
        try:
            await self._stream(Command(resume=values))
        except Exception as error:
            if not is_invalid_resume(error) or expired:
                raise
            await self._emit(self._translator.close())
            self._session.log.warning(f"the graph refused an answer: {error_text(error)}")
            tasks = {match["id"] for match in task_notes(error)}
            of_tasks = {
                item.id for task in state.tasks if task.id in tasks for item in task.interrupts
            }
            refused = of_tasks or refused
        # An interrupt that is answered and still open would get the same answer again.
        pending = {item.id for item in (await self._opened.state()).interrupts}
        before = self._session.state.get(ATTEMPTS, {})
        attempts = {id: before.get(id, 1) + (id in refused) for id in pending}
        attempts = {id: number for id, number in attempts.items() if number > 1}
        if attempts != before:
            self._session.state[ATTEMPTS] = attempts

    async def _ask(self, questions: Sequence[Question]) -> list[list[Answer | None]]:
        attempts = self._session.state.get(ATTEMPTS, {})
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    [
                        group.create_task(self._session.ask(request, key=key, may_defer=True))
                        for key, request in asked.keyed(attempts.get(asked.id, 1))
                    ]
                    for asked in questions
                ]
        except ExceptionGroup as several:  # the first says why; the others were only cancelled
            raise several.exceptions[0] from several
        return [[task.result() for task in of_one] for of_one in tasks]

    # --- streaming ---------------------------------------------------------------------------

    async def _stream(self, given: Any) -> None:
        self._control = RunControl()
        run_id = uuid.uuid4()
        await self._emit([self._announced(run_id)])
        parts = self._opened.stream(given, self._control, callbacks=[self.meter], run_id=run_id)
        try:
            async with aclosing(cast("Any", parts)) as stream:
                async for part in stream:
                    await self._emit(self._translator.receive(part))
                    await self._report()
        finally:
            self._control = None
        await self._emit(self._translator.close(ok=True, keep_tools=True))
        await self._report()

    def _announced(self, run_id: uuid.UUID) -> events.Event:
        """The id under which LangSmith, or who else traces, knows this run."""
        thread = str(self._opened.config["configurable"]["thread_id"])
        return events.Custom(
            name="langgraph.run", data={"run_id": str(run_id), "thread_id": thread}
        )

    async def _emit(self, several: Iterable[events.Event]) -> None:
        """Fix every event's place before the first wait, so that a cancellation parts none."""
        pressure: Awaitable[None] | None = None
        for event in several:
            pressure = self._turn.emit(event)
        if pressure is not None:
            await pressure

    async def _report(self) -> None:
        total = self.meter.total
        if total is not None and total != self._reported:
            self._reported = total
            await self._emit(
                [events.UsageUpdated(turn_usage=total, by_model=dict(self.meter.by_model))]
            )

    # --- the end -----------------------------------------------------------------------------

    def _ended(self, reason: str) -> Ending:
        return Ending("interrupted", reason, self.meter.total)

    def _name_busy_threads(self) -> None:
        """Tell which nodes could not be cancelled, as long as the turn may still speak."""
        for node in self._opened.threads.nodes():
            what = f"the node {node!r}" if node else "a call"
            message = (
                f"{what} runs in a thread and cannot be cancelled; it goes on until it returns, "
                "and what it does then is not seen. Write it as `async def` to make it end"
            )
            try:
                self._turn.emit(events.Warning_(code="node_not_cancelled", message=message))
            except TurnOver:
                return

    def _finish(self) -> None:
        """Close what the turn leaves open, and keep the book of what it may leave."""
        try:
            for event in self._translator.finish(keep_tools=self._waiting):
                self._turn.emit(event)
        except TurnOver:  # cancelled and fenced: the shell has closed it all
            return
        if tools := self._translator.tools:
            self._session.state[OPEN_TOOLS] = {call: list(scope) for call, scope in tools.items()}


_STATE_LOST = (
    "the graph's thread is gone: its checkpoints were kept in the memory of a process that has "
    "ended. Set CHECKPOINTER=sqlite or postgres, or compile the graph with a durable checkpointer"
)
_INPUT_LOST = (
    "the runner died before it could note the message, so the graph never saw it: send it again"
)


def _gave_up(answer: Answer) -> bool:
    return answer.how in ("superseded", "cancelled")


def _questions(state: StateSnapshot, *, stopped: bool) -> list[Question]:
    """What the graph asks; a run that ended with something to do next stopped at a breakpoint."""
    if state.interrupts:
        return [question(interrupt) for interrupt in state.interrupts]
    if stopped and state.next and not any(task.error for task in state.tasks):
        return [breakpoint_question(f"breakpoint-{stopping_place(state)}", next_nodes(state))]
    return []


def _done(state: StateSnapshot) -> list[str]:
    """Steps of an interrupted superstep that have their result already, sub-graphs included."""
    done = []
    for task in state.tasks:
        if task.result is not None:
            done.append(task.id)
        if isinstance(task.state, StateSnapshot):
            done.extend(_done(task.state))
    return done
