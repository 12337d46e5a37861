"""What the source says of a public name: its signature, fields, methods and docstrings.

Everything is read from the source and nothing is called, so that a page shows what a reader of the
source would see: overloads, aliases, and annotations as they were written.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from types import ModuleType

from .docstring import markdown

Function = ast.FunctionDef | ast.AsyncFunctionDef


def definition(module: ModuleType, name: str) -> ast.stmt:
    """The statement that defines a name.

    Raises:
        LookupError: The module defines no such name.
    """
    for node in ast.parse(inspect.getsource(module)).body:
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef() if node.name == name:
                return node
            case ast.AnnAssign(target=ast.Name(id=found)) if found == name:
                return node
    raise LookupError(f"{module.__name__} defines no {name}")


def entry(node: ast.stmt, level: int) -> Iterator[str]:
    """The paragraphs that describe a definition.

    Args:
        node: As from `definition`.
        level: Depth of its heading.
    """
    match node:
        case ast.ClassDef():
            yield from _class(node, level)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from _function(node, f"{'#' * level} `{node.name}`", [node])
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield f"{'#' * level} `{name}`"
            yield _code(f"{name} = {ast.unparse(value)}")


def _class(node: ast.ClassDef, level: int) -> Iterator[str]:
    yield f"{'#' * level} `{node.name}`"
    fields = [*_fields(node)]
    yield _code("\n".join([_class_line(node) + (":" if fields else ""), *fields]))
    if text := ast.get_docstring(node):
        yield markdown(text)
    methods: dict[str, list[Function]] = {}
    for method in node.body:
        if isinstance(method, Function) and _is_public(method.name):
            methods.setdefault(method.name, []).append(method)
    for name, written in methods.items():
        yield from _function(written[-1], f"{'#' * (level + 1)} `{node.name}.{name}`", written)


def _is_public(method: str) -> bool:
    # pydantic-settings calls its hook, nobody else does; a suite's tests are its own business.
    return not method.startswith(("_", "test_")) and method != "settings_customise_sources"


def _class_line(node: ast.ClassDef) -> str:
    bases = [ast.unparse(base) for base in node.bases]
    options = [f"{key.arg}={ast.unparse(key.value)}" for key in node.keywords if key.arg]
    given = ", ".join(bases + options)
    return f"class {node.name}({given})" if given else f"class {node.name}"


def _fields(node: ast.ClassDef) -> Iterator[str]:
    for part in node.body:
        match part:
            case ast.AnnAssign(target=ast.Name(id=name)) if not name.startswith("_"):
                yield f"    {ast.unparse(part)}"
            case ast.FunctionDef(name="__init__"):
                yield f"    def __init__({ast.unparse(part.args)})"


def _function(last: Function, heading: str, written: list[Function]) -> Iterator[str]:
    yield heading
    overloads = [one for one in written if _decorated(one, "overload")]
    yield _code("\n".join(_signature(one) for one in overloads or [last]))
    if text := ast.get_docstring(last):
        yield markdown(text)


def _signature(node: Function) -> str:
    before = "".join(f"@{ast.unparse(one)}\n" for one in _shown_decorators(node))
    kind = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""
    return f"{before}{kind} {node.name}({ast.unparse(node.args)}){returns}"


def _shown_decorators(node: Function) -> list[ast.expr]:
    return [one for one in node.decorator_list if ast.unparse(one) != "overload"]


def _decorated(node: Function, name: str) -> bool:
    return any(ast.unparse(one) == name for one in node.decorator_list)


def _code(text: str) -> str:
    return f"```python\n{text}\n```"
