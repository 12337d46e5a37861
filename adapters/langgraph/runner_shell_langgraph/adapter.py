"""The adapter: one LangGraph thread per session, one or more runs of the graph per turn.

A turn runs the graph until it is at rest. Where it stopped at interrupts, their questions are
asked, all at the same time, and the graph is resumed with the answers in the same turn. Where the
answers are deferred the turn ends `waiting`; the next one asks again under the same keys.

The thread lives in the graph's own checkpointer. A graph without one gets one in memory: enough for
interrupts and for turns of this process, not for a next process, whose turn then fails as
`state_lost`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Iterable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import (
    EmptyInputError,
    GraphRecursionError,
    InvalidUpdateError,
    NodeTimeoutError,
    is_invalid_resume,
)
from langgraph.types import Command, StateSnapshot

from runner_shell import (
    Adapter,
    AdapterSettings,
    AgentFailed,
    Answer,
    Capabilities,
    ConfigurationError,
    Ending,
    RunnerError,
    Session,
    Turn,
    TurnOver,
    UserMessage,
    events,
)

from .inputs import graph_input
from .load import Graph, load_graph
from .requests import Question, breakpoint_question, question
from .settings import LangGraphSettings
from .translate import STREAM_MODES, Translator, added, error_text, usage_of

OPEN_TOOLS = "langgraph.open_tools"
"""Durable: tools left open over a `waiting` end, with their scopes."""

ATTEMPTS = "langgraph.attempts"
"""Durable: how often an interrupt was asked whose answers the graph refused."""

_TASK_NOTE = re.compile(r"During task with name '(?P<name>.*)' and id '(?P<id>.*)'")
_TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


class LangGraphAdapter(Adapter):
    """Runs any LangGraph graph.

    A node finds `thread_id`, `session_id` and `workspace` in its config's `configurable`.
    """

    name = "langgraph"
    capabilities = Capabilities(resume=True, defer=True)
    Settings = LangGraphSettings

    settings: LangGraphSettings

    def __init__(self, settings: LangGraphSettings) -> None:
        super().__init__(settings)
        self._session: Session | None = None
        self._graph: Graph | None = None
        self._memory = InMemorySaver()  # outlives close and reopen, as the session does
        self._config: dict[str, Any] = {}
        self._context: dict[str, Any] | None = None
        self._running: asyncio.Timeout | None = None
        self._interrupted = ""

    @classmethod
    def preflight(cls, settings: AdapterSettings, *, workspace: Path) -> Iterable[str]:
        """Import the graph, as `open` would, and read its configuration."""
        assert isinstance(settings, LangGraphSettings)
        try:
            graph = load_graph(
                settings.graph,
                workspace=workspace,
                allow_workspace=settings.langgraph_allow_workspace_graph,
            )
            settings.graph_config(has_context=graph.context_schema is not None)
        except ConfigurationError as error:
            return error.problems
        return ()

    async def open(self, session: Session) -> None:
        """Load the graph.

        Raises:
            ConfigurationError: `GRAPH` or `WORKFLOW_CONFIG` is wrong, and what would be right.
        """
        self._session = session
        graph = self._graph or load_graph(
            self.settings.graph,
            workspace=session.workspace.path,
            allow_workspace=self.settings.langgraph_allow_workspace_graph,
        )
        configurable, self._context = self.settings.graph_config(
            has_context=graph.context_schema is not None
        )
        own = {
            "thread_id": session.id,
            "session_id": session.id,
            "workspace": str(session.workspace.path),
        }
        self._config = {
            "configurable": {**configurable, **own},
            "recursion_limit": self.settings.langgraph_recursion_limit,
            "metadata": {"workflow_id": self.settings.workflow_id},
        }
        if not isinstance(graph.checkpointer, BaseCheckpointSaver):
            graph = graph.copy(update={"checkpointer": self._memory})
        self._graph = graph

    async def turn(self, turn: Turn) -> Ending:
        """Run the graph until it is at rest, asking its questions on the way.

        Raises:
            AgentFailed: A node raised (`node_failed`, `node_timeout`, `rate_limited`), the graph
                is at fault (`recursion_limit`, `invalid_update`), the message does not fit it
                (`invalid_input`), or its thread is gone (`state_lost`).
        """
        assert self._graph is not None, "opened before the first turn"
        assert self._session is not None
        run = _Run(turn, self._session, self._graph, self._config, self._context)
        # A timeout that somebody else brings about: it ends the turn's own awaits, is told apart
        # from a cancellation by the shell, and leaves the adapter as it was.
        try:
            async with asyncio.timeout(None) as running:
                self._running = running
                return await run.to_rest()
        except TimeoutError as error:
            if running.expired():
                return Ending("interrupted", self._interrupted, run.meter.total)
            raise _failure(error) from error
        except RunnerError:
            raise
        except Exception as error:
            raise _failure(error) from error
        finally:
            self._running = None
            run.finish()

    async def interrupt(self, reason: str) -> bool:
        """Cancel the running graph; the turn ends `interrupted`, and its thread can go on."""
        if self._running is None:
            return False
        self._interrupted = reason
        self._running.reschedule(asyncio.get_running_loop().time())
        return True

    async def close(self) -> None:
        """Let the session go; graph and memory stay for the next `open`."""
        self._session = None

    def describe(self) -> dict[str, events.JSON]:
        """The graph's reference, name, nodes and what keeps its thread."""
        if self._graph is None:
            return {"graph": self.settings.graph}
        return {
            "graph": self.settings.graph,
            "name": self._graph.get_name(),
            "nodes": [name for name in self._graph.nodes if not name.startswith("__")],
            "checkpointer": type(self._graph.checkpointer).__name__,
            "durable": self._graph.checkpointer is not self._memory,
        }


class _Run:
    """One turn's runs of the graph, and the questions between them."""

    def __init__(
        self,
        turn: Turn,
        session: Session,
        graph: Graph,
        config: dict[str, Any],
        context: dict[str, Any] | None,
    ) -> None:
        self.meter = _Meter()
        self._turn = turn
        self._session = session
        self._graph = graph
        self._config = cast("Any", {**config, "callbacks": [self.meter]})
        self._context = context
        self._reported: events.Usage | None = None
        self._waiting = False
        # Taken over, not copied: should this process die, the shell ends what this turn has open.
        tools = session.state.pop(OPEN_TOOLS, {})
        self._translator = Translator({call: tuple(scope) for call, scope in tools.items()})

    async def to_rest(self) -> Ending:
        if isinstance(self._turn.input, UserMessage):
            # What the last turn left at a question is given up for the new message.
            await self._emit(self._translator.close())
            next_input = graph_input(self._turn.input, self._graph, id=self._turn.id)
            await self._stream(next_input)
        elif (await self._state()).created_at is None:
            raise AgentFailed(
                "the graph's thread is gone: its checkpoints were kept in the memory of a process "
                "that has ended. Compile the graph with a durable checkpointer",
                code="state_lost",
            )
        else:
            state = await self._state()
            if state.next and not _questions(state):
                await self._stream(None)
        return await self._answer_to_rest()

    async def _answer_to_rest(self) -> Ending:
        """Ask what the graph asks and go on with the answers, until it is at rest."""
        while questions := _questions(state := await self._state()):
            self._translator.skip(_done(state))
            answers = await self._ask(questions)
            known = [answer for answer in answers if answer is not None]
            if len(known) < len(answers):
                self._waiting = True
                return Ending("waiting", "the graph's questions are open", self.meter.total)
            given_up = [answer.how for answer in known if answer.how in ("superseded", "cancelled")]
            if given_up:
                reason = f"the graph's question was {given_up[0]}"
                return Ending("interrupted", reason, self.meter.total)
            values = _by_question(questions, known)
            if not state.interrupts:
                if not next(iter(values.values())):
                    return Ending("interrupted", "stopped at a breakpoint", self.meter.total)
                await self._stream(None)
            else:
                expired = any(answer.how == "expired" for answer in known)
                await self._resume(values, state, expired=expired)
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
            tasks = {match["id"] for match in _task_notes(error)}
            of_tasks = {
                item.id for task in state.tasks if task.id in tasks for item in task.interrupts
            }
            refused = of_tasks or refused
        # An interrupt that is answered and still open would get the same answer again.
        pending = {item.id for item in (await self._state()).interrupts}
        before = self._session.state.get(ATTEMPTS, {})
        attempts = {id: before.get(id, 1) + (id in refused) for id in pending}
        attempts = {id: number for id, number in attempts.items() if number > 1}
        if attempts != before:
            self._session.state[ATTEMPTS] = attempts

    async def _ask(self, questions: Sequence[Question]) -> list[Answer | None]:
        attempts = self._session.state.get(ATTEMPTS, {})
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._session.ask(request, key=key, may_defer=True))
                    for asked in questions
                    for key, request in _keyed(asked, attempts.get(asked.id, 1))
                ]
        except ExceptionGroup as several:  # the first says why; the others were only cancelled
            raise several.exceptions[0] from several
        return [task.result() for task in tasks]

    async def _stream(self, next_input: Any) -> None:
        parts = self._graph.astream(
            next_input,
            self._config,
            context=self._context,
            stream_mode=cast("Any", list(STREAM_MODES)),
            subgraphs=True,
            version="v2",
        )
        async with aclosing(cast("Any", parts)) as stream:
            async for part in stream:
                await self._emit(self._translator.receive(part))
                await self._report()
        await self._emit(self._translator.close(ok=True, keep_tools=True))
        await self._report()

    async def _state(self) -> StateSnapshot:
        return await self._graph.aget_state(self._config, subgraphs=True)

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

    def finish(self) -> None:
        """Close what the turn leaves open, and keep the book of what it may leave."""
        try:
            for event in self._translator.close(keep_tools=self._waiting):
                self._turn.emit(event)
        except TurnOver:  # cancelled and fenced: the shell has closed it all
            return
        if tools := self._translator.tools:
            self._session.state[OPEN_TOOLS] = {call: list(scope) for call, scope in tools.items()}


class _Meter(BaseCallbackHandler):
    """Sums what every model call used, those included that a graph does not stream."""

    run_inline = True

    def __init__(self) -> None:
        self.total: events.Usage | None = None
        self.by_model: dict[str, events.Usage] = {}

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """Add one call."""
        for generation in (one for several in response.generations for one in several):
            message = generation.message if isinstance(generation, ChatGeneration) else None
            if not isinstance(message, AIMessage) or (used := usage_of(message)) is None:
                continue
            self.total = added(self.total, used)
            if model := message.response_metadata.get("model_name"):
                self.by_model[str(model)] = added(self.by_model.get(str(model)), used) or used


def _questions(state: StateSnapshot) -> list[Question]:
    if state.interrupts:
        return [question(interrupt) for interrupt in state.interrupts]
    checkpoint = str(state.config.get("configurable", {}).get("checkpoint_id", ""))
    if state.next and not any(task.error for task in state.tasks):
        return [breakpoint_question(f"breakpoint-{checkpoint}", state.next)]
    return []


def _keyed(asked: Question, attempt: int) -> list[tuple[str, Any]]:
    key = asked.id if attempt == 1 else f"{asked.id}.{attempt}"
    if len(asked.requests) == 1:
        return [(key, asked.requests[0])]
    return [(f"{key}/{place}", request) for place, request in enumerate(asked.requests)]


def _by_question(
    questions: Sequence[Question], answers: Sequence[Answer]
) -> dict[str, events.JSON]:
    left = iter(answers)
    return {asked.id: asked.resume([next(left) for _ in asked.requests]) for asked in questions}


def _done(state: StateSnapshot) -> list[str]:
    """Steps of an interrupted superstep that have their result already, sub-graphs included."""
    done = []
    for task in state.tasks:
        if task.result is not None:
            done.append(task.id)
        if isinstance(task.state, StateSnapshot):
            done.extend(_done(task.state))
    return done


def _task_notes(error: BaseException) -> list[re.Match[str]]:
    notes = (_TASK_NOTE.match(note) for note in getattr(error, "__notes__", ()))
    return [match for match in notes if match]


def _failure(error: Exception) -> AgentFailed:
    """Say in the contract's words what the graph raised."""
    said = error_text(error)
    nodes = [match["name"] for match in reversed(_task_notes(error))]  # the outermost noted last
    where = f"node {'/'.join(nodes)} failed" if nodes else "the graph failed"
    status = getattr(error, "status_code", None)
    match error:
        case GraphRecursionError():
            return AgentFailed(
                f"the graph took more steps than allowed; mend its loop, or set "
                f"LANGGRAPH_RECURSION_LIMIT. {said}",
                code="recursion_limit",
            )
        case InvalidUpdateError():
            return AgentFailed(f"{where}: {said}", code="invalid_update")
        case EmptyInputError():
            return AgentFailed(f"the graph found no input: {said}", code="invalid_input")
        case NodeTimeoutError():
            return AgentFailed(f"{where}: {said}", code="node_timeout", retryable=True)
    code = "rate_limited" if status == 429 else "node_failed" if nodes else "graph_failed"
    return AgentFailed(f"{where}: {said}", code=code, retryable=status in _TRANSIENT)
