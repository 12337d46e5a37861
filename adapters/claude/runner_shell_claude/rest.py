"""When the framework is at rest: pure, frames in.

A result does not end a turn: sub-agents go on after it, and a message that was sent meanwhile may
still be waiting. The CLI is at rest when it says that it is idle and has taken up all that it was
sent. Its idle state alone does not say so: one that ends work of its own may come after a message
was sent and before that message is taken up.
"""

from __future__ import annotations

from .endings import is_aborted
from .sdk import Frame

_OVER = frozenset({"completed", "cancelled", "discarded", "failed"})


class Rest:
    """Follows what the CLI has to do.

    Attributes:
        state: What the CLI last said: `idle`, `running` or `requires_action`.
        waiting: The ids of sent messages that it has not dealt with.
        begun: The ids of sent messages that it has taken up.
        result: The last result.
        aborted: Whether a result since the turn's beginning was one of an interrupt.
        expecting: Whether a result is due that no message asks for: a deferred call goes on by
            itself when its session is resumed.
    """

    def __init__(self) -> None:
        self.state = "idle"
        self.waiting: set[str] = set()
        self.begun: set[str] = set()
        self.result: Frame | None = None
        self.aborted = False
        self.expecting = False

    def begin(self) -> None:
        """A turn begins: results from before are not its own."""
        self.result, self.aborted = None, False

    @property
    def at_rest(self) -> bool:
        """Whether there is nothing that the CLI still does or has to do."""
        return self.state == "idle" and not self.waiting and not self.expecting

    def sent(self, id: str) -> None:
        """A message goes to the CLI."""
        self.waiting.add(id)

    def receive(self, frame: Frame) -> None:
        """Take in one frame."""
        match frame:
            case {"type": "system", "subtype": "session_state_changed", "state": str(state)}:
                self.state = state
            case {"type": "command_lifecycle", "command_uuid": str(id), "state": str(state)}:
                self._on_message(id, state)
            case {"type": "result"}:
                self.result, self.expecting = frame, False
                self.aborted = self.aborted or is_aborted(frame)
                self.waiting.difference_update(frame.get("user_message_uuids") or ())

    def _on_message(self, id: str, state: str) -> None:
        if state == "started":
            self.begun.add(id)
        elif state in _OVER:
            self.waiting.discard(id)
