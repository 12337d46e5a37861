"""What a session remembers over processes: its SDK session, its usage, what it has open, its turns.

Small things are durable state of the shell's; the message that is under way lies in a file beside
the transcripts, because it may be large and is the framework's own.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from runner_shell import Session, events

from .store import DirectoryStore
from .usage import Total

SESSION = "claude.session"
USAGE = "claude.usage"
OPEN_CALLS = "claude.open_calls"
TURNS = "claude.turns"
ENDS = "claude.ends"
FORK = "claude.fork"
CHANGED = "claude.changed"

TURNS_KEPT = 100
"""For so many turns it is known how they began, for `files.rewind`, and ended, for `state.fork`."""

_PENDING_FILE = "pending.json"


class Memory:
    """Durable facts of one session.

    Args:
        session: The shell's session.
        in_store: Whether its transcript is kept in the store, not in the CLI's own directory.

    Attributes:
        directory: The CLI's own directory, inside the state directory.
        store: Keeps the transcript, or None.
    """

    def __init__(self, session: Session, *, in_store: bool = False) -> None:
        self._session = session
        self.directory = session.state_dir / "claude"
        self._transcripts = session.state_dir / "claude-transcripts"
        self.store = DirectoryStore(self._transcripts) if in_store else None

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
        return any(self._transcript())

    def knows(self, message: str) -> bool:
        """Whether a message, by its id, stands in the transcript."""
        found = self._transcript()
        return any(f'"{message}"' in path.read_text(encoding="utf-8") for path in found)

    def _transcript(self) -> Iterator[Path]:
        if self.store is not None:
            return self._transcripts.glob(f"*/{self.id}/main.jsonl")
        return self.directory.glob(f"projects/*/{self.id}.jsonl")

    # --- forks -------------------------------------------------------------------------------

    def ended(self, turn: str, last: str) -> None:
        """A turn ended with this message."""
        ends = self._session.state.get(ENDS, {}) | {turn: last}
        self._session.state[ENDS] = dict(list(ends.items())[-TURNS_KEPT:])

    def end_of(self, turn: str) -> str | None:
        """The id of the last message of a turn."""
        found = self._session.state.get(ENDS, {}).get(turn)
        return str(found) if found else None

    def fork(self, at: str) -> str:
        """From the next start on the session is another one, a fork of this; returns its id.

        Args:
            at: The last message that it is to know, or empty for all.
        """
        self._session.state[FORK] = {"from": self.id, "at": at}
        self.id = str(uuid.uuid4())
        return self.id

    @property
    def forked(self) -> tuple[str, str] | None:
        """Of what the session is a fork, until it has a transcript: an id, and the last message."""
        found = self._session.state.get(FORK)
        if found is None or self.has_transcript:
            return None
        return str(found["from"]), str(found["at"])

    # --- usage -------------------------------------------------------------------------------

    @property
    def usage(self) -> Total:
        """Where the session's cumulative counts stand."""
        saved = self._session.state.get(USAGE)
        return msgspec.convert(saved, Total) if saved else Total()

    @usage.setter
    def usage(self, total: Total) -> None:
        self._session.state[USAGE] = msgspec.to_builtins(total)

    @property
    def waits(self) -> bool:
        """Whether a call is deferred."""
        return bool(self._session.state.get(OPEN_CALLS))

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

    def sending(self, turn: str, messages: Sequence[dict[str, Any]]) -> None:
        """These are about to be sent: all are known now, should this process die of one of them."""
        turns = self._session.state.get(TURNS, {}) | {turn: messages[0]["uuid"]}
        self._session.state[TURNS] = dict(list(turns.items())[-TURNS_KEPT:])
        self._keep(messages)

    def adding(self, message: dict[str, Any]) -> None:
        """A message is about to be sent into the turn that runs."""
        self._keep([*self.pending(), message])

    def _keep(self, messages: Sequence[dict[str, Any]]) -> None:
        kept = self.directory / _PENDING_FILE
        written = kept.with_suffix(".new")
        written.write_text(json.dumps(messages), encoding="utf-8")
        written.replace(kept)  # whole or not at all, wherever this process dies

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
