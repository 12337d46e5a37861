"""The shell's settings: the one place that reads the environment, given as a mapping.

It stays with the standard library and msgspec, because the start path needs these before anything
else is imported. The reference page of the environment is made from `VARIABLES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from ...errors import ConfigurationError

SESSION_ID_LENGTH = 128
MIN_JOURNAL_BYTES = 1024 * 1024


class Settings(Struct, frozen=True, kw_only=True):
    """What the shell was told; each field is described in `VARIABLES`."""

    adapter: str = ""
    session: str = ""
    websocket_url: str = ""
    gateway: str = ""
    token: str = ""
    token_file: Path | None = None
    ca_file: Path | None = None
    prompt: str = ""
    interactive: bool = False
    timeout_seconds: float | None = None
    idle_seconds: float | None = None
    defer_seconds: float = 60.0
    grace_seconds: float = 10.0
    connect_seconds: float = 60.0
    workspace: Path | None = None
    state_dir: Path | None = None
    resume: Literal["continue", "ask", "fail"] | None = None
    journal_limit_bytes: int = 64 * 1024 * 1024
    journal_retention: int = 0
    secrets_dir: Path | None = None
    secret_names: tuple[str, ...] = ()
    redaction_rules: Path | None = None
    redaction_off: tuple[str, ...] = ()
    termination_log: Path = Path("/dev/termination-log")
    debug: bool = False

    @property
    def url(self) -> str:
        """Where to dial: `WEBSOCKET_URL` verbatim, or made from the gateway's base URL."""
        if self.websocket_url or not self.gateway:
            return self.websocket_url
        base = self.gateway.rstrip("/")
        return f"ws{base.removeprefix('http')}/sessions/{self.session}/runner"


class Variable(NamedTuple):
    """One row of the environment.

    Attributes:
        field: The field of `Settings`.
        names: The variable's names, ours first; the first that is set counts.
        parse: Text to value; raises `ValueError` saying what would be right.
        help: What it does.
        secret: Whether its value must never be shown.
    """

    field: str
    names: tuple[str, ...]
    parse: Callable[[str], Any]
    help: str
    secret: bool = False


def _flag(text: str) -> bool:
    value = text.strip().lower()
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("", "0", "false", "no", "off"):
        return False
    raise ValueError("must be true or false (also 1, 0, yes, no, on, off)")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e9:
        raise ValueError("must be a number of seconds greater than 0, such as 600")
    return value


def _seconds_or_never(text: str) -> float | None:
    return None if text.strip() in ("0", "") else _seconds(text)


def _policy(text: str) -> str:
    value = text.strip().lower()
    if value not in ("continue", "ask", "fail"):
        raise ValueError("must be continue, ask or fail")
    return value


def _bytes(text: str) -> int:
    value = _count(text)
    if value < MIN_JOURNAL_BYTES:
        raise ValueError(f"must be at least {MIN_JOURNAL_BYTES}")
    return value


def _count(text: str) -> int:
    if not text.strip().isascii() or not text.strip().isdecimal():
        raise ValueError("must be a whole number, such as 0 or 67108864")
    return int(text)


def _session(text: str) -> str:
    allowed = text.isascii() and all(c.isalnum() or c in "._-" for c in text)
    if not allowed or len(text) > SESSION_ID_LENGTH or not text[:1].isalnum():
        raise ValueError(
            f"must be 1 to {SESSION_ID_LENGTH} letters, digits, dots, dashes or underscores, and "
            "begin with a letter or a digit"
        )
    return text


def _url(schemes: tuple[str, ...]) -> Callable[[str], str]:
    example = f"{schemes[0]}://127.0.0.1:8765"

    def parse(text: str) -> str:
        from urllib.parse import urlsplit

        try:
            parts = urlsplit(text)
            valid = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:
            valid = False
        else:
            if valid and (parts.username or parts.password):
                raise ValueError("must not hold a name or password; use BOT_TOKEN_FILE")
        if not valid:
            raise ValueError(f"must be a URL with {' or '.join(schemes)}, such as {example}")
        return text

    return parse


def _directory(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise ValueError("must be an existing directory")
    return path.resolve()


def _token(text: str) -> str:
    """A token as a header can carry it, without the line's end that a file often has."""
    token = text.strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("must be one token: visible ASCII characters without spaces")
    return token


def _token_file(text: str) -> Path:
    path = Path(text)
    read_token_file(path)
    return path


def _file(text: str) -> Path:
    path = Path(text)
    try:
        path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None
    return path


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _certificates(text: str) -> Path:
    path = Path(text)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise ValueError("the file must hold certificates in PEM form")
    return path


VARIABLES: tuple[Variable, ...] = (
    Variable("adapter", ("RUNNER_ADAPTER", "RUNNER_TYPE"), str, "Name of the adapter."),
    Variable("session", ("SESSION_ID",), _session, "Id of the session."),
    Variable(
        "websocket_url",
        ("WEBSOCKET_URL",),
        _url(("ws", "wss")),
        "The gateway's WebSocket, used verbatim.",
    ),
    Variable(
        "gateway",
        ("RUNNER_GATEWAY",),
        _url(("http", "https")),
        "The gateway's base URL; the WebSocket's address is made from it and the session.",
    ),
    Variable(
        "token", ("BOT_TOKEN",), _token, "The runner's token; a token file is better.", secret=True
    ),
    Variable(
        "token_file",
        ("BOT_TOKEN_FILE",),
        _token_file,
        "File with the runner's token, read again at every dial.",
    ),
    Variable(
        "ca_file",
        ("RUNNER_CA_FILE",),
        _certificates,
        "PEM file of certificates to trust at the gateway instead of the system's; read at every "
        "dial.",
    ),
    Variable(
        "prompt",
        ("PROMPT", "INITIAL_PROMPT"),
        str,
        "The first message; it is run once in the life of a session.",
    ),
    Variable(
        "interactive",
        ("INTERACTIVE",),
        _flag,
        "Stay after the first turn and wait for messages; else the process ends with it.",
    ),
    Variable("timeout_seconds", ("TIMEOUT",), _seconds_or_never, "Seconds the process may take."),
    Variable(
        "idle_seconds",
        ("RUNNER_IDLE_SECONDS",),
        _seconds_or_never,
        "Seconds without work after which an interactive or waiting session ends.",
    ),
    Variable(
        "defer_seconds",
        ("RUNNER_DEFER_SECONDS",),
        _seconds,
        "Seconds that a question which can be deferred holds its turn.",
    ),
    Variable(
        "grace_seconds",
        ("RUNNER_GRACE_SECONDS",),
        _seconds,
        "Seconds from the order to stop to the exit; keep it below the orchestrator's.",
    ),
    Variable(
        "connect_seconds",
        ("RUNNER_CONNECT_SECONDS",),
        _seconds,
        "Seconds to wait for the first welcome before exiting with 75.",
    ),
    Variable("workspace", ("WORKSPACE_PATH",), _directory, "The directory the agent works in."),
    Variable(
        "state_dir",
        ("RUNNER_STATE_DIR",),
        Path,
        "Private directory for the shell's and the framework's state; outside the workspace.",
    ),
    Variable(
        "resume",
        ("RUNNER_RESUME_POLICY", "RESUME_POLICY"),
        _policy,
        "What to do with a turn in which the process before died: `continue`, `ask` a person, or "
        "`fail`; unless set, `continue` if the adapter can, else `fail`.",
    ),
    Variable(
        "journal_limit_bytes",
        ("RUNNER_JOURNAL_LIMIT",),
        _bytes,
        "Bytes of events that the gateway has not taken, at which a turn is interrupted.",
    ),
    Variable(
        "journal_retention",
        ("RUNNER_JOURNAL_RETENTION",),
        _count,
        "How many acknowledged segments of the journal (4 MiB each) are kept, for debugging.",
    ),
    Variable(
        "secrets_dir",
        ("RUNNER_SECRETS_DIR",),
        _directory,
        "Directory of mounted secret files, whose content is redacted; read again when it changes.",
    ),
    Variable(
        "secret_names",
        ("RUNNER_SECRET_NAMES",),
        _words,
        "More variables whose values are redacted, by name or pattern, such as `ACME_*`; separated "
        "by commas.",
    ),
    Variable(
        "redaction_rules",
        ("RUNNER_REDACTION_RULES",),
        _file,
        "TOML file of redaction rules of your own.",
    ),
    Variable(
        "redaction_off",
        ("RUNNER_REDACTION_OFF",),
        _words,
        "Redaction rules that are not applied, by name, and paths below which none is, such as "
        "`tool.finished.output`; separated by commas. Known secrets are always redacted.",
    ),
    Variable(
        "termination_log",
        ("RUNNER_TERMINATION_LOG",),
        Path,
        "Where the outcome is written as one JSON object, where that can be written.",
    ),
    Variable("debug", ("DEBUG",), _flag, "Log more, to stderr."),
)

OWN_SECRETS = tuple(name for row in VARIABLES if row.secret for name in row.names)
"""The variables whose values are secrets of the shell's own."""

TAKEN = (*OWN_SECRETS, "BOT_TOKEN_FILE")
"""What is removed from the process's environment at the start: the secrets, and where they lie."""

NOT_HONOURED: tuple[str, ...] = (
    "ACTIVE_WORKFLOW_BRANCH",
    "ACTIVE_WORKFLOW_GIT_URL",
    "ACTIVE_WORKFLOW_PATH",
    "ARTIFACTS_DIR",
    "AUTO_PUSH_ON_COMPLETE",
    "BACKEND_API_URL",
    "CREATE_PR",
    "GIT_USER_EMAIL",
    "GIT_USER_NAME",
    "INPUT_BRANCH",
    "INPUT_REPO_URL",
    "MAIN_REPO_INDEX",
    "MAIN_REPO_NAME",
    "OUTPUT_BRANCH",
    "OUTPUT_REPO_URL",
    "PARENT_SESSION_ID",
    "PR_TARGET_BRANCH",
    "REPOS_JSON",
)
"""Names of the field's contract that this version cannot honour; each is warned of once."""


def examine(environment: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """The settings as far as they can be read, and every problem: what is wrong or missing."""
    settings, wrong = read_given(environment)
    told = {_subject(problem) for problem in wrong}
    return settings, wrong + [one for one in missing(settings) if _subject(one) not in told]


def _subject(problem: str) -> str:
    return problem.partition(" ")[0]


def read_given(environment: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """Read every variable that is set, and name every wrong one, without a secret's value.

    An empty variable counts as not set.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for row in VARIABLES:
        name = next((name for name in row.names if environment.get(name)), None)
        if name is None:
            continue
        try:
            values[row.field] = row.parse(environment[name])
        except ValueError as error:
            shown = "a value that is not shown" if row.secret else _shown(environment[name])
            problems.append(f"{name} is {shown}: {error}")
    return Settings(**values), problems


def _shown(value: str) -> str:
    """A wrong value as it may be repeated: an address without the places where secrets stand."""
    scheme, separator, rest = value.rpartition("://")
    authority, at, place = rest.partition("?")[0].rpartition("@")
    return repr(f"{scheme}{separator}{'…@' if at else authority}{place}"[:200])


def missing(settings: Settings) -> list[str]:
    """What a runner cannot start without, one sentence each."""
    problems = []
    if not settings.adapter:
        problems.append("RUNNER_ADAPTER is not set: name the adapter, such as langgraph")
    if settings.url and not (settings.token or settings.token_file):
        problems.append("BOT_TOKEN_FILE is not set: a gateway needs the runner's token")
    if settings.url and not settings.session:
        problems.append("SESSION_ID is not set: name the session that the gateway created")
    if not settings.prompt and not settings.interactive:
        problems.append("PROMPT is not set: give a first message, or set INTERACTIVE=true")
    workspace = settings.workspace or Path.cwd()
    if settings.state_dir and settings.state_dir.resolve().is_relative_to(workspace):
        problems.append(
            f"RUNNER_STATE_DIR lies in the workspace {workspace}, where the agent works: name a "
            "directory outside of it, or another WORKSPACE_PATH"
        )
    return problems


def not_honoured(environment: Mapping[str, str]) -> list[str]:
    """The variables that are set and have no effect here."""
    return [name for name in NOT_HONOURED if environment.get(name)]


def read_token(settings: Settings) -> str:
    """The runner's token, from its file each time.

    Raises:
        ConfigurationError: The file cannot be read any more, or holds no token.
    """
    if settings.token_file is None:
        return settings.token
    try:
        return read_token_file(settings.token_file)
    except ValueError as error:
        raise ConfigurationError(f"BOT_TOKEN_FILE is '{settings.token_file}': {error}") from error


def read_token_file(path: Path) -> str:
    """The token in a file.

    Raises:
        ValueError: There is none; says why, and never what the file holds instead.
    """
    try:
        content = path.read_text(encoding="ascii")
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ValueError("the file must hold one token: visible ASCII characters") from None
    if not content.strip():
        raise ValueError("the file is empty; it must hold the token")
    return _token(content)
