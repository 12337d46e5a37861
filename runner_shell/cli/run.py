"""`runner-shell run`: a session in this terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import msgspec

from ..errors import ConfigurationError
from ..shell import process as processes
from ..shell.configuration.environment import TAKEN, Settings, examine, read_token
from ..shell.process import Connection, Process
from .options import OPTIONS, in_options

if TYPE_CHECKING:
    from ..client import GatewayClient, SessionClient
    from ..transport.socket import PromptSocket
    from .keyboard import Submit
    from .place import Place
    from .terminal import Terminal


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What was typed; an empty option was not."""

    adapter: str
    prompt: str
    workspace: str
    gateway: str
    token_file: str
    session: str
    state_dir: str
    store: str
    interactive: bool
    json_lines: bool


def run_session(options: RunOptions) -> None:
    """Run the session; never returns, but exits with its code.

    Raises:
        ConfigurationError: Every problem that can be found before the start.
    """
    environment = processes.take_environment(os.environ)
    overlay = {
        variable: str(getattr(options, field))
        for field, (_, variable) in OPTIONS.items()
        if getattr(options, field)
    }
    if options.interactive:
        overlay["INTERACTIVE"] = "true"
    if options.gateway:
        environment.pop("WEBSOCKET_URL", None)  # the option beats every variable
    try:
        settings = _checked(environment | overlay)
        process = Process(settings, environment | overlay)
        stage = _gateway_stage if settings.gateway else _embedded_stage
        if settings.websocket_url:
            stage = _websocket_stage
        processes.run(process, lambda process: stage(process, options))
    except ConfigurationError as error:
        raise in_options(error, overlay) from error


def _checked(environment: dict[str, str]) -> Settings:
    """Read the settings and look for every other problem, so that all are told at once."""
    settings, problems = examine(environment)
    problems = [one for one in problems if not one.startswith("SESSION_ID is not set")]
    problems += _adapter_problems(settings.adapter, environment, thoroughly=bool(problems))
    if problems:
        raise ConfigurationError(*problems)
    return settings


def _adapter_problems(name: str, environment: dict[str, str], *, thoroughly: bool) -> list[str]:
    """What is wrong with the adapter; its import is heavy and left to the runner if all is well."""
    from ..adapter import discovery

    if not name:
        return []
    if not thoroughly and name in discovery.installed():
        return []
    try:
        adapter = discovery.load(name)
        adapter.Settings.from_environment(
            {key: value for key, value in environment.items() if key not in TAKEN}
        )
    except ConfigurationError as error:
        prefix = "RUNNER_ADAPTER: " if name not in discovery.installed() else ""
        return [prefix + problem for problem in error.problems]
    return []


@asynccontextmanager
async def _embedded_stage(process: Process, options: RunOptions) -> AsyncIterator[Connection]:
    """A gateway in this process: the same core and link, over a memory transport."""
    import asyncio

    from ..gateway.core import GatewayCore
    from ..gateway.errors import GatewayError, SessionExistsError
    from ..gateway.sqlite import SqliteStore
    from ..gateway.store import DEFAULT_TENANT
    from ..gateway.tokens import Principal, Role
    from ..shell.outbound.logs import configure_structlog
    from ..transport.memory import memory_pair

    configure_structlog()  # the gateway's lines go where the shell's own do
    person = Principal(name="terminal", role=Role.ADMIN, tenant=DEFAULT_TENANT)
    runner = Principal(
        name="runner", role=Role.RUNNER, tenant=DEFAULT_TENANT, session=process.session
    )
    serving: set[asyncio.Task[None]] = set()
    async with SqliteStore(options.store or ":memory:") as store:
        core = GatewayCore(store)
        with suppress(SessionExistsError):  # the store knows it from an earlier run: go on
            await core.create_session(person, process.session)

        async def dial() -> PromptSocket:
            ours, theirs = memory_pair()
            task = asyncio.ensure_future(core.serve_runner(theirs, runner, process.session))
            serving.add(task)
            task.add_done_callback(serving.discard)
            return ours

        async def submit(command: dict[str, Any]) -> str:
            try:
                await core.submit_command(person, process.session, command)
            except GatewayError as error:
                return str(error)
            return ""

        with _terminal(process, options, submit) as terminal:
            yield Connection(dial, terminal.show, lasting=bool(options.store))
        await core.drain()


@asynccontextmanager
async def _gateway_stage(process: Process, options: RunOptions) -> AsyncIterator[Connection]:
    """A gateway at a URL, with a person's token or a runner's."""
    from ..errors import RunnerError
    from .place import named_by

    settings = msgspec.structs.replace(process.settings, session=process.session)
    place = named_by(
        settings, gateway_typed=bool(options.gateway), token_typed=bool(options.token_file)
    )
    async with place.client() as client:
        session = client.session(process.session)
        created = await _runner_token(place, client, session)
        dial = processes.dial_with(process, settings.url, lambda: created or read_token(settings))

        async def submit(command: dict[str, Any]) -> str:
            try:
                await session.send(command)
            except RunnerError as error:  # refused, or away just now; the session itself goes on
                return str(error)
            return ""

        with _terminal(process, options, submit) as terminal:
            yield Connection(dial, terminal.show)


async def _runner_token(place: Place, client: GatewayClient, session: SessionClient) -> str | None:
    """Create the session, or get a token for one that exists; None where ours is a runner's."""
    from ..errors import RequestRefused, RunnerError

    try:
        return (await client.create_session(session.id)).runner_token
    except RequestRefused as error:
        if error.code == 403:
            return None  # a runner's own token
        if error.code != 409:
            raise place.problem(error) from error
    except RunnerError as error:
        raise place.problem(error) from error
    try:
        return await session.issue_token()
    except RunnerError:  # a gateway that lets this very token in, or refuses it when it is dialled
        return None


@asynccontextmanager
async def _websocket_stage(process: Process, options: RunOptions) -> AsyncIterator[Connection]:
    """`WEBSOCKET_URL`, verbatim: watched here, answered elsewhere."""

    async def submit(command: dict[str, Any]) -> str:
        del command
        return "this runner's token cannot answer; use the gateway's own front end"

    with _terminal(process, options, submit) as terminal:
        yield Connection(processes.websocket_dial(process), terminal.show)


def _terminal(process: Process, options: RunOptions, submit: Submit) -> Terminal:
    """Shows the session; messages are taken where it is interactive, answers where one can type."""
    from .terminal import Terminal

    interactive = process.settings.interactive

    def at_end(terminal: Terminal) -> None:
        if interactive:
            terminal.send(type="session.end")

    return Terminal(
        submit,
        json_lines=options.json_lines,
        listens=interactive or sys.stdin.isatty(),
        interactive=interactive,
        prefix=f"key-{process.instance}",
        at_end=at_end,
        also_mine="initial",
    )
