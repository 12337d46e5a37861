"""What a runner needs around it, looked at without starting one: each look tells what it found."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from ..errors import ConfigurationError, NotSupported, Refused, RunnerError, TransportBroken
from ..shell.configuration.environment import (
    TAKEN,
    VARIABLES,
    Settings,
    Variable,
    not_honoured,
    read_token,
)
from ..shell.process import Process

if TYPE_CHECKING:
    from ..client import WhoAmI

PREFLIGHT_SECONDS = 30.0
"""How long an adapter's import and preflight may take."""

Verdict = Literal["ok", "wrong", "note"]


class Checked(Struct, frozen=True, kw_only=True):
    """One thing that was looked at.

    Attributes:
        what: The setting's variable, or a part of the surroundings.
        verdict: `wrong` keeps a runner from working; a `note` does not.
        said: The value, what was found, or the problem as a sentence.
    """

    what: str
    verdict: Verdict
    said: str


def look_at_settings(
    settings: Settings, problems: list[str], environment: Mapping[str, str]
) -> Iterator[Checked]:
    """Every variable that is set, with its value; and every problem, of these and of unset ones."""
    left = dict.fromkeys(problems)
    for row in VARIABLES:
        wrong = [one for one in left if one.partition(" ")[0] in row.names]
        name = next((name for name in row.names if environment.get(name)), row.names[0])
        for problem in wrong:
            del left[problem]
            yield Checked(what=name, verdict="wrong", said=problem)
        if not wrong and environment.get(name):
            yield Checked(what=name, verdict="ok", said=_value(row, settings))
    for problem in left:
        yield Checked(what="settings", verdict="wrong", said=problem)
    for name in not_honoured(environment):
        said = f"{name} is set, but this version does nothing with it"
        yield Checked(what=name, verdict="note", said=said)


def _value(row: Variable, settings: Settings) -> str:
    if row.secret:
        return "a value that is not shown"
    value = getattr(settings, row.field)
    return "never" if value is None else str(value)


def look_at_adapter(
    settings: Settings, environment: Mapping[str, str], *, online: bool = False
) -> Iterator[Checked]:
    """Import the adapter, read its settings, and ask for its own preflight.

    Args:
        settings: The shell's.
        environment: What the adapter's are read from.
        online: Where nothing is wrong, have it ask those whom it needs too.
    """
    if not settings.adapter:
        return
    visible = {name: value for name, value in environment.items() if name not in TAKEN}
    workspace = settings.workspace or Path.cwd()
    try:
        found = _within_time(lambda: _try_adapter(settings.adapter, visible, workspace))
        yield from found
        if online and not any(one.verdict == "wrong" for one in found):
            yield from _within_time(lambda: _ask_online(settings.adapter, visible, workspace))
    except TimeoutError:
        said = (
            f"the adapter {settings.adapter!r} has not been imported and looked at within "
            f"{PREFLIGHT_SECONDS:g} s: see what its import or its preflight waits for"
        )
        yield Checked(what="adapter", verdict="wrong", said=said)


def _try_adapter(name: str, environment: Mapping[str, str], workspace: Path) -> list[Checked]:
    from ..adapter import discovery

    try:
        adapter = discovery.load(name)
        settings = adapter.Settings.from_environment(environment)
        problems = list(adapter.preflight(settings, workspace=workspace))
    except ConfigurationError as error:
        known = name in discovery.installed()
        problems = [one if known else f"RUNNER_ADAPTER: {one}" for one in error.problems]
    except Exception as error:  # noqa: BLE001 — the plug-in's edge: all it raises is a problem
        problems = [f"the adapter {name!r}: its preflight raised {type(error).__name__}: {error}"]
    if problems:
        return [Checked(what="adapter", verdict="wrong", said=problem) for problem in problems]
    point = discovery.installed()[name]
    package = "" if point.dist is None else f"{point.dist.name} {point.dist.version}, "
    return [Checked(what="adapter", verdict="ok", said=f"{package}{point.value}")]


def _ask_online(name: str, environment: Mapping[str, str], workspace: Path) -> list[Checked]:
    from ..adapter import discovery

    adapter = discovery.load(name)
    settings = adapter.Settings.from_environment(environment)
    try:
        problems = list(adapter.preflight_online(settings, workspace=workspace))
    except NotSupported as error:
        return [Checked(what="online", verdict="note", said=f"nothing was asked: {error}")]
    except ConfigurationError as error:
        problems = list(error.problems)
    except Exception as error:  # noqa: BLE001 — the plug-in's edge: all it raises is a problem
        raised = f"{type(error).__name__}: {error}"
        problems = [f"the adapter {name!r}: its online preflight raised {raised}"]
    if problems:
        return [Checked(what="online", verdict="wrong", said=problem) for problem in problems]
    return [Checked(what="online", verdict="ok", said="all that the adapter asked about is good")]


def _within_time(look: Callable[[], list[Checked]]) -> list[Checked]:
    """Run it in a thread that a hang cannot keep this process by."""
    found: list[list[Checked]] = []
    thread = threading.Thread(target=lambda: found.append(look()), daemon=True)
    thread.start()
    thread.join(PREFLIGHT_SECONDS)
    if not found:
        raise TimeoutError
    return found[0]


def look_at_places(settings: Settings, environment: Mapping[str, str]) -> Iterator[Checked]:
    """Whether the workspace and the state directory can be written; nothing is left there."""
    workspace = settings.workspace or Path.cwd()
    try:
        with tempfile.TemporaryFile(dir=workspace):
            pass
        yield Checked(what="workspace", verdict="ok", said=f"{workspace} can be written")
    except OSError as error:
        said = (
            f"WORKSPACE_PATH: {workspace} cannot be written ({error.strerror}): name a directory "
            "where the agent may write, or change its rights"
        )
        yield Checked(what="workspace", verdict="wrong", said=said)
    state = Process(settings, environment).state_dir
    problem = _state_problem(state)
    said = f"RUNNER_STATE_DIR: {problem}" if problem else f"{state} can be used"
    yield Checked(what="state", verdict="wrong" if problem else "ok", said=said)


def _state_problem(path: Path) -> str:
    """Why this is no private directory for a runner and cannot become one; empty if it can."""
    there = path
    while not os.path.lexists(there):
        there = there.parent
    if path.is_symlink():
        return f"{path} is a symbolic link: name the directory itself"
    if not there.is_dir():
        return f"{there} is no directory: name a directory"
    if there == path and there.stat().st_uid != os.geteuid():
        return f"{path} belongs to another user: name a directory of your own"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"{there} cannot be written: name a directory that this user may use"
    return ""


def look_at_gateway(settings: Settings) -> list[Checked]:
    """Whether the gateway answers, and what the token is good for."""
    if not settings.url:
        said = "none is set: `run` has one in memory, a container needs RUNNER_GATEWAY"
        return [Checked(what="gateway", verdict="note", said=said)]
    if not (settings.token or settings.token_file):
        return []  # that it is missing is told already
    return asyncio.run(_ask_gateway(settings))


async def _ask_gateway(settings: Settings) -> list[Checked]:
    if settings.websocket_url:
        return await _dial(settings, "WEBSOCKET_URL")
    from ..client import GatewayClient

    url = settings.gateway.rstrip("/")
    async with GatewayClient(url, lambda: read_token(settings), patience_seconds=0.0) as client:
        try:
            who = await client.whoami()
        except Refused as error:
            if error.code == 404:  # a gateway of another make: the link itself tells the rest
                return await _dial(settings, "RUNNER_GATEWAY")
            return [_refused(error, f"RUNNER_GATEWAY: {url}", settings)]
        except RunnerError as error:
            said = f"RUNNER_GATEWAY: {error}: is it running, and is this its base URL?"
            return [Checked(what="gateway", verdict="wrong", said=said)]
    found = [Checked(what="gateway", verdict="ok", said=f"{url} answers"), _role(who, settings)]
    if found[-1].verdict == "ok" and who.role == "runner" and settings.session:
        found += await _dial(settings, "RUNNER_GATEWAY")
    return found


def _role(who: WhoAmI, settings: Settings) -> Checked:
    """Whether this token may serve the session."""
    held = f"{who.role}{f' of session {who.session}' if who.session else ''}, {who.name}"
    problem = ""
    if who.role == "runner" and not settings.session:
        problem = f"SESSION_ID is not set: this runner's token is good for session {who.session!r}"
    elif who.role == "runner" and who.session not in (None, settings.session):
        problem = (
            f"{_token_name(settings)} is a token for session {who.session!r}, and SESSION_ID is "
            f"{settings.session!r}: take the token that came with the session"
        )
    elif who.role not in ("runner", "admin"):
        problem = (
            f"{_token_name(settings)} is a token of the role {who.role!r}: a runner needs the "
            "runner's token of its session, or an admin's, who may create sessions"
        )
    return Checked(what="token", verdict="wrong" if problem else "ok", said=problem or held)


async def _dial(settings: Settings, name: str) -> list[Checked]:
    """Open the runner's WebSocket and close it without a word, so that no runner is replaced."""
    from ..transport.websocket import dial

    shown = settings.url.partition("?")[0]
    try:
        socket = await dial(settings.url, lambda: read_token(settings))
        await socket.close(1000, "looked whether it can be reached")
    except Refused as error:
        return [_refused(error, f"{name}: {shown}", settings)]
    except (TransportBroken, ConfigurationError) as error:
        return [Checked(what="link", verdict="wrong", said=f"{name}: {shown}: {error}")]
    return [Checked(what="link", verdict="ok", said=f"{shown} takes this runner")]


def _refused(error: Refused, place: str, settings: Settings) -> Checked:
    if error.code in (401, 403):
        said = f"{_token_name(settings)}: the gateway answered {error.code}: {error.reason}"
        return Checked(what="token", verdict="wrong", said=said)
    said = f"{place} answered {error.code}: {error.reason}"
    return Checked(what="gateway", verdict="wrong", said=said)


def _token_name(settings: Settings) -> str:
    return "BOT_TOKEN" if settings.token_file is None else "BOT_TOKEN_FILE"
