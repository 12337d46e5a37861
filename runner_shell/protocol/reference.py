"""Writes the reference of the protocol: JSON Schema, AsyncAPI and a page for people.

    python -m runner_shell.protocol.reference docs/reference
    python -m runner_shell.protocol.reference --check docs/reference

Everything comes from `catalogue` and from the docstrings, but for the prose below. Never imported
on the start path.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec import inspect

from . import asyncapi, catalogue, commands, docstrings, events, frames, generated, prose, schema

PAGE_FILE = "protocol.md"
ASYNCAPI_FILE = "asyncapi.json"

_HEAD = """\
<!-- Generated from the tables in runner_shell/protocol; do not edit. `make docs-reference` -->

# The protocol `{subprotocol}`

A *runner* serves one *session* and dials its *gateway* by WebSocket. **Events** go up, **commands**
come down, both numbered and acknowledged. This page is for people; programs read
[events]({events}), [commands]({commands}) and
[frames]({frames}) as JSON Schema 2020-12, and the
[AsyncAPI document]({asyncapi}).

* Channel: `{address}`, below the gateway's base URL, with the
  subprotocol `{subprotocol}` and the header `Authorization: Bearer …`.
* A message is one WebSocket text message: one JSON object in UTF-8, called a *frame*.
* Unknown fields and unknown event types are carried through unchanged; an unknown command is
  answered with `command.failed` and the code `not_supported`.
"""

_SCALARS: dict[type[inspect.Type], str] = {
    inspect.AnyType: "[any JSON](#any-json)",
    inspect.BoolType: "boolean",
    inspect.FloatType: "number",
    inspect.IntType: "integer",
    inspect.NoneType: "null",
    inspect.RawType: "object",
    inspect.StrType: "string",
}


def files() -> dict[str, str]:
    """Every generated file's text by its name."""
    return {
        schema.EVENTS_FILE: _json(schema.events_schema()),
        schema.COMMANDS_FILE: _json(schema.commands_schema()),
        schema.FRAMES_FILE: _json(schema.frames_schema()),
        ASYNCAPI_FILE: _json(asyncapi.document()),
        PAGE_FILE: page(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the folder; returns the exit code."""
    return generated.main(files(), "Write the protocol's reference.", arguments)


# --- the page --------------------------------------------------------------------------------


def page() -> str:
    """`protocol.md`."""
    head = _HEAD.format(
        subprotocol=frames.SUBPROTOCOL,
        address=asyncapi.ADDRESS,
        events=schema.EVENTS_FILE,
        commands=schema.COMMANDS_FILE,
        frames=schema.FRAMES_FILE,
        asyncapi=ASYNCAPI_FILE,
    )
    parts = [
        head,
        "## A connection",
        prose.CONNECTION,
        *_frames(),
        "## Numbers and acknowledgement",
        prose.NUMBERS,
        "## What a gateway does",
        prose.GATEWAY,
        "## Parts of a large event",
        prose.PARTS,
        "## Credit and the largest frame",
        prose.CREDIT,
        "## Liveness",
        prose.LIVENESS,
        "## Handing commands on",
        prose.HANDING_COMMANDS,
        "## A process that follows another",
        prose.RESTART,
        *_limits(),
        "## Closing",
        prose.CLOSING,
        _close_codes(),
        *_events(),
        *_commands(),
        *_values(),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _frames() -> Iterator[str]:
    yield "## Frames"
    yield "The field `frame` tells them apart."
    for name, frame in schema.FRAMES.items():
        ways = (
            ("runner → gateway", name in catalogue.RUNNER_FRAMES),
            ("gateway → runner", name in catalogue.GATEWAY_FRAMES),
        )
        yield f"### Frame `{name}`"
        yield f"*{', '.join(way for way, goes in ways if goes)}.* {docstrings.summary(frame)}"
        yield from _fields(docstrings.fields(frame))


def _limits() -> Iterator[str]:
    said = docstrings.constants(frames)
    names = ("MAX_FRAME_BYTES", "MAX_EVENTS_PER_FRAME", "BATCH_BYTES", "MAX_DEPTH")
    yield "## Limits"
    yield _table(
        ("Limit", "Value", "Meaning"),
        ((f"`{n}`", str(getattr(frames, n)), said[n]) for n in (*names, "MAX_EVENT_BYTES")),
    )


def close_codes() -> dict[str, int]:
    """The close codes by name, in the order of their numbers."""
    codes = {name: code for name, code in vars(frames.CloseCode).items() if name.isupper()}
    return dict(sorted(codes.items(), key=lambda item: item[1]))


def _close_codes() -> str:
    codes = close_codes()
    said = docstrings.attributes(frames.CloseCode, set(codes))
    return _table(
        ("Code", "Name", "Meaning"),
        ((str(code), f"`{name}`", said[name]) for name, code in codes.items()),
    )


def _events() -> Iterator[str]:
    yield "## Events"
    yield (
        "A stored event is one object: the envelope's fields, then those of its type. Types of "
        "the tier *stable* are protected by golden transcripts; *experimental* ones may change."
    )
    yield _table(
        ("Type", "Tier", "Meaning"),
        (
            (_link(f"event-{name}", name), row.tier, docstrings.summary(row.struct))
            for name, row in catalogue.EVENTS.items()
        ),
    )
    yield f"Reserved, and emitted by nothing yet: {_listed(catalogue.RESERVED_EVENTS)}."
    yield "### Envelope"
    yield docstrings.summary(events.Envelope)
    yield from _fields(docstrings.fields(events.Envelope))
    inherited = {field.name for field in docstrings.fields(events.Event)}
    for name, row in catalogue.EVENTS.items():
        yield f"### Event `{name}`"
        yield f"*{row.tier.capitalize()}.* {docstrings.summary(row.struct)}"
        yield from _fields(f for f in docstrings.fields(row.struct) if f.name not in inherited)


def _commands() -> Iterator[str]:
    yield "## Commands"
    yield (
        "Each numbered one gets exactly one reply event, `command.done` or `command.failed`. "
        f"Reserved, and answered `not_supported`: {_listed(catalogue.RESERVED_COMMANDS)}."
    )
    yield "### Every command"
    yield docstrings.summary(commands.Command)
    yield from _fields(docstrings.fields(commands.Command))
    inherited = {field.name for field in docstrings.fields(commands.Command)}
    for name, command in schema.READABLE_COMMANDS.items():
        common = inherited if issubclass(command, commands.Command) else set()
        yield f"### Command `{name}`"
        yield docstrings.summary(command)
        yield from _fields(f for f in docstrings.fields(command) if f.name not in common)


def _values() -> Iterator[str]:
    yield "## Values"
    yield "### Any JSON"
    yield docstrings.constants(events)["JSON"]
    for value in (events.PlanEntry, events.Usage):
        yield f"### {value.__name__}"
        yield docstrings.summary(value)
        yield from _fields(docstrings.fields(value))


def _fields(fields: Iterable[docstrings.Field]) -> Iterator[str]:
    rows = [
        (
            f"`{field.name}`",
            _type(field.type),
            "required" if field.required else f"`{msgspec.json.encode(field.default).decode()}`",
            field.description,
        )
        for field in fields
    ]
    if rows:
        yield _table(("Field", "Type", "Default", "Meaning"), rows)


def _type(kind: inspect.Type) -> str:
    match kind:
        case inspect.StructType(cls=struct):
            return _link(struct.__name__.lower(), struct.__name__, code=False)
        case inspect.LiteralType(values=values):
            return " · ".join(f"`{value}`" for value in sorted(map(str, values)))
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return f"list of {_type(item)}"
        case inspect.DictType(value_type=value):
            return f"object of {_type(value)}"
        case inspect.UnionType(types=types):
            return " or ".join(_type(member) for member in types)
        case _:
            return _SCALARS[type(kind)]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )


def _link(anchor: str, text: str, *, code: bool = True) -> str:
    # A heading's anchor has no dots and no other signs.
    shown = f"`{text}`" if code else text
    return f"[{shown}](#{anchor.replace('.', '')})"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _json(document: schema.Schema) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
