"""Writes the reference of the REST API and of its roles from the table of endpoints.

python -m runner_shell.gateway.web.reference docs/reference
python -m runner_shell.gateway.web.reference --check docs/reference
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence

from ...protocol import docstrings, generated
from ...protocol.catalogue import COMMANDS
from ..errors import GatewayError
from ..tokens import ACTIONS, Action, Principal, Role, action_of
from . import openapi
from .incoming import MAX_BODY_BYTES
from .problems import HTTP_CODES, PROBLEMS, Problem
from .rest import ENDPOINTS, Endpoint, may_call, names_session

OPENAPI_FILE = "openapi.json"
REST_FILE = "rest.md"
ROLES_FILE = "roles.md"

_TENANT, _SESSION, _OTHER = "tenant", "own", "other"

_REST_HEAD = f"""\
<!-- Generated from runner_shell/gateway/web/rest.py; do not edit. `make docs-reference` -->

# The REST API

What backends, terminals and pages use; runners use [the protocol](protocol.md). Programs read the
[OpenAPI document]({OPENAPI_FILE}), which the gateway serves too. Who may do what stands in
[roles]({ROLES_FILE}).

* A caller sends `Authorization: Bearer …`. A token in the address counts for nothing.
* Bodies are JSON objects of at most {{body}} bytes.
* Only what belongs to the token's tenant can be reached; another tenant's session is unknown.
* Pages have `next`, which is null at the end. An unknown parameter is refused with 422.
"""

_PROBLEMS = """\
Whatever is refused or fails is answered with `application/problem+json` (RFC 9457). Go by `code`.
"""

_ROLES_HEAD = f"""\
<!-- Generated from runner_shell/gateway (web/rest.py, tokens.py); do not edit.
`make docs-reference` -->

# Roles

A token has one role, one tenant, and perhaps one session. ✓: it may. *bound*: only where it is good
for this one session alone. What concerns no single session (listing, creating, the requests of all
sessions) needs a token without one. The table of endpoints is in [{REST_FILE}]({REST_FILE}).

A runner's token is good for its link and nothing else: it can neither answer its own question, nor
raise its rights, nor read anything, not even its own session.
"""

_COMMANDS_HEAD = """\
What could widen a runner's rights is for approvers: answers, settings, an adapter's extras, and
every type that this version does not know.
"""


def files() -> dict[str, str]:
    """Every generated file's text by its name."""
    document = json.dumps(openapi.document(), indent=2, ensure_ascii=False)
    return {OPENAPI_FILE: document + "\n", REST_FILE: rest_page(), ROLES_FILE: roles_page()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the folder; returns the exit code."""
    return generated.main(files(), "Write the REST API's reference.", arguments)


# --- rest.md -----------------------------------------------------------------------------


def rest_page() -> str:
    """`rest.md`."""
    parts = [_REST_HEAD.replace("{body}", str(MAX_BODY_BYTES)), *_endpoints(), *_problems()]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _endpoints() -> Iterator[str]:
    yield _table(
        ("Endpoint", "Right", "What"),
        (
            (f"[`{row.method} {row.path}`](#{_anchor(row)})", row.right, row.summary)
            for row in ENDPOINTS
        ),
    )
    for row in ENDPOINTS:
        yield f'<a id="{_anchor(row)}"></a>\n\n## `{row.method} {row.path}`'
        yield row.summary
        yield row.notes
        if row.parameters:
            yield _table(
                ("Parameter", "Where", "Meaning"),
                ((f"`{each.name}`", each.place, each.description) for each in row.parameters),
            )
        yield from _body(row)
        yield from _answer(row)


def _body(row: Endpoint) -> Iterator[str]:
    if isinstance(row.body, type):
        yield "The body:"
        yield _fields(row.body)


def _answer(row: Endpoint) -> Iterator[str]:
    match row.answer:
        case None:
            yield f"Answers {row.status} without a body."
        case str(media_type):
            yield f"Answers {row.status}: {media_type}."
        case struct:
            yield f"Answers {row.status}:"
            yield _fields(struct)


def _fields(struct: type) -> str:
    said = docstrings.attributes(struct, set(struct.__annotations__))
    return _table(("Field", "Meaning"), ((f"`{name}`", text) for name, text in said.items()))


def _problems() -> Iterator[str]:
    yield "## Problems"
    yield _PROBLEMS
    yield _fields(Problem)
    rows = [(status, code, _first_sentence(error)) for error, (status, code) in PROBLEMS.items()]
    plain = [(status, code, "HTTP alone is enough to refuse it.") for status, code in _http_only()]
    yield _table(
        ("Status", "Code", "Meaning"),
        ((str(status), f"`{code}`", text) for status, code, text in sorted([*rows, *plain])),
    )


def _http_only() -> Iterator[tuple[int, str]]:
    known = {code for _, code in PROBLEMS.values()}
    return ((status, code) for status, code in HTTP_CODES.items() if code not in known)


def _first_sentence(error: type[GatewayError]) -> str:
    return (error.__doc__ or "").strip().splitlines()[0]


def _anchor(row: Endpoint) -> str:
    return row.operation.replace("_", "-")


# --- roles.md ----------------------------------------------------------------------------


def roles_page() -> str:
    """`roles.md`."""
    parts = [
        _ROLES_HEAD,
        "## Endpoints",
        _table(
            ("Endpoint", *(f"`{role.value}`" for role in Role), "no token"),
            (_endpoint_row(row) for row in ENDPOINTS),
        ),
        "## Commands",
        _COMMANDS_HEAD,
        _table(
            ("Command", *(f"`{role.value}`" for role in Role)),
            (_command_row(kind) for kind in (*COMMANDS, "secret.add", "any other")),
        ),
        "## Rights",
        _table(("Right", "Meaning"), _rights()),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _endpoint_row(row: Endpoint) -> tuple[str, ...]:
    public = "✓" if row.right == "none" else ""
    return (f"`{row.method} {row.path}`", *(endpoint_mark(role, row) for role in Role), public)


def endpoint_mark(role: Role, row: Endpoint) -> str:
    """What the table says of a role at an endpoint: `✓`, `bound`, or nothing."""
    session = _SESSION if names_session(row) else None
    free = Principal(name="", role=role, tenant=_TENANT)
    bound = Principal(name="", role=role, tenant=_TENANT, session=_SESSION)
    if may_call(free, row, session):
        return "✓"
    return "bound" if may_call(bound, row, session) else ""


def _command_row(kind: str) -> tuple[str, ...]:
    action = action_of(kind)
    return (f"`{kind}`", *("✓" if action in ACTIONS[role] else "" for role in Role))


def _rights() -> Iterator[tuple[str, str]]:
    said = docstrings.attributes(Action, {action.name for action in Action})
    for action in Action:
        yield f"`{action.value}`", said[action.name]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )


if __name__ == "__main__":
    sys.exit(main())
