"""What a session remembers over processes: its SDK session, its usage, what it has open, its turns.

Small things are durable state of the shell's; the message that is under way lies in a file beside
the transcripts, because it may be large and is the framework's own.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from runner_shell import Session, events

from .usage import Total

SESSION = "claude.session"
USAGE = "claude.usage"
OPEN_CALLS = "claude.open_calls"
TURNS = "claude.turns"
CHANGED = "claude.changed"

TURNS_KEPT = 100
"""For so many turns the message that began them is known, for `files.rewind`."""

_PENDING_FILE = "pending.json"


class Memory:
    """Durable facts of one session.

    Args:
        session: The shell's session.

    Attributes:
        directory: The CLI's own directory, inside the state directory.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.directory = session.state_dir / "claude"

    @property
    def id(self) -> str:
        """The SDK's id of the session; chosen here, and durable before the CLI first starts."""
        if SESSION not in self._session.state:
            self._session.state[SESSION] = str(uuid.uuid4())
        return str(self._session.state[SESSION])

    @id.setter
    def id(self, id: str) -> None:
        self._session.state[SESSION] = id

    @property
    def has_transcript(self) -> bool:
        """Whether the CLI has written that session down, so that it can be resumed."""
        return any(self.directory.glob(f"projects/*/{self.id}.jsonl"))

    def knows(self, message: str) -> bool:
        """Whether a message, by its id, stands in the transcript."""
        found = self.directory.glob(f"projects/*/{self.id}.jsonl")
        return any(f'"{message}"' in path.read_text(encoding="utf-8") for path in found)

    # --- usage -------------------------------------------------------------------------------

    @property
    def usage(self) -> Total:
        """Where the session's cumulative counts stand."""
        saved = self._session.state.get(USAGE)
        return msgspec.convert(saved, Total) if saved else Total()

    @usage.setter
    def usage(self, total: Total) -> None:
        self._session.state[USAGE] = msgspec.to_builtins(total)

    # --- calls that are open over a `waiting` end ----------------------------------------------

    def take_open_calls(self) -> dict[str, events.Scope]:
        """The calls an earlier turn left open; who takes them ends them."""
        saved = self._session.state.pop(OPEN_CALLS, {})
        return {call: tuple(scope) for call, scope in saved.items()}

    def keep_open_calls(self, calls: Mapping[str, events.Scope]) -> None:
        """These calls stay open over the turn's end."""
        if calls:
            self._session.state[OPEN_CALLS] = {id: list(scope) for id, scope in calls.items()}

    # --- messages ------------------------------------------------------------------------------

    def sending(self, turn: str, message: dict[str, Any]) -> None:
        """A message is about to be sent: it is known now, should this process die of it."""
        turns = self._session.state.get(TURNS, {}) | {turn: message["uuid"]}
        self._session.state[TURNS] = dict(list(turns.items())[-TURNS_KEPT:])
        self._keep([message])

    def adding(self, message: dict[str, Any]) -> None:
        """A message is about to be sent into the turn that runs."""
        self._keep([*self.pending(), message])

    def _keep(self, messages: list[dict[str, Any]]) -> None:
        (self.directory / _PENDING_FILE).write_text(json.dumps(messages), encoding="utf-8")

    def pending(self) -> list[dict[str, Any]]:
        """The messages of the turn that has no ending yet, in order."""
        try:
            text = (self.directory / _PENDING_FILE).read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        found: list[dict[str, Any]] = json.loads(text)
        return found

    def sent(self) -> None:
        """The turn of the message has its ending."""
        (self.directory / _PENDING_FILE).unlink(missing_ok=True)

    def message_of(self, turn: str) -> str | None:
        """The id of the message that began a turn."""
        found = self._session.state.get(TURNS, {}).get(turn)
        return str(found) if found else None

    # --- settings that were changed -------------------------------------------------------------

    @property
    def changed(self) -> dict[str, Any]:
        """Settings that were changed since the start: `model`, `permission_mode`, `add_dirs`."""
        return dict(self._session.state.get(CHANGED, {}))

    def change(self, **settings: Any) -> None:
        """Keep a changed setting for the next start of the CLI."""
        self._session.state[CHANGED] = self.changed | settings
