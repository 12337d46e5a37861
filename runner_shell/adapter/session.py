"""What an adapter may ask of the shell: answers, durable state, a wake-up, the workspace, a log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Literal, Protocol, overload

import msgspec

from ..protocol.codec import encode_payload
from ..protocol.events import JSON, Log, RequestKind, Warning_
from ..redaction.sources import environment_secrets
from .workspace import Workspace


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A question for a person.

    Attributes:
        kind: What is asked for.
        title: A line for a person.
        body: The question in full, or what is to be approved.
        schema: JSON Schema of the answer, where it has one.
        options: The answers to choose from, where there are some.
        default: The answer when nobody answers in time. None denies.
        timeout_seconds: How long to wait for a person; None: as long as the session lives.
    """

    kind: RequestKind
    title: str
    body: JSON = None
    schema: dict[str, JSON] | None = None
    options: tuple[JSON, ...] = ()
    default: JSON = None
    timeout_seconds: float | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a question.

    Attributes:
        value: The answer, or the request's default where nobody answered.
        how: `answered` by a person, `expired`, `superseded` by a user's message, or `cancelled`.
        by: The principal that the gateway verified; empty where nobody answered.
    """

    value: JSON
    how: Literal["answered", "expired", "cancelled", "superseded"] = "answered"
    by: str = ""


class SessionPort(Protocol):
    """The shell's side of a session."""

    async def ask(self, request: Request, key: str, may_defer: bool) -> Answer | None:
        """Ask a person, once per key."""

    def save(self, key: str, value: bytes | None) -> None:
        """Make one key of the adapter's state durable; None deletes it."""

    def wake(self) -> None:
        """Ask for a turn."""

    def say(self, payload: bytes) -> None:
        """Emit an event outside of any turn."""

    def learn(self, name: str, value: str) -> tuple[str, str] | None:
        """Redact a secret from now on; code and message of a warning, where it deserves one."""


class Session:
    """The session, as the adapter sees it.

    Attributes:
        id: The session's id.
        state: Durable; values are encoded when assigned, so assign again after changing one.
        workspace: The agent's working directory.
        state_dir: A private directory for the framework's own files (checkpoints, transcripts).
        log: Lines for the session's log.
        secrets: Takes what must not leave the process.
    """

    def __init__(
        self,
        id: str,
        port: SessionPort,
        *,
        workspace: Path,
        state_dir: Path,
        saved: Mapping[str, JSON] | None = None,
        process: str = "",
    ) -> None:
        self.id = id
        self.state: MutableMapping[str, JSON] = DurableState(port, saved or {})
        self.workspace = Workspace(workspace)
        self.state_dir = state_dir
        self.log = SessionLog(port)
        self.secrets = SessionSecrets(port)
        self._port = port
        self._asked = 0
        # A next process counts anew, and must not be given the answers of this one.
        self._anonymous = f"ask-{process}-" if process else "ask-"

    @overload
    async def ask(self, request: Request, *, key: str | None = None) -> Answer: ...
    @overload
    async def ask(
        self, request: Request, *, key: str, may_defer: Literal[True]
    ) -> Answer | None: ...
    async def ask(
        self, request: Request, *, key: str | None = None, may_defer: bool = False
    ) -> Answer | None:
        """Ask a person and wait for the answer.

        Asking again under the same key never asks a person twice: the answer is given again.

        Args:
            request: The question.
            key: The framework's own id of the question; unique in the session.
            may_defer: Allow None as the answer (nobody answered for a while, or the runner must
                go): return `Ending("waiting")`, and ask again when a turn comes with
                `Continue("answers")`.

        Raises:
            ValueError: `may_defer` without a key.
        """
        if key is None:
            if may_defer:
                raise ValueError("a question that may be deferred needs the framework's own key")
            self._asked += 1
            key = f"{self._anonymous}{self._asked}"
        return await self._port.ask(request, key, may_defer)

    def wake(self) -> None:
        """Ask for a turn that nobody's message began; from any thread."""
        self._port.wake()


class DurableState(MutableMapping[str, JSON]):
    """A mapping whose values are encoded when assigned and decoded when read."""

    def __init__(self, port: SessionPort, saved: Mapping[str, JSON]) -> None:
        self._port = port
        self._encoded = {key: msgspec.json.encode(value) for key, value in saved.items()}

    def __getitem__(self, key: str) -> JSON:
        return msgspec.json.decode(self._encoded[key])

    def __setitem__(self, key: str, value: JSON) -> None:
        encoded = msgspec.json.encode(value)
        self._encoded[key] = encoded
        self._port.save(key, encoded)

    def __delitem__(self, key: str) -> None:
        del self._encoded[key]
        self._port.save(key, None)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._encoded))

    def __len__(self) -> int:
        return len(self._encoded)


class SessionSecrets:
    """Takes secrets that the shell does not know: minted, fetched or refreshed by an adapter."""

    def __init__(self, port: SessionPort) -> None:
        self._port = port

    def add(self, name: str, value: str) -> None:
        """Redact a value, in all its forms, in everything emitted and logged from now on.

        A value that is too short or too ordinary is redacted only beside its name; a `warning`
        event then names it. Adding again is harmless; a refreshed value is added to those before.
        May be called from any thread.

        Args:
            name: What stands for it: `[REDACTED:NAME]`.
            value: The secret.
        """
        warning = self._port.learn(name, value)
        if warning is not None:
            code, message = warning
            self._port.say(encode_payload(Warning_(code=code, message=message)))

    def add_variables(self, variables: Mapping[str, str]) -> None:
        """Add the values whose names say that they are secrets, as in the runner's environment.

        Args:
            variables: Values by name: `SEARCH_API_KEY` is a secret, of `DATABASE_URL` its
                password is, `LOG_LEVEL` is none.
        """
        for name, value in environment_secrets(variables):
            self.add(name, value)


class SessionLog:
    """Emits `log` events; `fields` are anything that JSON holds."""

    def __init__(self, port: SessionPort, logger: str = "adapter") -> None:
        self._port = port
        self._logger = logger

    def debug(self, message: str, **fields: JSON) -> None:
        """Of interest to whoever debugs the adapter."""
        self._log("debug", message, fields)

    def info(self, message: str, **fields: JSON) -> None:
        """The ordinary course of things."""
        self._log("info", message, fields)

    def warning(self, message: str, **fields: JSON) -> None:
        """Not as it should be; the work goes on."""
        self._log("warning", message, fields)

    def error(self, message: str, **fields: JSON) -> None:
        """Something failed; say it in an `error` event too where the turn suffers."""
        self._log("error", message, fields)

    def _log(
        self,
        level: Literal["debug", "info", "warning", "error"],
        message: str,
        fields: dict[str, JSON],
    ) -> None:
        event = Log(message=message, level=level, logger=self._logger, fields=fields)
        self._port.say(encode_payload(event))
