"""From the reference in `GRAPH` to a compiled graph."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

from runner_shell import ConfigurationError

Graph: TypeAlias = "Pregel[Any, Any, Any, Any]"


def load_graph(reference: str, *, workspace: Path, allow_workspace: bool = False) -> Graph:
    """Import a graph's module and return the graph, compiled.

    Args:
        reference: `./file.py:variable` or `package.module:variable`.
        workspace: The agent's directory; code in it is data, not configuration.
        allow_workspace: Import from the workspace all the same.

    Raises:
        ConfigurationError: The reference is wrong, and what would be right.
    """
    target, separator, variable = reference.rpartition(":")
    if not separator or not target or not variable:
        raise ConfigurationError(
            f"GRAPH={reference!r} is not a reference to a graph; write ./file.py:variable or "
            "package.module:variable"
        )
    from_file = "/" in target or target.endswith(".py")
    spec = _file_spec(target) if from_file else _module_spec(target)
    if not allow_workspace:
        _refuse_within(workspace, target, spec)
    module = _imported(target, spec if from_file else None)
    if not hasattr(module, variable):
        raise ConfigurationError(
            f"GRAPH={reference!r}: {target} has no variable {variable!r}; {_offer(module, target)}"
        )
    return _compiled(getattr(module, variable), reference, module)


def _file_spec(target: str) -> ModuleSpec:
    file = Path(target).absolute()
    if not file.is_file():
        raise ConfigurationError(
            f"GRAPH: there is no file {target}; a relative path starts from the process's "
            f"directory, {Path.cwd()}"
        )
    name = f"runner_shell_graph_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None:
        raise ConfigurationError(f"GRAPH: {target} is not a Python file")
    return spec


def _module_spec(target: str) -> ModuleSpec:
    # The top package only: looking for `package.module` would run the package's own code.
    top = target.partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise ConfigurationError(
            f"GRAPH: no module {top!r} is installed; install it, or name a file: ./file.py:variable"
        )
    return spec


def _refuse_within(workspace: Path, target: str, spec: ModuleSpec) -> None:
    places = [spec.origin or "", *(spec.submodule_search_locations or ())]
    root, lexical = workspace.resolve(), workspace.absolute()
    for place in filter(None, places):
        path = Path(place)
        # A link in the workspace is the repository's choice too, wherever it leads.
        if path.resolve().is_relative_to(root) or path.absolute().is_relative_to(lexical):
            raise ConfigurationError(
                f"GRAPH: {target} lies in the workspace, where a repository could put any code; "
                "move it out, or set LANGGRAPH_ALLOW_WORKSPACE_GRAPH=1"
            )


def _imported(target: str, file: ModuleSpec | None) -> ModuleType:
    try:
        return _run(file) if file else importlib.import_module(target)
    except Exception as error:
        hint = (
            "; install it, or set PYTHONPATH if it lies beside the graph"
            if isinstance(error, ModuleNotFoundError)
            else ""
        )
        raise ConfigurationError(
            f"GRAPH: {target} cannot be imported: {type(error).__name__}: {error}{hint}"
        ) from error


def _run(spec: ModuleSpec) -> ModuleType:
    module = importlib.util.module_from_spec(spec)
    assert spec.loader is not None
    sys.modules[spec.name] = module  # dataclasses and type hints look their module up here
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


def _compiled(found: object, reference: str, module: ModuleType) -> Graph:
    match found:
        case Pregel():
            return found
        case StateGraph():
            try:
                return found.compile()
            except ValueError as error:
                raise ConfigurationError(
                    f"GRAPH={reference!r} does not compile: {error}"
                ) from error
        case _:
            kind = "a function" if callable(found) else f"a {type(found).__name__}"
            raise ConfigurationError(
                f"GRAPH={reference!r} is {kind}, not a compiled graph or a StateGraph; "
                f"{_offer(module, reference.rpartition(':')[0])}"
            )


def _offer(module: ModuleType, target: str) -> str:
    graphs = [
        name
        for name, value in vars(module).items()
        if isinstance(value, Pregel | StateGraph) and not name.startswith("_")
    ]
    if not graphs:
        return "it holds no graph at all; assign what `StateGraph.compile()` returns to a variable"
    return "its graphs are " + ", ".join(f"{target}:{name}" for name in sorted(graphs))
