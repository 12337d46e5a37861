"""`langgraph.json`: which graphs a project has, and what it needs to run them.

Read are `graphs`, `env` and `dependencies`; what else stands there configures a server, and a
runner is none.

Source: https://docs.langchain.com/langsmith/cli, "Configuration file".
"""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
from dotenv import dotenv_values
from packaging.requirements import InvalidRequirement, Requirement

from runner_shell import ConfigurationError

NAME = "langgraph.json"


@dataclass(frozen=True)
class Manifest:
    """What a `langgraph.json` says.

    Attributes:
        path: The file.
        graphs: References by the graphs' ids; files are relative to the manifest's directory.
        environment: Variables that the graphs expect.
        directories: Local dependencies, from which modules can be imported.
        missing: Packages it needs that are not installed, or not in that version.
    """

    path: Path
    graphs: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict)
    directories: tuple[Path, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def directory(self) -> Path:
        """Where relative paths start from."""
        return self.path.parent

    def reference(self, id: str) -> str:
        """The reference of a graph; of the only one where no id is given.

        Raises:
            ConfigurationError: There is no such graph, or several to choose from.
        """
        if not id and len(self.graphs) == 1:
            return next(iter(self.graphs.values()))
        known = ", ".join(self.graphs)
        if not id:
            raise ConfigurationError(
                f"{self.path} has several graphs; set WORKFLOW_ID to one of: {known}"
            )
        if id not in self.graphs:
            raise ConfigurationError(
                f"WORKFLOW_ID={id!r}: {self.path} has no such graph; it has: {known}"
            )
        return self.graphs[id]

    def prepare(self, environ: MutableMapping[str, str]) -> None:
        """Make its directories importable and its variables known, where they are not set.

        Args:
            environ: `os.environ`; what stands there already is the operator's word and stays.

        Raises:
            ConfigurationError: It needs packages that are not installed.
        """
        if self.missing:
            raise ConfigurationError(
                f"{self.path} needs packages that are not installed: {', '.join(self.missing)}; "
                "install them beside the runner"
            )
        for directory in self.directories:
            if str(directory) not in sys.path:
                sys.path.insert(0, str(directory))
        for name, value in self.environment.items():
            environ.setdefault(name, value)


def read_manifest(path: Path) -> Manifest:
    """Read a `langgraph.json`.

    Raises:
        ConfigurationError: It cannot be read or says something wrong; the file and what.
    """
    try:
        content = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read as a JSON object: {error}") from error
    dependencies = _strings(path, content, "dependencies")
    local = [one for one in dependencies if one.startswith((".", "/"))]
    directories = tuple((path.parent / one).resolve() for one in local)
    absent = tuple(str(one) for one in directories if not one.is_dir())
    wanted = [one for one in dependencies if one not in local]
    return Manifest(
        path=path,
        graphs=_graphs(path, content.get("graphs")),
        environment=_environment(path, content.get("env", {})),
        directories=directories,
        missing=(*absent, *(one for one in wanted if not _installed(path, one))),
    )


def _graphs(path: Path, given: Any) -> dict[str, str]:
    graphs = {}
    for id, entry in (given if isinstance(given, dict) else {}).items():
        reference = entry.get("path") if isinstance(entry, dict) else entry
        if not isinstance(reference, str):
            raise ConfigurationError(
                f"{path}: the graph {id!r} must be a reference such as ./agent.py:graph"
            )
        graphs[id] = reference
    if not graphs:
        raise ConfigurationError(
            f'{path} names no graphs; write "graphs": {{"agent": "./agent.py:graph"}}'
        )
    return graphs


def _environment(path: Path, given: Any) -> dict[str, str]:
    if isinstance(given, dict):
        return {str(name): str(value) for name, value in given.items()}
    if not isinstance(given, str):
        raise ConfigurationError(f"{path}: env must be an object, or the name of a file")
    file = path.parent / given
    if not file.is_file():
        raise ConfigurationError(f"{path}: env names {given}, which is no file")
    return {name: value for name, value in dotenv_values(file).items() if value is not None}


def _strings(path: Path, content: dict[str, Any], name: str) -> list[str]:
    given = content.get(name, [])
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise ConfigurationError(f"{path}: {name} must be a list of strings")
    return given


def _installed(path: Path, wanted: str) -> bool:
    try:
        requirement = Requirement(wanted)
    except InvalidRequirement as error:
        raise ConfigurationError(f"{path}: {wanted!r} is no dependency: {error}") from error
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    try:
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return False
