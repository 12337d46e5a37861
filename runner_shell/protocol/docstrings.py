"""What the docstrings say of structs, fields and constants; the reference repeats it.

A field without a description, or a description without its field, is an error, so that the
published reference is complete. Never imported on the start path.
"""

from __future__ import annotations

import ast
import inspect
import re
from itertools import pairwise
from types import ModuleType
from typing import NamedTuple

import msgspec
from msgspec.inspect import StructType, Type, type_info

from .events import JSON

_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.+?)(?=^ {4}\w|\Z)", re.MULTILINE | re.DOTALL)


class Field(NamedTuple):
    """One field of a struct, as it stands on the wire.

    Attributes:
        name: Its name in JSON.
        type: What it holds.
        description: What it means.
        required: Whether it is always there.
        default: What it means to leave it out, where it is not required.
    """

    name: str
    type: Type
    description: str
    required: bool
    default: JSON


def summary(cls: type) -> str:
    """What a class is: its own docstring without the section "Attributes".

    Raises:
        ValueError: It has no docstring.
    """
    text = _own_docstring(cls).partition("Attributes:\n")[0]
    if not text.strip():
        raise ValueError(f"{cls.__name__} has no docstring")
    return _one_line(text)


def attributes(cls: type, names: set[str]) -> dict[str, str]:
    """What the class's own section "Attributes" says of each of `names`.

    Raises:
        ValueError: One of them is missing there, or something else is described.
    """
    section = _own_docstring(cls).partition("Attributes:\n")[2]
    described = {name: _one_line(text) for name, text in _ATTRIBUTE.findall(section)}
    if missing := sorted(names - described.keys()):
        raise ValueError(f"{cls.__name__}: 'Attributes:' lacks {', '.join(missing)}")
    if stale := sorted(described.keys() - names):
        raise ValueError(f"{cls.__name__}: 'Attributes:' has {', '.join(stale)}, which is no field")
    return described


def fields(cls: type[msgspec.Struct]) -> tuple[Field, ...]:
    """A struct's fields in the order of the wire, inherited ones first.

    Raises:
        ValueError: As `attributes`.
    """
    described: dict[str, str] = {}
    for ancestor in reversed(cls.__mro__[: cls.__mro__.index(msgspec.Struct)]):
        described |= attributes(ancestor, set(inspect.get_annotations(ancestor)))
    info = struct_type(cls)
    return tuple(
        Field(
            name=field.encode_name,
            type=field.type,
            description=described[field.name],
            required=field.required,
            default=_default(field),
        )
        for field in info.fields
    )


def struct_type(cls: type[msgspec.Struct]) -> StructType:
    """What msgspec knows of a struct."""
    info = type_info(cls)
    assert isinstance(info, StructType)
    return info


def constants(module: ModuleType) -> dict[str, str]:
    """The docstrings below a module's own constants and type aliases, by name."""
    found = {}
    for pair in pairwise(ast.parse(inspect.getsource(module)).body):
        match pair:
            case (
                ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = _one_line(text)
    return found


def _own_docstring(cls: type) -> str:
    return inspect.cleandoc(vars(cls).get("__doc__") or "")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _default(field: msgspec.inspect.Field) -> JSON:
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.to_builtins(field.default_factory())
    if field.default is not msgspec.NODEFAULT:
        default = msgspec.to_builtins(field.default)
        return list(default) if isinstance(default, tuple) else default
    return None
