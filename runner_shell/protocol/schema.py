"""JSON Schema of events, commands and frames, from the catalogue and the docstrings.

The keywords used mean the same in draft 2020-12 and in the older dialect that AsyncAPI takes, so
one builder serves both. Never imported on the start path.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from msgspec import inspect

from . import catalogue, commands, docstrings, events, frames

Schema: TypeAlias = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
EVENTS_FILE = "events.schema.json"
COMMANDS_FILE = "commands.schema.json"
FRAMES_FILE = "frames.schema.json"

READABLE_COMMANDS: dict[str, type[msgspec.Struct]] = {
    **catalogue.COMMANDS,
    "secret.add": commands.SecretAdd,
}
"""Every command with a struct: the numbered ones of the catalogue, and the one that is not."""

FRAMES: dict[str, type[frames.Frame]] = {**catalogue.RUNNER_FRAMES, **catalogue.GATEWAY_FRAMES}

_MEMBERS: dict[type[msgspec.Struct], str] = {frames.Events: "Event", frames.Commands: "Command"}
"""What the encoded members of a frame are."""


def events_schema() -> Schema:
    """Every event as it is stored: the envelope's fields and its own in one object."""
    definitions = Definitions("#/$defs/")
    return _document(EVENTS_FILE, definitions.any_event(), definitions)


def commands_schema() -> Schema:
    """Every command as a runner receives it."""
    definitions = Definitions("#/$defs/")
    return _document(COMMANDS_FILE, definitions.any_command(), definitions)


def frames_schema() -> Schema:
    """Every frame of both directions; events and commands are in their own files."""
    definitions = Definitions("#/$defs/")
    whole: Schema = {
        "title": "Frame",
        "description": "A message of the link, told apart by `frame`.",
        "oneOf": [definitions.struct(frame) for frame in FRAMES.values()],
    }
    definitions.all["Event"] = {"$ref": EVENTS_FILE}
    definitions.all["Command"] = {"$ref": COMMANDS_FILE}
    return _document(FRAMES_FILE, whole, definitions)


def definition_name(cls: type) -> str:
    """What a struct is called in the schemas."""
    return cls.__name__.rstrip("_")


class Definitions:
    """Definitions that refer to each other by name; asking for one makes it.

    Args:
        prefix: What stands before a name in a reference.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._made: dict[str, type] = {}
        self.all: dict[str, Schema] = {}

    def any_event(self) -> Schema:
        """One of all events, types that nobody knows yet included."""
        known = [self._event(row) for row in catalogue.EVENTS.values()]
        unknown = self._unknown(events.UnknownEvent, events.Envelope, list(catalogue.EVENTS))
        return {
            "title": "Event",
            "description": "A numbered event, told apart by `type`.",
            "oneOf": [*known, unknown],
            "x-reserved": list(catalogue.RESERVED_EVENTS),
        }

    def any_command(self) -> Schema:
        """One of all commands, types that nobody knows yet included."""
        known = [self.struct(command) for command in READABLE_COMMANDS.values()]
        unknown = self._unknown(commands.ReservedCommand, commands.Command, list(READABLE_COMMANDS))
        return {
            "title": "Command",
            "description": "A command, told apart by `type`.",
            "oneOf": [*known, unknown],
            "x-reserved": list(catalogue.RESERVED_COMMANDS),
        }

    def struct(self, cls: type[msgspec.Struct]) -> Schema:
        """A reference to a struct's definition."""
        name = self._claim(cls)
        if name not in self.all:
            self.all[name] = self._object(cls, docstrings.fields(cls))
        return self.ref(name)

    def ref(self, name: str) -> Schema:
        """A reference to a definition."""
        return {"$ref": self._prefix + name}

    def _event(self, row: catalogue.EventType) -> Schema:
        name = self._claim(row.struct)
        spliced = {
            field.name: field
            for field in docstrings.fields(events.Envelope) + docstrings.fields(row.struct)
        }
        schema = self._object(row.struct, tuple(spliced.values()))
        self.all[name] = schema | {"x-tier": row.tier}
        return self.ref(name)

    def _unknown(
        self, cls: type[msgspec.Struct], base: type[msgspec.Struct], known: list[str]
    ) -> Schema:
        """A definition of every type but the known ones, with any further fields."""
        types = {field.name: field.description for field in docstrings.fields(cls)}
        schema = self._object(cls, docstrings.fields(base))
        schema["properties"]["type"] = {
            "type": "string",
            "not": {"enum": known},
            "description": types["type"],
        }
        schema["required"] = list(dict.fromkeys([*schema["required"], "type"]))
        self.all[definition_name(cls)] = schema | {"additionalProperties": True}
        return self.ref(definition_name(cls))

    def _claim(self, cls: type) -> str:
        name = definition_name(cls)
        if self._made.setdefault(name, cls) is not cls:
            raise ValueError(f"two structs are called {name}: rename one")
        return name

    def _object(self, cls: type[msgspec.Struct], own: tuple[docstrings.Field, ...]) -> Schema:
        properties = {field.name: self._property(field, cls) for field in own}
        required = {field.name for field in own if field.required}
        info = docstrings.struct_type(cls)
        if info.tag_field:
            tag = {"const": info.tag, "description": f"Always `{info.tag}`."}
            properties = {info.tag_field: tag} | properties | {info.tag_field: tag}
            required.add(info.tag_field)
        return {
            "title": definition_name(cls),
            "description": docstrings.summary(cls),
            "type": "object",
            "properties": properties,
            "required": [name for name in properties if name in required],
        }

    def _property(self, field: docstrings.Field, cls: type[msgspec.Struct]) -> Schema:
        schema = self._type(field.type, cls)
        # Older dialects overlook what stands beside a reference.
        schema = {"allOf": [schema]} if "$ref" in schema else schema
        schema["description"] = field.description
        return schema if field.required else schema | {"default": field.default}

    def _type(self, kind: inspect.Type, cls: type[msgspec.Struct]) -> Schema:
        match kind:
            case inspect.AnyType():
                return self._json()
            case inspect.RawType():
                return self.ref(_MEMBERS[cls])
            case inspect.StructType(cls=other):
                return self.struct(other)
            case inspect.LiteralType(values=values):
                return {"enum": sorted(values)}
            case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
                return {"type": "array", "items": self._type(item, cls)}
            case inspect.DictType(value_type=value):
                return {"type": "object", "additionalProperties": self._type(value, cls)}
            case inspect.UnionType(types=types):
                return {"anyOf": [self._type(member, cls) for member in types]}
            case _:
                return {"type": _SCALARS[type(kind)]}

    def _json(self) -> Schema:
        reference = self.ref("JSON")
        self.all["JSON"] = {
            "title": "JSON",
            "description": docstrings.constants(events)["JSON"],
            "type": ["null", "boolean", "number", "string", "array", "object"],
            "items": reference,
            "additionalProperties": reference,
        }
        return reference


_SCALARS: dict[type[inspect.Type], str] = {
    inspect.BoolType: "boolean",
    inspect.FloatType: "number",
    inspect.IntType: "integer",
    inspect.NoneType: "null",
    inspect.StrType: "string",
}


def _document(file: str, whole: Schema, definitions: Definitions) -> Schema:
    about = f" Protocol {frames.SUBPROTOCOL}; generated, do not edit."
    return {
        "$schema": DIALECT,
        "$id": file,
        **whole,
        "description": whole["description"] + about,
        "$defs": definitions.all,
    }
