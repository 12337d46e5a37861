"""A runner as a process: trust first, then the guardian's fork, then one event loop.

The order matters. Secrets leave the environment before anything is forked; the guardian is forked
before anything heavy is imported; the connection says hello before the adapter is imported.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path

from ..control.location import socket_path, state_directory
from ..errors import ConfigurationError, Refused, TransportBroken
from .configuration.environment import (
    TAKEN,
    Settings,
    examine,
    not_honoured,
    read_given,
    read_token,
)
from .guard import bond, guardian, hygiene
from .guard.tree import INSTANCE_VARIABLE

TYPE_CHECKING = False  # typing's own costs the start path milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping
    from contextlib import AbstractAsyncContextManager
    from typing import NoReturn

    from ..adapter.contract import Adapter
    from ..journal import Journal
    from ..redaction import SecretRegistry
    from ..transport.driver import Dial
    from ..transport.socket import PromptSocket
    from .configuration.known_secrets import OwnRules
    from .outbound.safeguard import Safeguard
    from .runner import RunnerSettings

    Stage = Callable[["Process"], AbstractAsyncContextManager["Connection"]]


_STATE_ROOMS = ("shell", "framework")


class Connection:
    """What a process dials by, and who watches.

    Args:
        dial: Opens a connection to the gateway.
        tap: Called with each event as it is stored, or None.
        lasting: Whether the gateway outlives this process; else a journal that does is of no use.
    """

    def __init__(
        self,
        dial: Dial,
        tap: Callable[[bytes], None] | None = None,
        *,
        lasting: bool = True,
    ) -> None:
        self.dial = dial
        self.lasting = lasting
        self.taps = (tap,) if tap is not None else ()


class Process:
    """What the start has found out.

    Attributes:
        settings: What the shell was told.
        environment: The whole environment, the shell's own secrets included.
        session: Id of the session; made up where none was given.
        instance: Random id of this process.
        registry: The secrets that are known; set in the runner.
        guard: Redacts what leaves by other ways than events; set in the runner.
    """

    registry: SecretRegistry  # set before anything can fail with a secret in it
    guard: Safeguard

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self.settings = settings
        self.environment = environment
        self.instance = os.urandom(8).hex()
        self.session = settings.session or f"local-{self.instance[:8]}"

    @property
    def state_dir(self) -> Path:
        """The private directory of this session's state."""
        return state_directory(self.settings.state_dir, self.session, self.environment)


def take_environment(environ: MutableMapping[str, str]) -> dict[str, str]:
    """The environment as it was, with the shell's own secrets removed from the process's.

    Args:
        environ: `os.environ`.
    """
    return dict(environ) | hygiene.take_secrets(environ, TAKEN)


def stand_in_for_closed_streams() -> None:
    """Open what was started closed, or the first file opened would be stdin, stdout or stderr."""
    modes = {"stdin": "r", "stdout": "w", "stderr": "w"}
    for name, mode in modes.items():
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 — for the whole process


def main() -> NoReturn:
    """Run a runner from the environment alone: what a container starts."""
    stand_in_for_closed_streams()
    environment = take_environment(os.environ)
    try:
        settings, problems = examine(environment)
        if not (environment.get("RUNNER_GATEWAY") or environment.get("WEBSOCKET_URL")):
            problems.append("RUNNER_GATEWAY is not set: give the base URL of a gateway")
        if problems:
            raise ConfigurationError(*problems)
        run(Process(settings, environment), WebSocketStage)
    except ConfigurationError as error:
        refuse(error, environment)


def refuse(error: ConfigurationError, environment: Mapping[str, str]) -> NoReturn:
    """Say every problem to stderr and the termination log, and exit with 2.

    A problem may repeat what was set, or what a plug-in raised: secrets are replaced.
    """
    from ..redaction import Redactor
    from .configuration.known_secrets import KnownSecrets
    from .outbound.safeguard import Safeguard
    from .outcome import BAD_CONFIGURATION, Termination, write_termination_log

    known = KnownSecrets(read_given(environment)[0], environment)
    redact = Safeguard(Redactor(known.registry)).text
    for problem in error.problems:
        print(f"runner-shell: {redact(problem)}", file=sys.stderr)
    path = environment.get("RUNNER_TERMINATION_LOG") or "/dev/termination-log"
    write_termination_log(
        Path(path),
        Termination(
            outcome="failed", reason=redact(str(error)), resumable=False, last_acked=None, cost=None
        ),
    )
    sys.exit(BAD_CONFIGURATION)


def run(process: Process, stage: Stage) -> NoReturn:
    """Fork the guardian and run the session in its child; never returns.

    Args:
        process: What was found out.
        stage: Makes the connection, in the runner's loop.

    Raises:
        ConfigurationError: The state directory cannot be used.
    """
    _prepare(process)
    hygiene.make_undumpable()
    guardian.guard(
        lambda: _runner_main(process, stage),
        termination_log=str(process.settings.termination_log),
    )


def _prepare(process: Process) -> None:
    try:
        for directory in (process.state_dir, *map(process.state_dir.joinpath, _STATE_ROOMS)):
            hygiene.private_directory(directory)
    except ConfigurationError as error:
        raise ConfigurationError(f"RUNNER_STATE_DIR: {error}") from error
    # The mark by which a runner finds its descendants, should the guardian die.
    os.environ[INSTANCE_VARIABLE] = process.instance


def _runner_main(process: Process, stage: Stage) -> int:
    import asyncio

    try:
        code = asyncio.run(_run_session(process, stage))
    except ConfigurationError as error:  # found out only on the stage, such as a gateway's refusal
        bond.mark_orderly()
        refuse(error, process.environment)
    except Exception as error:  # noqa: BLE001 — the process's edge: it becomes exit code 70
        code = _own_fault(process, error)
    else:
        bond.mark_orderly()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not the ordinary way: a thread that an agent left blocked would hold the exit up for ever.
    os._exit(code)


def _own_fault(process: Process, error: Exception) -> int:
    """Say the traceback, redacted; the guardian writes the termination log."""
    import traceback

    from .outcome import SHELL_FAULT

    text = "".join(traceback.format_exception(error))
    print(process.guard.text(text), file=sys.stderr)
    return SHELL_FAULT


async def _run_session(process: Process, stage: Stage) -> int:
    import asyncio

    from ..control.server import StatusServer
    from ..redaction import Redactor
    from .configuration.known_secrets import KnownSecrets
    from .outbound.logs import log_to_stderr, say_uncaught_errors
    from .outbound.safeguard import Safeguard
    from .outcome import EXIT_CODES, write_termination_log
    from .runner import Runner
    from .signals import Signals

    known = KnownSecrets(process.settings, process.environment)
    process.registry = known.registry
    process.guard = Safeguard(Redactor(known.registry))
    log_to_stderr(process.guard.text, debug=process.settings.debug)
    say_uncaught_errors(process.guard.text)
    known.watch()
    async with stage(process) as connection:
        with closing(_journal(process, lasting=connection.lasting)) as journal:
            runner = Runner(
                _runner_settings(process, tuple(known.warnings)),
                lambda: _make_adapter(process),
                connection.dial,
                registry=process.registry,
                taps=connection.taps,
                journal=journal,
                find_rules=lambda: _find_rules(process),
            )
            _arm_last_resort(process.settings)
            with Signals(asyncio.get_running_loop(), runner, process):
                async with StatusServer(socket_path(process.state_dir), runner.status):
                    verdict, termination = await runner.run()
    known.close()
    write_termination_log(process.settings.termination_log, termination)
    shown = connection.taps and verdict.exit_code == EXIT_CODES[verdict.outcome]
    if verdict.exit_code and not shown:
        print(f"runner-shell: {termination.outcome}: {termination.reason}", file=sys.stderr)
    if not process.settings.session and process.settings.state_dir is None:
        import shutil

        shutil.rmtree(process.state_dir, ignore_errors=True)  # nobody can name this session again
    return verdict.exit_code


def _journal(process: Process, *, lasting: bool) -> Journal:
    """The session's journal; in memory where no next process could name the session again.

    Raises:
        ConfigurationError: Another runner has the directory, or its disk cannot be written.
    """
    from ..journal import MemoryJournal, open_journal

    named = process.settings.session or process.settings.state_dir is not None
    if not named or not lasting:
        return MemoryJournal()
    return open_journal(
        process.state_dir / "shell",
        holder=f"process {os.getpid()}, session {process.session}",
        retention=process.settings.journal_retention,
    )


def _arm_last_resort(settings: Settings) -> None:
    """One C call that holds the GIL stops every other deadline; the guardian's it does not."""
    if settings.timeout_seconds is None:
        return
    import faulthandler

    from .signals import LAST_RESORT_SECONDS

    patience = settings.timeout_seconds + settings.grace_seconds + LAST_RESORT_SECONDS
    faulthandler.dump_traceback_later(patience - 1.0, exit=False)
    bond.arm_deadline(patience)


def _find_rules(process: Process) -> OwnRules:
    """The rules; for log lines they count from here on. Runs in the adapter's thread."""
    from .configuration.known_secrets import find_rules

    rules = find_rules(process.settings)
    process.guard.redactor = rules.redactor(process.registry)
    return rules


def _runner_settings(
    process: Process, known_warnings: tuple[tuple[str, str], ...]
) -> RunnerSettings:
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
        resume=settings.resume,
        journal_limit_bytes=settings.journal_limit_bytes,
        warnings=warnings + known_warnings,
        version=__version__,
    )


def _make_adapter(process: Process) -> Adapter:
    """Import and construct the adapter; runs in its thread, while the socket waits."""
    import gc

    from ..adapter.discovery import load
    from .outbound.logs import configure_structlog

    gc.freeze()  # what the start made stays for good: it is never looked through again
    gc.enable()
    configure_structlog()
    adapter = load(process.settings.adapter)
    visible = {name: value for name, value in process.environment.items() if name not in TAKEN}
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
    return dial_with(process, process.settings.url, lambda: read_token(process.settings))


def dial_with(process: Process, url: str, read: Callable[[], str]) -> Dial:
    """Dials an address; a token file that is just being replaced is like a gateway that is away.

    Args:
        process: Whose registry is to know every token that was used.
        url: The WebSocket's address.
        read: Gives the token at every dial.
    """

    def token() -> str:
        try:
            value = read()
        except ConfigurationError as error:
            raise TransportBroken(str(error)) from error
        process.registry.add("BOT_TOKEN", value)
        return value

    async def dial() -> PromptSocket:
        import logging

        from ..transport.websocket import dial as dial_websocket

        log = logging.getLogger("runner_shell")
        log.debug("dialling %s", url.partition("?")[0])
        try:
            socket = await dial_websocket(url, token, ca_file=process.settings.ca_file)
        except (Refused, TransportBroken) as error:
            log.debug("not connected: %s", error)
            raise
        log.debug("connected")
        return socket

    return dial
