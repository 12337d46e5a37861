"""The classes that a graph's schemas name: what its checkpoints may hold.

Source: langgraph/_internal/_serde.py, which does the same for its own strict mode only.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable
from enum import Enum
from typing import Any, get_args, get_type_hints

from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from pydantic import BaseModel
from typing_extensions import is_typeddict

from runner_shell import ConfigurationError

TypeName = tuple[str, str]
"""A class as a checkpoint names it: its module and its name."""


def types_of(graph: Pregel[Any, Any, Any, Any]) -> set[TypeName]:
    """The classes in the schemas and channels of a graph and its sub-graphs."""
    found: set[TypeName] = set()
    seen: set[int] = set()
    inner = (one for _, one in graph.get_subgraphs(recurse=True) if isinstance(one, Pregel))
    for one in (graph, *inner):
        for hint in _hints(one):
            _collect(hint, found, seen)
    return found


def named_types(text: str) -> set[TypeName]:
    """The classes of a setting: `package.module:Class`, separated by commas.

    Raises:
        ConfigurationError: One is written in another way.
    """
    names = set()
    for name in filter(None, (part.strip() for part in text.split(","))):
        module, _, cls = name.partition(":")
        if not module or not cls:
            raise ConfigurationError(
                f"LANGGRAPH_CHECKPOINT_TYPES: {name!r} is not written as package.module:Class"
            )
        names.add((module, cls))
    return names


def _hints(graph: Pregel[Any, Any, Any, Any]) -> Iterable[Any]:
    for channel in graph.channels.values():
        yield getattr(channel, "ValueType", None)
        yield getattr(channel, "UpdateType", None)
    yield graph.context_schema
    if isinstance(graph, CompiledStateGraph):
        yield from graph.builder.schemas
        yield from (node.input_schema for node in graph.builder.nodes.values())


def _collect(hint: Any, found: set[TypeName], seen: set[int]) -> None:
    if id(hint) in seen:
        return
    seen.add(id(hint))
    for argument in get_args(hint):
        _collect(argument, found, seen)
    if hasattr(hint, "__supertype__"):  # a NewType
        _collect(hint.__supertype__, found, seen)
    if not isinstance(hint, type):
        return
    if issubclass(hint, Enum):
        found.add((hint.__module__, hint.__name__))
    if issubclass(hint, BaseModel) or dataclasses.is_dataclass(hint):
        found.add((hint.__module__, hint.__name__))
        _collect_fields(hint, found, seen)
    elif is_typeddict(hint) or hasattr(hint, "_fields"):
        _collect_fields(hint, found, seen)


def _collect_fields(cls: type, found: set[TypeName], seen: set[int]) -> None:
    module = sys.modules.get(cls.__module__)
    try:
        hints = get_type_hints(cls, vars(module) if module else None, dict(vars(cls)))
    except (NameError, TypeError):  # a hint that only a type checker can see
        return
    for hint in hints.values():
        _collect(hint, found, seen)
