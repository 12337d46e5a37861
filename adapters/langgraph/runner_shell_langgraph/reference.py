"""From a reference, `./file.py:variable` or `package.module:variable`, to what it names.

What cannot be imported is said with file, line and cause.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from langgraph.graph import StateGraph
from langgraph.pregel.protocol import PregelProtocol

from runner_shell import ConfigurationError


def find(
    reference: str,
    *,
    workspace: Path,
    allow_workspace: bool = False,
    base: Path | None = None,
    preferred: str = "",
) -> object:
    """Import a module and return the variable that the reference names.

    Args:
        reference: `./file.py:variable` or `package.module:variable`. Of a file alone it is the
            variable `preferred`, or its only graph.
        workspace: The agent's directory; code in it is data, not configuration.
        allow_workspace: Import from the workspace all the same.
        base: Where a relative file starts from; the process's directory unless given.
        preferred: The variable's name where the reference gives none.

    Raises:
        ConfigurationError: The reference is wrong, and what would be right; or its module cannot
            be imported, with file, line and cause.
    """
    target, separator, variable = reference.rpartition(":")
    if not separator and _is_file(reference):
        target, variable = reference, preferred
    elif not target or not variable:
        raise ConfigurationError(
            f"GRAPH={reference!r} is not a reference to a graph; write ./file.py:variable or "
            "package.module:variable"
        )
    from_file = _is_file(target)
    spec = _file_spec(target, base or Path.cwd()) if from_file else _module_spec(target)
    if not allow_workspace:
        refuse_within(workspace, target, spec.origin, *(spec.submodule_search_locations or ()))
    module = _imported(target, spec, from_file=from_file)
    if not variable:
        variable = _only_graph(reference, target, module)
    if not hasattr(module, variable):
        raise ConfigurationError(
            f"GRAPH={reference!r}: {target} has no variable {variable!r}; {_offer(module, target)}"
        )
    return getattr(module, variable)


def refuse_within(workspace: Path, what: str, *places: str | Path | None) -> None:
    """Refuse what lies in the workspace, or is reached through a link in it.

    Raises:
        ConfigurationError: It does.
    """
    root, lexical = workspace.resolve(), workspace.absolute()
    for path in (Path(place) for place in places if place):
        # A link in the workspace is the repository's choice too, wherever it leads.
        if path.resolve().is_relative_to(root) or path.absolute().is_relative_to(lexical):
            raise ConfigurationError(
                f"GRAPH: {what} lies in the workspace, where a repository could put any code; "
                "move it out, or set LANGGRAPH_ALLOW_WORKSPACE_GRAPH=1"
            )


def cause_of(error: BaseException) -> str:
    """Where an error comes from and what it says: `file:line: Class: message`.

    The line is the innermost one of the graph's own code, neither Python's nor an installed
    package's; without such a line it is left out.
    """
    said = f"{type(error).__name__}: {error}".removesuffix(": ")
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<") and Path(frame.filename).parent != _HERE
    ]
    own = [frame for frame in frames if not _is_library(frame.filename)]
    return f"{own[-1].filename}:{own[-1].lineno}: {said}" if own else said


def _is_file(target: str) -> bool:
    return "/" in target or target.endswith(".py")


_HERE = Path(__file__).parent


def _is_library(file: str) -> bool:
    parts = Path(file).parts
    if "site-packages" in parts or "dist-packages" in parts:
        return True
    return file.startswith(str(Path(importlib.__file__).parents[1]))


def _file_spec(target: str, base: Path) -> ModuleSpec:
    file = base / target
    if not file.is_file():
        raise ConfigurationError(
            f"GRAPH: there is no file {target}; a relative path starts from {base}"
        )
    name, root = _module_name(file)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None:
        raise ConfigurationError(f"GRAPH: {target} is not a Python file")
    if root is not None and str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return spec


def _module_name(file: Path) -> tuple[str, Path | None]:
    """The name a file is imported under, and the directory its top package lies in.

    A file of a package keeps its place there, so that its relative imports work.
    """
    names, directory = [file.stem], file.parent
    while (directory / "__init__.py").is_file():
        names.insert(0, directory.name)
        directory = directory.parent
    if len(names) == 1:
        return f"runner_shell_graph_{file.stem}", None
    return ".".join(names), directory


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


def _imported(target: str, spec: ModuleSpec, *, from_file: bool) -> ModuleType:
    try:
        if not from_file:
            return importlib.import_module(target)
        parent = spec.name.rpartition(".")[0]
        if parent:
            importlib.import_module(parent)
        return _run(spec)
    except (Exception, SystemExit) as error:
        hint = (
            "; install it, or set PYTHONPATH if it lies beside the graph"
            if isinstance(error, ModuleNotFoundError)
            else ""
        )
        raise ConfigurationError(
            f"GRAPH: {target} cannot be imported: {cause_of(error)}{hint}"
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


def _only_graph(reference: str, target: str, module: ModuleType) -> str:
    graphs = _graphs(module)
    if len(graphs) != 1:
        raise ConfigurationError(
            f"GRAPH={reference!r} names no variable; {_offer(module, target)}. Write "
            "./file.py:variable or package.module:variable, or set WORKFLOW_ID"
        )
    return graphs[0]


def _graphs(module: ModuleType) -> list[str]:
    return sorted(
        name
        for name, value in vars(module).items()
        if isinstance(value, PregelProtocol | StateGraph) and not name.startswith("_")
    )


def _offer(module: ModuleType, target: str) -> str:
    graphs = _graphs(module)
    if not graphs:
        return "it holds no graph at all; assign what `StateGraph.compile()` returns to a variable"
    return "its graphs are " + ", ".join(f"{target}:{name}" for name in graphs)
