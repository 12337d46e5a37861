"""`runner-shell run`: a session in this terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, ParamSpec

import msgspec

from ..errors import ConfigurationError
from ..shell import process as processes
from ..shell.environment import TAKEN, Settings, examine, read_token
from ..shell.process import Connection, Process
from .options import OPTIONS, in_options

if TYPE_CHECKING:
    from ..transport.socket import Socket
    from .terminal import Keyboard, Submit

P = ParamSpec("P")


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
            yield Connection(dial, tap, lasting=bool(options.store))
        await core.drain()


@asynccontextmanager
async def _gateway_stage(process: Process, options: RunOptions) -> AsyncIterator[Connection]:
    """A gateway at a URL, with a person's token or a runner's."""
    from .logs import log_to_stderr
    from .person import Person

    log_to_stderr(debug=process.settings.debug)
    settings = msgspec.structs.replace(process.settings, session=process.session)
    person = Person(
        settings.gateway,
        read_token(settings),
        given_by=_given_by(settings, options),
    )
    created = await person.create_session(process.session)
    dial = processes.dial_with(process, settings.url, lambda: created or read_token(settings))

    async def submit(command: dict[str, Any]) -> str:
        try:
            return await person.send(process.session, command)
        except ConfigurationError as error:  # away just now; the session itself goes on
            return str(error)

    with Terminal(process, options, submit) as tap:
        yield Connection(dial, tap)


def _given_by(settings: Settings, options: RunOptions) -> tuple[str, str]:
    gateway = "--gateway" if options.gateway else "RUNNER_GATEWAY"
    if settings.token_file is None:
        return gateway, "BOT_TOKEN"
    return gateway, "--token-file" if options.token_file else "BOT_TOKEN_FILE"


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

    def __init__(self, process: Process, options: RunOptions, submit: Submit) -> None:
        self._process = process
        self._json_lines = options.json_lines
        self._submit = submit
        self._keyboard: Keyboard | None = None
        self._finish: Callable[[], None] = lambda: None

    def __enter__(self) -> Callable[[bytes], None]:
        from .terminal import Keyboard
        from .view import EventView

        show = _even_if_nobody_reads(_print_line)
        if not self._json_lines:
            view = EventView.for_stdout()
            show = _even_if_nobody_reads(view.show)
            self._finish = _even_if_nobody_reads(view.finish)
        interactive = self._process.settings.interactive
        if not (interactive or sys.stdin.isatty()):
            return show
        keyboard = self._keyboard = Keyboard(
            self._submit,
            descriptor=sys.stdin.fileno(),
            interactive=interactive,
            prefix=f"key-{self._process.instance}",
        )
        keyboard.listen()

        def tap(event: bytes) -> None:
            show(event)
            keyboard.tap(event)

        return tap

    def __exit__(self, *exception: object) -> None:
        if self._keyboard is not None:
            self._keyboard.stop()
        self._finish()


def _print_line(encoded: bytes) -> None:
    sys.stdout.buffer.write(encoded + b"\n")
    sys.stdout.buffer.flush()


def _even_if_nobody_reads(show: Callable[P, None]) -> Callable[P, None]:
    """Show until the reader of a pipe is gone; the session itself goes on."""

    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            show(*args, **kwargs)
        except BrokenPipeError:
            # The descriptor itself, so that what is buffered already has somewhere to go too.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    return guarded
