"""From a graph's interrupts to questions for a person, and from the answers back.

What `interrupt(value)` was called with:

* **A dict with `question` or `title`** becomes a `question`; `title` is the line, `question` the
  line where there is no title, else the body; `body`, `options`, `default`, `timeout_seconds`,
  `response_schema` and `kind` fill the request's fields. `interrupt` returns the answer.
* **The shape of `HumanInTheLoopMiddleware`** (`action_requests`, `review_configs`) becomes one
  `permission` per action, asked at the same time, with the allowed decisions as options. An answer
  is a decision (`"approve"`, or `{"type": "edit", "edited_action": …}`), true or false, `"allow"`
  or `"deny"`; whatever else, and nobody's answer, rejects.
* **The shape it has with one interrupt per call** (`type` is `tool_approval`) becomes one such
  permission; its answer is the decision itself.
* **A string** becomes a `question` with that title.
* **Anything else** becomes an `input` with the value as its body.

`interrupt(value, response_schema=...)` gives the schema where the value does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from langgraph.types import Interrupt

from runner_shell import Answer, Request, events

from .values import as_json

KINDS = ("permission", "question", "plan", "input")
MAX_TITLE_CHARACTERS = 200


@dataclass(frozen=True)
class Question:
    """What one interrupt asks.

    Attributes:
        id: The interrupt's id.
        requests: One or more requests, asked at the same time.
        resume: From their answers, in their order, to what `interrupt` returns.
    """

    id: str
    requests: tuple[Request, ...]
    resume: Callable[[Sequence[Answer]], events.JSON]

    def keyed(self, attempt: int) -> list[tuple[str, Request]]:
        """The requests with their keys; a further attempt is another question."""
        key = self.id if attempt == 1 else f"{self.id}.{attempt}"
        if len(self.requests) == 1:
            return [(key, self.requests[0])]
        return [(f"{key}/{place}", request) for place, request in enumerate(self.requests)]


def question(interrupt: Interrupt[Any]) -> Question:
    """Read an interrupt as a question."""
    value = as_json(interrupt.value)
    if isinstance(value, dict) and isinstance(value.get("action_requests"), list):
        return _review(interrupt.id, value)
    if isinstance(value, dict) and value.get("type") == "tool_approval":
        return _approval(interrupt.id, value, interrupt.response_schema)
    schema = interrupt.response_schema if isinstance(interrupt.response_schema, dict) else None
    return Question(interrupt.id, (_request(value, schema),), _first)


def breakpoint_question(id: str, nodes: Sequence[str]) -> Question:
    """What a static breakpoint (`interrupt_before`, `interrupt_after`) asks: whether to go on."""
    request = Request(
        kind="permission",
        title=_line(f"Go on with {', '.join(nodes)}?"),
        options=("approve", "reject"),
    )
    return Question(id, (request,), lambda answers: _decision(answers[0])["type"] == "approve")


def _first(answers: Sequence[Answer]) -> events.JSON:
    return answers[0].value


def _request(value: events.JSON, schema: dict[str, events.JSON] | None) -> Request:
    match value:
        case {"question": str()} | {"title": str()}:
            return _described(value, schema)
        case str():
            return Request(kind="question", title=_line(value), body=_rest(value), schema=schema)
        case _:
            return Request(
                kind="input", title="The graph asks for input", body=value, schema=schema
            )


def _described(value: Mapping[str, events.JSON], schema: dict[str, events.JSON] | None) -> Request:
    texts = [value[name] for name in ("title", "question") if isinstance(value.get(name), str)]
    kind, options = value.get("kind"), value.get("options")
    own_schema, seconds = value.get("response_schema"), value.get("timeout_seconds")
    return Request(
        kind=cast(events.RequestKind, kind) if kind in KINDS else "question",
        title=_line(texts[0]),
        body=value.get("body", texts[1] if len(texts) == 2 else _rest(texts[0])),
        schema=own_schema if isinstance(own_schema, dict) else schema,
        options=tuple(options) if isinstance(options, list) else (),
        default=value.get("default"),
        timeout_seconds=(
            float(seconds) if isinstance(seconds, int | float) and seconds > 0 else None
        ),
    )


def _line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= MAX_TITLE_CHARACTERS else line[: MAX_TITLE_CHARACTERS - 1] + "…"


def _rest(text: str) -> str | None:
    return None if _line(text) == text.strip() else text


# --- HumanInTheLoopMiddleware ----------------------------------------------------------------


def _review(id: str, value: Mapping[str, events.JSON]) -> Question:
    configs = value.get("review_configs")
    allowed = {
        config.get("action_name"): tuple(config.get("allowed_decisions") or ())
        for config in (configs if isinstance(configs, list) else [])
        if isinstance(config, dict)
    }
    requests = tuple(
        _permission(action, allowed.get(_name(action)) or DECISIONS[:2])
        for action in value["action_requests"]
    )
    return Question(id, requests, _decisions)


def _approval(id: str, value: Mapping[str, events.JSON], schema: object) -> Question:
    """The middleware's `per_call` mode; its schema names the decisions that are allowed."""
    said = str(schema)
    allowed = tuple(one for one in DECISIONS if f"'{one}'" in said) or DECISIONS[:2]
    names = ("name", "args", "description", "tool_call_id")
    action = {name: value[name] for name in names if name in value}
    return Question(id, (_permission(action, allowed),), lambda answers: _decision(answers[0]))


DECISIONS = ("approve", "reject", "edit", "respond")
"""What the middleware knows."""

WHOLE = {"edit": '"edited_action": {"name", "args"}', "respond": '"message"'}
"""What the other decisions need, in words for a person."""

SHORT = {"approve": ("approve", "allow", True), "reject": ("reject", "deny", False)}
"""Other ways to say a decision that needs no more words."""


def _permission(action: events.JSON, allowed: tuple[events.JSON, ...]) -> Request:
    return Request(
        kind="permission",
        title=_line(f"Run {_name(action) or 'this action'}?"),
        body=action,
        options=allowed,
        schema=_decision_schema(allowed),
    )


def _name(action: events.JSON) -> str:
    return str(action.get("name", "")) if isinstance(action, dict) else ""


def _decision_schema(allowed: Sequence[events.JSON]) -> dict[str, events.JSON]:
    """What an answer may be: an allowed decision, in short or with all it needs."""
    short = [way for decision in allowed for way in SHORT.get(str(decision), ())]
    fields: dict[str, dict[str, events.JSON]] = {
        "edit": {
            "edited_action": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "args": {"type": "object"}},
                "required": ["name", "args"],
            }
        },
        "respond": {"message": {"type": "string"}},
    }
    whole = [
        {
            "type": "object",
            "properties": {"type": {"const": decision}, **fields.get(str(decision), {})},
            "required": ["type", *fields.get(str(decision), {})],
        }
        for decision in allowed
    ]
    said = [
        str(decision) if str(decision) in SHORT else f'{{"type": "{decision}", {WHOLE[decision]}}}'
        for decision in allowed
        if str(decision) in SHORT or decision in WHOLE
    ]
    return {
        "description": ", ".join(said),
        "anyOf": [*([{"enum": short}] if short else []), *whole],
    }


def _decisions(answers: Sequence[Answer]) -> events.JSON:
    return {"decisions": [_decision(answer) for answer in answers]}


def _decision(answer: Answer) -> dict[str, events.JSON]:
    match answer.value:
        case {"type": str()}:
            return dict(answer.value)
        case True | "approve" | "allow":
            return {"type": "approve"}
        case False | "reject" | "deny":
            return {"type": "reject"}
        case None:
            return {"type": "reject", "message": "Nobody approved this."}
        case other:
            return {"type": "reject", "message": f"Not approved: {other}"}
