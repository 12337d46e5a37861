"""`runner-shell run`: a session in this terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import msgspec

from ..errors import ConfigurationError
from ..shell import process as processes
from ..shell.environment import OWN_SECRETS, Settings, missing, read_settings, read_token
from ..shell.process import Connection, Process

if TYPE_CHECKING:
    from ..transport.socket import Socket
    from .terminal import Keyboard


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


OPTIONS = {
    "adapter": ("--adapter", "RUNNER_ADAPTER"),
    "prompt": ("--prompt", "PROMPT"),
    "workspace": ("--workspace", "WORKSPACE_PATH"),
    "gateway": ("--gateway", "RUNNER_GATEWAY"),
    "token_file": ("--token-file", "BOT_TOKEN_FILE"),
    "session": ("--session", "SESSION_ID"),
    "state_dir": ("--state-dir", "RUNNER_STATE_DIR"),
}
"""Each option and the variable that it beats."""


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
    settings = _checked(environment | overlay, set(overlay))
    process = Process(settings, environment | overlay)
    stage = _gateway_stage if settings.gateway else _embedded_stage
    if settings.websocket_url:
        stage = _websocket_stage

    def on_stage(process: Process) -> AbstractAsyncContextManager[Connection]:
        return stage(process, options)

    processes.run(process, on_stage)


def _checked(environment: dict[str, str], typed: set[str]) -> Settings:
    """Read the settings and look for every other problem, so that all are told at once."""
    problems: list[str] = []
    settings = Settings()
    try:
        settings = read_settings(environment)
    except ConfigurationError as error:
        problems += error.problems
        settings = Settings(adapter=environment.get("RUNNER_ADAPTER", ""), prompt="?")
    else:
        problems += [problem for problem in missing(settings) if "SESSION_ID" not in problem]
    problems += _adapter_problems(settings.adapter, environment, thoroughly=bool(problems))
    if problems:
        raise ConfigurationError(*dict.fromkeys(_in_options(one, typed) for one in problems))
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
            {key: value for key, value in environment.items() if key not in OWN_SECRETS}
        )
    except ConfigurationError as error:
        prefix = "RUNNER_ADAPTER: " if name not in discovery.installed() else ""
        return [prefix + problem for problem in error.problems]
    return []


def _in_options(problem: str, typed: set[str]) -> str:
    """Name the option where it was typed, and beside the variable where nothing was set."""
    for option, variable in OPTIONS.values():
        if variable in typed or f"{variable} is not set" in problem:
            name = option if variable in typed else f"{option} or {variable}"
            problem = problem.replace(variable, name)
    return problem


@asynccontextmanager
async def _embedded_stage(process: Process, options: RunOptions) -> AsyncIterator[Connection]:
    """A gateway in this process: the same core and link, over a memory transport."""
    import asyncio

    from ..gateway.core import GatewayCore
    from ..gateway.errors import GatewayError, SessionExistsError
    from ..gateway.sqlite import SqliteStore
    from ..gateway.store import DEFAULT_TENANT
    from ..gateway.tokens import Principal, Role
    from ..transport.memory import memory_pair
    from .logs import log_to_stderr

    log_to_stderr(debug=process.settings.debug)
    person = Principal(name="terminal", role=Role.ADMIN, tenant=DEFAULT_TENANT)
    runner = Principal(
        name="runner", role=Role.RUNNER, tenant=DEFAULT_TENANT, session=process.session
    )
    serving: set[asyncio.Task[None]] = set()
    async with SqliteStore(options.store or ":memory:") as store:
        core = GatewayCore(store)
        with suppress(SessionExistsError):  # the store knows it from an earlier run: go on
            await core.create_session(person, process.session)

        async def dial() -> Socket:
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

        with Terminal(process, options, submit) as tap:
            yield Connection(dial, tap)
        await core.drain()


@asynccontextmanager
async def _gateway_stage(process: Process, options: RunOptions) -> AsyncIterator[Connection]:
    """A gateway at a URL, with a person's token or a runner's."""
    from ..transport.websocket import dial as dial_websocket
    from .logs import log_to_stderr
    from .person import Person

    log_to_stderr(debug=process.settings.debug)
    given = read_token(process.settings)
    person = Person(process.settings.gateway, given)
    created = await person.create_session(process.session)
    if created is not None:
        process.registry.add("RUNNER_TOKEN", created)
    base = process.settings.gateway.rstrip("/")
    url = f"ws{base.removeprefix('http')}/sessions/{process.session}/runner"

    def token() -> str:
        if created is not None:
            return created
        value = read_token(process.settings)
        process.registry.add("BOT_TOKEN", value)
        return value

    async def dial() -> Socket:
        return await dial_websocket(url, token)

    async def submit(command: dict[str, Any]) -> str:
        return await person.send(process.session, command)

    with Terminal(process, options, submit) as tap:
        yield Connection(dial, tap)


@asynccontextmanager
async def _websocket_stage(process: Process, options: RunOptions) -> AsyncIterator[Connection]:
    """`WEBSOCKET_URL`, verbatim: watched here, answered elsewhere."""

    async def submit(command: dict[str, Any]) -> str:
        del command
        return "this runner's token cannot answer; use the gateway's own front end"

    with Terminal(process, options, submit) as tap:
        yield Connection(processes.websocket_dial(process), tap)


class Terminal:
    """What watches: the view or JSON lines, and the keyboard where somebody can type."""

    def __init__(self, process: Process, options: RunOptions, submit: Any) -> None:
        self._interactive = process.settings.interactive
        self._json_lines = options.json_lines
        self._submit = submit
        self._keyboard: Keyboard | None = None
        self._finish: Callable[[], None] = lambda: None

    def __enter__(self) -> Callable[[bytes], None]:
        from .terminal import Keyboard
        from .view import EventView

        show: Callable[[bytes], None] = _print_line
        if not self._json_lines:
            view = EventView.for_stdout()
            show, self._finish = view.show, view.finish
        show = _until_nobody_reads(show)
        if not (sys.stdin.isatty() or self._interactive):
            return show
        keyboard = self._keyboard = Keyboard(self._submit, interactive=self._interactive)
        keyboard.listen()

        def tap(event: bytes) -> None:
            show(event)
            keyboard.tap(event)

        return tap

    def __exit__(self, *exception: object) -> None:
        if self._keyboard is not None:
            self._keyboard.stop()
        self._finish()


def _print_line(event: bytes) -> None:
    sys.stdout.buffer.write(event + b"\n")
    sys.stdout.buffer.flush()


def _until_nobody_reads(show: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """Show events until the reader of a pipe is gone; the session itself goes on."""
    reading = True

    def guarded(event: bytes) -> None:
        nonlocal reading
        if not reading:
            return
        try:
            show(event)
        except BrokenPipeError:
            reading = False
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115 — for the rest of the process

    return guarded
