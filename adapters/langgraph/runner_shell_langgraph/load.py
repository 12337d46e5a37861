"""From the settings to a graph that can run: which one, and how it is made.

`find_source` imports what the settings name; `made` turns it, whatever its kind, into a graph:
compiled graphs, builders, entrypoints of the functional API and remote graphs as they are,
factories by calling them.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, get_type_hints

from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from langgraph.pregel.protocol import PregelProtocol
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore

from runner_shell import ConfigurationError

from .manifest import NAME, Manifest, read_manifest
from .reference import cause_of, find, refuse_within
from .settings import LangGraphSettings

Graph: TypeAlias = "Pregel[Any, Any, Any, Any]"
AnyGraph: TypeAlias = "PregelProtocol[Any, Any, Any, Any]"


@dataclass(frozen=True)
class Source:
    """What a graph is made from.

    Attributes:
        value: A graph, a builder or a factory.
        name: How it was named, for a person.
    """

    value: object
    name: str


def find_source(
    settings: LangGraphSettings,
    workspace: Path,
    learn: Callable[[Mapping[str, str]], None] = lambda variables: None,
) -> Source:
    """Import what the settings name.

    Args:
        settings: `LANGGRAPH_URL`, `GRAPH` and `WORKFLOW_ID` say which.
        workspace: The agent's directory; nothing in it is imported or read unless allowed.
        learn: Told the variables of a `langgraph.json` before anything is imported, as some of
            them may be secrets.

    Raises:
        ConfigurationError: It is not there or cannot be imported; where, and why.
    """
    if settings.langgraph_url:
        from .remote import remote_graph

        return Source(remote_graph(settings), f"{settings.langgraph_url} {settings.remote_id}")
    allow = settings.langgraph_allow_workspace_graph
    file = _manifest_file(settings.graph)
    if file is None:
        value = find(
            settings.graph,
            workspace=workspace,
            allow_workspace=allow,
            preferred=settings.workflow_id,
        )
        return Source(value, settings.graph)
    manifest = _allowed_manifest(file, workspace, allow=allow)
    learn(manifest.environment)
    manifest.prepare(os.environ)
    reference = manifest.reference(settings.workflow_id)
    value = find(reference, workspace=workspace, allow_workspace=allow, base=manifest.directory)
    return Source(value, reference)


async def made(source: Source, config: dict[str, Any], stack: AsyncExitStack) -> AnyGraph:
    """Make the graph.

    Args:
        source: What it is made from.
        config: What a factory is given: `configurable` and the like.
        stack: What a factory opens is closed with it.

    Raises:
        ConfigurationError: The factory or the compilation failed, with file, line and cause; or it
            is no graph at all.
    """
    value: Any = source.value
    if not _is_factory(value):
        return _compiled(source, value)
    try:
        value = await _entered(value(*_arguments(value, config)), stack)
    except Exception as error:
        raise _not_made(source, error) from error
    return _compiled(source, value)


def check(source: Source) -> None:
    """Compile what can be compiled; a factory is looked at and not called, for it may do anything.

    Raises:
        ConfigurationError: As `made`.
    """
    value: Any = source.value
    if not _is_factory(value):
        _compiled(source, value)
        return
    try:
        _needed(value)
    except (TypeError, ValueError) as error:
        raise _not_made(source, error) from error


def _compiled(source: Source, value: object) -> AnyGraph:
    if isinstance(value, StateGraph):
        try:
            return value.compile()
        except ValueError as error:
            raise _not_made(source, error) from error
    if isinstance(value, PregelProtocol):
        return value
    what = f"gave a {type(value).__name__}" if value is not source.value else "is no graph"
    raise ConfigurationError(
        f"GRAPH={source.name!r} is a {type(source.value).__name__} and {what}; it must be a "
        "compiled graph, a StateGraph, an entrypoint, or a function that returns one of them"
    )


def _not_made(source: Source, error: Exception) -> ConfigurationError:
    return ConfigurationError(f"GRAPH={source.name!r} could not be made: {cause_of(error)}")


def _manifest_file(graph: str) -> Path | None:
    if graph:
        return Path(graph).absolute() if graph.endswith(".json") else None
    file = Path.cwd() / NAME
    if not file.is_file():
        raise ConfigurationError(
            f"GRAPH is not set, and there is no {NAME} in {Path.cwd()}: name a graph, such as "
            "./agent.py:graph or package.module:graph"
        )
    return file


def _allowed_manifest(file: Path, workspace: Path, *, allow: bool) -> Manifest:
    if not allow:
        refuse_within(workspace, str(file), file)
    manifest = read_manifest(file)
    if not allow:
        refuse_within(workspace, f"a dependency of {file}", *manifest.directories)
    return manifest


# --- factories -------------------------------------------------------------------------------


def _is_factory(value: object) -> bool:
    return callable(value) and not isinstance(value, PregelProtocol | StateGraph | type)


def _arguments(factory: Any, config: dict[str, Any]) -> list[Any]:
    """What a factory of 0 to 2 parameters is called with: the config, the server's runtime."""
    try:
        hints = get_type_hints(inspect.unwrap(factory))
    except (NameError, TypeError):
        hints = {}
    return [
        _runtime(config) if _wants_runtime(parameter, hints) else config
        for parameter in _needed(factory)
    ]


def _needed(factory: Any) -> list[inspect.Parameter]:
    """The parameters that a factory has to be given."""
    needed = [
        parameter
        for parameter in inspect.signature(factory).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    if len(needed) > 2:
        names = ", ".join(parameter.name for parameter in needed)
        raise TypeError(f"a factory takes a config and a runtime at most; this one takes {names}")
    return needed


def _wants_runtime(parameter: inspect.Parameter, hints: dict[str, Any]) -> bool:
    hint = str(hints.get(parameter.name, parameter.annotation))
    return "Runtime" in hint or parameter.name == "runtime"


def _runtime(config: dict[str, Any]) -> object:
    # The only way to make one; the SDK calls it private because its own server makes it.
    from langgraph_sdk.runtime import _ExecutionRuntime

    store: BaseStore = InMemoryStore()
    context: Any = config.get("context")
    return _ExecutionRuntime(access_context="threads.create_run", store=store, context=context)


async def _entered(value: Any, stack: AsyncExitStack) -> object:
    if inspect.isawaitable(value):
        value = await value
    if isinstance(value, PregelProtocol | StateGraph):
        return value
    if isinstance(value, AbstractAsyncContextManager):
        return await stack.enter_async_context(value)
    if isinstance(value, AbstractContextManager):
        return stack.enter_context(value)
    return value
