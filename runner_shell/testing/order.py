"""Whether stored events keep the order that the protocol promises; pure, for any list of them.

Source: docs/reference/protocol.md, "Events".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from ..protocol.events import JSON

StoredFields = Mapping[str, JSON]
"""A stored event as a plain object: envelope and payload side by side."""


class Finding(Struct, frozen=True, kw_only=True):
    """One broken promise.

    Attributes:
        rule: A stable word for programs.
        contract: What the contract says.
        happened: What happened instead.
        fix: How an adapter's author mends it.
    """

    rule: str
    contract: str
    happened: str
    fix: str

    def __str__(self) -> str:
        return f"[{self.rule}] {self.happened}\n  contract: {self.contract}\n  fix: {self.fix}"


def check_order(events: Iterable[StoredFields]) -> list[Finding]:
    """Check numbers, starts and endings of a session's events, over all of its turns.

    Args:
        events: From the session's first event on, in order, as a gateway stored them. They may stop
            anywhere: what is still open at the end of the list is no finding.
    """
    order = _Order()
    for event in events:
        order.take(event)
    return order.findings


class _Order:
    """Walks over the events, with what is open."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._seq = 0
        self._where = ""
        self._in_session = False
        self._turn: str | None = None
        self._turns: set[str] = set()
        self._messages: set[str] = set()
        self._blocks: dict[tuple[str, int], list[str]] = {}
        self._tools: set[str] = set()
        self._steps: set[str] = set()
        self._requests: set[str] = set()
        self._all_requests: set[str] = set()
        self._rules: dict[str, Callable[[StoredFields], None]] = {
            "session.started": self._session_started,
            "session.finished": self._session_finished,
            "turn.started": self._turn_started,
            "turn.finished": self._turn_finished,
            "message.started": lambda event: self._start(self._messages, event["id"], "message"),
            "message.finished": self._message_finished,
            "block.started": self._block_started,
            "block.delta": self._block_delta,
            "block.finished": self._block_finished,
            "tool.started": lambda event: self._start(self._tools, event["call"], "tool call"),
            "tool.output": lambda event: self._go_on(self._tools, event["call"], "tool call"),
            "tool.finished": lambda event: self._end(self._tools, event["call"], "tool call"),
            "step.started": lambda event: self._start(self._steps, event["id"], "step"),
            "step.progress": lambda event: self._go_on(self._steps, event["id"], "step"),
            "step.finished": lambda event: self._end(self._steps, event["id"], "step"),
            "request.opened": self._request_opened,
            "request.closed": lambda event: self._end(self._requests, event["id"], "request"),
        }

    def take(self, event: StoredFields) -> None:
        self._check_number(event)
        kind = str(event["type"])
        self._where = f"event {event.get('seq', '?')}, {kind!r}"
        if not self._in_session and kind not in ("session.started", "gap"):
            self._find(
                "outside_session",
                "a process's first event is `session.started` and its last `session.finished`",
                "lies outside of them",
                "the shell writes both; emit only in a turn, or by `session.log` before `close`",
            )
        if kind != "turn.started":
            self._check_turn(str(event.get("turn", "")))
        rule = self._rules.get(kind)
        if rule is not None:
            rule(event)

    def _check_number(self, event: StoredFields) -> None:
        seq = event.get("seq")
        if not isinstance(seq, int):
            return
        if seq != self._seq + 1 and event["type"] != "gap" and self._seq:
            self._where = f"event {seq}"
            self._find(
                "number",
                "numbers have no holes and none comes twice",
                f"comes after {self._seq}",
                "events were lost or repeated on their way: a fault of the shell or the gateway",
            )
        self._seq = seq

    def _check_turn(self, turn: str) -> None:
        if turn and turn != self._turn:
            when = "after its end" if turn in self._turns else "before its start"
            self._find(
                "outside_turn",
                "a turn's events lie between its `turn.started` and its `turn.finished`",
                f"belongs to turn {turn!r} but comes {when}",
                "emit only from `turn()` or tasks that it awaits before it returns",
            )

    # --- session and turn --------------------------------------------------------------------

    def _session_started(self, event: StoredFields) -> None:
        if self._turn is not None:
            self._left("session.started", [f"turn {self._turn}"])
        self._in_session = True

    def _session_finished(self, event: StoredFields) -> None:
        turn = [] if self._turn is None else [f"turn {self._turn}"]
        requests = [] if event.get("resumable") else self._names("request", self._requests)
        left = turn + requests
        if not event.get("resumable"):
            left += self._names("tool call", self._tools) + self._names("step", self._steps)
        self._left("session.finished", left)
        self._in_session = False

    def _turn_started(self, event: StoredFields) -> None:
        turn = str(event.get("turn", ""))
        if self._turn is not None or turn in self._turns:
            self._find(
                "turn",
                "turns come one after the other, each with an id of its own and one ending",
                f"starts turn {turn!r} while {self._turn or turn!r} has no ending or was there",
                "the shell starts and ends turns; do not emit these events",
            )
        self._turns.add(turn)
        self._turn = turn

    def _turn_finished(self, event: StoredFields) -> None:
        if self._turn is None:
            self._find(
                "turn",
                "every turn has exactly one ending",
                "ends a turn that is not running",
                "the shell starts and ends turns; do not emit these events",
            )
        left = [f"block {index} of message {message}" for message, index in self._blocks]
        left += self._names("message", self._messages)
        if event.get("outcome") != "waiting":
            left += self._names("tool call", self._tools) + self._names("step", self._steps)
            left += self._names("request", self._requests)
        self._left("turn.finished", left)
        self._turn = None

    def _left(self, ending: str, left: list[str]) -> None:
        if left:
            self._find(
                "left_open",
                "every start has exactly one ending before its turn's; only tools, steps and "
                "requests outlive a `waiting` turn",
                f"{ending!r} comes while {', '.join(left)} is open",
                "emit the ending in a `finally`, or use `async with turn.message(…)`",
            )
            self._messages.clear()
            self._blocks.clear()

    # --- messages and blocks -----------------------------------------------------------------

    def _message_finished(self, event: StoredFields) -> None:
        message = str(event["id"])
        left = [key for key in self._blocks if key[0] == message]
        if left:
            self._find(
                "left_open",
                "a message's blocks end before it",
                f"ends message {message!r} while block {left[0][1]} is open",
                "emit `block.finished` first, or use `async with turn.message(…)`",
            )
            for key in left:
                del self._blocks[key]
        self._end(self._messages, message, "message")

    def _block_started(self, event: StoredFields) -> None:
        key = _block(event)
        self._go_on(self._messages, key[0], "message")
        if key in self._blocks:
            self._twice(f"block {key[1]} of message {key[0]!r}")
        self._blocks[key] = []

    def _block_delta(self, event: StoredFields) -> None:
        key = _block(event)
        if self._block_is_open(key):
            self._blocks[key].append(str(event["text"]))

    def _block_finished(self, event: StoredFields) -> None:
        key = _block(event)
        if not self._block_is_open(key):
            return
        text = "".join(self._blocks.pop(key))
        if text and event.get("content") != text:
            self._find(
                "content",
                "a finished block's content is its deltas, joined",
                f"has {event.get('content')!r} after deltas that say {text!r}",
                "leave `content` to the shell where the block had deltas",
            )

    def _block_is_open(self, key: tuple[str, int]) -> bool:
        if key not in self._blocks:
            self._not_open(f"block {key[1]} of message {key[0]!r}")
        return key in self._blocks

    # --- what all kinds have in common -------------------------------------------------------

    def _request_opened(self, event: StoredFields) -> None:
        request = str(event["id"])
        if request in self._all_requests:
            self._twice(f"request {request!r}")
        self._all_requests.add(request)
        self._requests.add(request)

    def _start(self, open_ones: set[str], id: JSON, kind: str) -> None:
        if id in open_ones:
            self._twice(f"{kind} {id!r}")
        open_ones.add(id)

    def _go_on(self, open_ones: set[str], id: JSON, kind: str) -> None:
        if id not in open_ones:
            self._not_open(f"{kind} {id!r}")

    def _end(self, open_ones: set[str], id: JSON, kind: str) -> None:
        self._go_on(open_ones, id, kind)
        open_ones.discard(id)

    def _twice(self, what: str) -> None:
        self._find(
            "started_twice",
            "what is open is not started again",
            f"starts {what}, which was started before",
            "give each its own id, and end it before it begins again",
        )

    def _not_open(self, what: str) -> None:
        self._find(
            "not_open",
            "everything is started before it goes on or ends, and ends once",
            f"belongs to {what}, which is not open",
            "emit the start first, and each ending once",
        )

    def _names(self, kind: str, ids: set[str]) -> list[str]:
        return [f"{kind} {id}" for id in sorted(ids)]

    def _find(self, rule: str, contract: str, happened: str, fix: str) -> None:
        happened = f"{self._where} {happened}"
        self.findings.append(Finding(rule=rule, contract=contract, happened=happened, fix=fix))


def _block(event: StoredFields) -> tuple[str, int]:
    return str(event["message"]), int(event["index"])
