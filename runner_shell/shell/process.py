"""A runner as a process: trust first, then the guardian's fork, then one event loop.

The order matters. Secrets leave the environment before anything is forked; the guardian is forked
before anything heavy is imported; the connection says hello before the adapter is imported.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..errors import ConfigurationError
from . import guardian, hygiene
from .environment import (
    OWN_SECRETS,
    Settings,
    missing,
    not_honoured,
    read_settings,
    read_token,
)

TYPE_CHECKING = False  # typing's own costs the start path milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping
    from contextlib import AbstractAsyncContextManager
    from typing import NoReturn

    from ..adapter.contract import Adapter
    from ..redaction import Registry
    from ..transport.driver import Dial
    from ..transport.socket import Socket
    from .runner import Runner, RunnerSettings

    Stage = Callable[["Process"], AbstractAsyncContextManager["Connection"]]


class Connection:
    """What a process dials by, and who watches.

    Args:
        dial: Opens a connection to the gateway.
        tap: Called with each event as it is stored, or None.
        attach: Called with the runner before it runs, or None.
    """

    def __init__(
        self,
        dial: Dial,
        tap: Callable[[bytes], None] | None = None,
        attach: Callable[[Runner], None] | None = None,
    ) -> None:
        self.dial = dial
        self.taps = (tap,) if tap is not None else ()
        self.attach = attach


class Process:
    """What the start has found out.

    Attributes:
        settings: What the shell was told.
        environment: The whole environment, the shell's own secrets included.
        session: Id of the session; made up where none was given.
        instance: Random id of this process.
        registry: The secrets that are known; set in the runner.
    """

    registry: Registry

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self.settings = settings
        self.environment = environment
        self.instance = os.urandom(8).hex()
        self.session = settings.session or f"local-{self.instance[:8]}"

    @property
    def state_dir(self) -> Path:
        """The private directory of this session's state."""
        if self.settings.state_dir is not None:
            return self.settings.state_dir
        base = self.environment.get("XDG_STATE_HOME") or "~/.local/state"
        return Path(base).expanduser() / "runner-shell" / self.session


def take_environment(environ: MutableMapping[str, str]) -> dict[str, str]:
    """The environment as it was, with the shell's own secrets removed from the process's.

    Args:
        environ: `os.environ`.
    """
    return dict(environ) | hygiene.take_secrets(environ, OWN_SECRETS)


def main() -> NoReturn:
    """Run a runner from the environment alone: what a container starts."""
    environment = take_environment(os.environ)
    try:
        settings = read_settings(environment)
        problems = missing(settings)
        if not settings.url:
            problems.append("RUNNER_GATEWAY is not set: give the base URL of a gateway")
        if problems:
            raise ConfigurationError(*problems)
    except ConfigurationError as error:
        refuse(error, environment)
    run(Process(settings, environment), WebSocketStage)


def refuse(error: ConfigurationError, environment: Mapping[str, str]) -> NoReturn:
    """Say every problem to stderr and the termination log, and exit with 2."""
    from .outcome import BAD_CONFIGURATION, Termination, write_termination_log

    for problem in error.problems:
        print(f"runner-shell: {problem}", file=sys.stderr)
    path = environment.get("RUNNER_TERMINATION_LOG") or "/dev/termination-log"
    write_termination_log(
        Path(path),
        Termination(
            outcome="failed", reason=str(error), resumable=False, last_acked=None, cost=None
        ),
    )
    sys.exit(BAD_CONFIGURATION)


def run(process: Process, stage: Stage) -> NoReturn:
    """Fork the guardian and run the session in its child; never returns.

    Args:
        process: What was found out.
        stage: Makes the connection, in the runner's loop.
    """
    try:
        _prepare(process)
    except ConfigurationError as error:
        refuse(error, process.environment)
    hygiene.make_undumpable()
    guardian.guard(
        lambda: _runner_main(process, stage),
        termination_log=str(process.settings.termination_log),
    )


def _prepare(process: Process) -> None:
    hygiene.private_directory(process.state_dir)
    hygiene.private_directory(process.state_dir / "shell")
    hygiene.private_directory(process.state_dir / "framework")
    # The mark by which a runner finds its descendants, should the guardian die.
    os.environ[guardian.INSTANCE_VARIABLE] = process.instance


def _runner_main(process: Process, stage: Stage) -> int:
    import asyncio

    try:
        code = asyncio.run(_run_session(process, stage))
    except ConfigurationError as error:  # found out only on the stage, such as a gateway's refusal
        guardian.mark_orderly()
        refuse(error, process.environment)
    guardian.mark_orderly()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not the ordinary way: a thread that an agent left blocked would hold the exit up for ever.
    os._exit(code)


async def _run_session(process: Process, stage: Stage) -> int:
    import asyncio

    from ..redaction import Registry
    from .outcome import write_termination_log
    from .runner import Runner
    from .signals import Signals

    own = {name: process.environment[name] for name in OWN_SECRETS if process.environment.get(name)}
    if process.settings.token_file is not None:
        own["BOT_TOKEN"] = read_token(process.settings)
    process.registry = Registry(hygiene.environment_secrets(process.environment) | own)
    async with stage(process) as connection:
        runner = Runner(
            _runner_settings(process),
            lambda: _make_adapter(process),
            connection.dial,
            registry=process.registry,
            taps=connection.taps,
        )
        _arm_last_resort(process.settings)
        with Signals(asyncio.get_running_loop(), runner, process):
            if connection.attach is not None:
                connection.attach(runner)
            verdict, termination = await runner.run()
    write_termination_log(process.settings.termination_log, termination)
    if not process.settings.session and process.settings.state_dir is None:
        import shutil

        shutil.rmtree(process.state_dir, ignore_errors=True)  # nobody can name this session again
    return verdict.exit_code


def _arm_last_resort(settings: Settings) -> None:
    """One C call that holds the GIL stops every other deadline; the guardian's it does not."""
    if settings.timeout_seconds is None:
        return
    import faulthandler

    from .signals import LAST_RESORT_SECONDS

    patience = settings.timeout_seconds + settings.grace_seconds + LAST_RESORT_SECONDS
    faulthandler.dump_traceback_later(patience - 1.0, exit=False)
    guardian.arm_deadline(patience)


def _runner_settings(process: Process) -> RunnerSettings:
    from .. import __version__
    from .runner import RunnerSettings

    settings = process.settings
    warnings = tuple(
        ("variable_not_honoured", f"{name} is set, but this version does nothing with it")
        for name in not_honoured(process.environment)
    )
    return RunnerSettings(
        session=process.session,
        instance=process.instance,
        adapter=settings.adapter,
        workspace=settings.workspace or Path.cwd(),
        framework_dir=process.state_dir / "framework",
        prompt=settings.prompt,
        interactive=settings.interactive,
        timeout_seconds=settings.timeout_seconds,
        idle_seconds=settings.idle_seconds,
        defer_seconds=settings.defer_seconds,
        grace_seconds=settings.grace_seconds,
        connect_seconds=settings.connect_seconds,
        warnings=warnings,
        version=__version__,
    )


def _make_adapter(process: Process) -> Adapter:
    """Import and construct the adapter; runs in its thread, while the socket waits."""
    from ..adapter.discovery import load

    adapter = load(process.settings.adapter)
    own = set(OWN_SECRETS)
    visible = {name: value for name, value in process.environment.items() if name not in own}
    return adapter(adapter.Settings.from_environment(visible))


class WebSocketStage:
    """A connection to the gateway that the settings name, without a terminal."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def __aenter__(self) -> Connection:
        """Nothing is dialled yet."""
        return Connection(websocket_dial(self._process))

    async def __aexit__(self, *exception: object) -> None:
        """Nothing to close: the runner's driver closed what it opened."""


def websocket_dial(process: Process) -> Dial:
    """Dials the settings' gateway, with the token read again each time."""
    url = process.settings.url

    def token() -> str:
        value = read_token(process.settings)
        process.registry.add("BOT_TOKEN", value)
        return value

    async def dial() -> Socket:
        from ..transport.websocket import dial as dial_websocket

        return await dial_websocket(url, token)

    return dial
