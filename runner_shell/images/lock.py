"""`uv.lock`, and which of its packages an environment really gets."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ..errors import ConfigurationError

LOCK_VERSION = 1
"""The format's version; later revisions of it only add fields."""


@dataclass(frozen=True)
class LockedFile:
    """A wheel or a source archive, as the lock pins it.

    Attributes:
        url: Where it lies.
        sha256: Hexadecimal; empty where the lock has none.
        bytes: Its size; 0 where the lock does not say.
    """

    url: str
    sha256: str = ""
    bytes: int = 0

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2].partition("#")[0]


@dataclass(frozen=True)
class Edge:
    """One package's need of another.

    Attributes:
        name: The other's, normalised.
        version: Set only where the lock holds several.
        extras: The other's extras that are wanted.
        marker: When the need is there; empty for always.
    """

    name: str
    version: str = ""
    extras: tuple[str, ...] = ()
    marker: str = ""


@dataclass(frozen=True)
class LockedPackage:
    """A package at one version.

    Attributes:
        name: Normalised.
        version: As locked.
        own: Whether it is of this workspace, and so in no index.
        wheels: The wheels of the index, for every platform.
        sdist: The source archive, if there is one.
        needs: What it needs always, by no extra.
        extras: What it needs besides, by extra.
    """

    name: str
    version: str
    own: bool = False
    wheels: tuple[LockedFile, ...] = ()
    sdist: LockedFile | None = None
    needs: tuple[Edge, ...] = ()
    extras: Mapping[str, tuple[Edge, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Installed:
    """A package of a closure.

    Attributes:
        package: Which.
        needs: Names of the packages of the closure that it needs, sorted.
    """

    package: LockedPackage
    needs: tuple[str, ...]


class Lock:
    """The packages of a `uv.lock`.

    Args:
        packages: All of them; a name may come at several versions.
    """

    def __init__(self, packages: Iterable[LockedPackage]) -> None:
        self.packages = tuple(packages)
        self._by_name: dict[str, list[LockedPackage]] = {}
        for package in self.packages:
            self._by_name.setdefault(package.name, []).append(package)

    def package(self, name: str, version: str = "") -> LockedPackage:
        """The package of this name, at this version where there are several.

        Raises:
            ConfigurationError: The lock has none, or several and no version says which.
        """
        found = self._by_name.get(canonicalize_name(name), [])
        if version:
            found = [package for package in found if package.version == version]
        if len(found) != 1:
            how_many = "no" if not found else "more than one"
            raise ConfigurationError(f"the lock has {how_many} package {name} {version}".rstrip())
        return found[0]

    def closure(
        self, roots: Sequence[str], environment: Mapping[str, str]
    ) -> tuple[Installed, ...]:
        """What gets installed with these packages, themselves included, by name.

        Args:
            roots: Names with extras, such as `runner-shell-claude[online]`.
            environment: The values of the markers' variables, such as `python_version`.

        Raises:
            ConfigurationError: A root is no requirement, or not in the lock.
        """
        wanted: dict[str, tuple[LockedPackage, set[str]]] = {}
        queue = [_root(text) for text in roots]
        needs: dict[str, set[str]] = {}
        while queue:
            edge = queue.pop()
            package = self.package(edge.name, edge.version)
            known = wanted.setdefault(package.name, (package, set()))[1]
            fresh = {"", *edge.extras} - known
            known |= fresh
            for extra in fresh:
                edges = [one for one in _edges(package, extra) if _applies(one, environment)]
                needs.setdefault(package.name, set()).update(one.name for one in edges)
                queue += edges
        return tuple(
            Installed(package, tuple(sorted(needs[name] - {name})))
            for name, (package, _) in sorted(wanted.items())
        )


def roots(lock: Lock, installed: Collection[str]) -> tuple[str, ...]:
    """What was installed of the workspace, with the extras whose needs are all there.

    Args:
        lock: The lock.
        installed: Normalised names of what is installed.
    """
    found = []
    for package in lock.packages:
        if package.own and package.name in installed:
            there = [
                extra
                for extra, needs in sorted(package.extras.items())
                if all(edge.name in installed for edge in needs)
            ]
            found.append(f"{package.name}[{','.join(there)}]" if there else package.name)
    return tuple(found)


def parse(text: str) -> Lock:
    """Read a `uv.lock`.

    Raises:
        ConfigurationError: It is no TOML, or of a format that is not known.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"the lock is no TOML: {error}") from error
    if document.get("version") != LOCK_VERSION:
        raise ConfigurationError(
            f"the lock has the format {document.get('version')!r}; {LOCK_VERSION} is understood"
        )
    return Lock(_package(table) for table in document.get("package", ()))


def _root(text: str) -> Edge:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise ConfigurationError(f"{text!r} is no requirement: {error}") from error
    return Edge(canonicalize_name(requirement.name), extras=tuple(sorted(requirement.extras)))


def _edges(package: LockedPackage, extra: str) -> tuple[Edge, ...]:
    return package.needs if not extra else package.extras.get(canonicalize_name(extra), ())


def _applies(edge: Edge, environment: Mapping[str, str]) -> bool:
    return not edge.marker or Marker(edge.marker).evaluate(dict(environment))


def _package(table: Mapping[str, Any]) -> LockedPackage:
    source = table.get("source", {})
    optional = table.get("optional-dependencies", {})
    return LockedPackage(
        name=canonicalize_name(table["name"]),
        version=table.get("version", ""),
        own=bool(source.keys() & {"editable", "virtual", "directory"}),
        wheels=tuple(_files(table.get("wheels", ()))),
        sdist=next(_files([table["sdist"]]), None) if "sdist" in table else None,
        needs=_needs(table.get("dependencies", ())),
        extras={canonicalize_name(name): _needs(edges) for name, edges in optional.items()},
    )


def _needs(tables: Iterable[Mapping[str, Any]]) -> tuple[Edge, ...]:
    return tuple(
        Edge(
            canonicalize_name(table["name"]),
            table.get("version", ""),
            tuple(table.get("extra", ())),
            table.get("marker", ""),
        )
        for table in tables
    )


def _files(tables: Iterable[Mapping[str, Any]]) -> Iterator[LockedFile]:
    for table in tables:
        # A file beside the lock has a `path`, one of an index a `url`.
        sha256 = table.get("hash", "").removeprefix("sha256:")
        yield LockedFile(table.get("url") or table["path"], sha256, table.get("size", 0))
