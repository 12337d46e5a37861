"""What each megabyte of an image is; pure.

A file belongs to the Python distribution whose `RECORD` names it, else to the Debian package whose
list does. Bytecode belongs to its source's owner and is shown beside it.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

from msgspec import Struct

from .catalogue import PREFIX

MEGABYTE = 1_000_000

_RECORD = re.compile(rf"{PREFIX}/lib/python[\d.]+/site-packages/[^/]+\.dist-info/RECORD")
_LIST = re.compile(r"/var/lib/dpkg/info/([^/:]+)(?::\w+)?\.list")
_PYTHON = re.compile(r"/usr/(local/)?(lib/python3[\d.]*/|bin/python3|lib/lib(python3))")
_MERGED = ("/bin/", "/sbin/", "/lib/", "/lib64/")
"""Where Debian's lists still name what lies below `/usr`."""

CLI = "/_bundled/"
"""The part of the Claude SDK's path below which the vendor's CLI lies."""


class Sized(NamedTuple):
    """One file and what it takes."""

    layer: int
    path: str
    size: int


class Row(Struct, frozen=True, kw_only=True):
    """One owner's part of one layer.

    Attributes:
        layer: Which layer, counted from 0.
        owner: Whose files they are.
        kind: `python`, `distribution`, `package` or `other`.
        bytes: What its files take, bytecode included.
        bytecode: What of this is bytecode.
    """

    layer: int
    owner: str
    kind: str
    bytes: int
    bytecode: int = 0


def is_ledger(path: str) -> bool:
    """Whether a file says which files belong to whom; `rows` needs the content of these."""
    return bool(_RECORD.fullmatch(path) or _LIST.fullmatch(path))


def rows(files: Iterable[Sized], ledgers: Mapping[str, str]) -> list[Row]:
    """Who takes how much of each layer, the largest first within a layer.

    Args:
        files: Every file of every layer.
        ledgers: The content of each file that `is_ledger` wants, by its path.
    """
    owners = _owners(ledgers)
    taken: dict[tuple[int, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for file in files:
        kind, owner = _owner(file.path, owners)
        sums = taken[file.layer, kind, owner]
        sums[0] += file.size
        sums[1] += file.size if file.path.endswith(".pyc") else 0
    found = [
        Row(layer=layer, owner=owner, kind=kind, bytes=total, bytecode=compiled)
        for (layer, kind, owner), (total, compiled) in taken.items()
    ]
    return sorted(found, key=lambda row: (row.layer, -row.bytes, row.owner))


def total(found: Iterable[Row], wanted: Callable[[Row], bool] = lambda row: True) -> int:
    """Bytes of the rows that are wanted."""
    return sum(row.bytes for row in found if wanted(row))


def table(found: Iterable[Row], *, at_least: int = MEGABYTE) -> list[tuple[str, float, float]]:
    """Owner, megabytes, and megabytes of bytecode; what is small becomes one row for each kind."""
    lines: list[tuple[str, float, float]] = []
    small: dict[str, list[Row]] = defaultdict(list)
    for row in found:
        if row.bytes < at_least:
            small[row.kind].append(row)
        else:
            lines.append((row.owner, row.bytes / MEGABYTE, row.bytecode / MEGABYTE))
    for kind, of_kind in sorted(small.items()):
        size, compiled = total(of_kind), sum(row.bytecode for row in of_kind)
        lines.append((f"{len(of_kind)} smaller: {kind}", size / MEGABYTE, compiled / MEGABYTE))
    return lines


def _owners(ledgers: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    owners: dict[str, tuple[str, str]] = {}
    for path, text in ledgers.items():
        if package := _LIST.fullmatch(path):
            owners |= {_merged(line): ("package", package[1]) for line in text.splitlines()}
    for path, text in ledgers.items():
        if _RECORD.fullmatch(path):
            info = PurePosixPath(path).parent
            name = info.name.partition("-")[0].replace("_", "-")
            for line in csv.reader(text.splitlines()):
                owners[_resolved(info.parent / line[0])] = ("distribution", name)
    return owners


def _owner(path: str, owners: Mapping[str, tuple[str, str]]) -> tuple[str, str]:
    source = _source(path)
    if CLI in path and path.startswith(PREFIX):
        return "distribution", "Claude Code, the vendor's CLI"
    if _PYTHON.match(source):
        return "python", "Python"
    return owners.get(source, ("other", "of no package"))


def _source(path: str) -> str:
    """A file's own path, or that of the source which it is the bytecode of."""
    folder, separator, name = path.rpartition("/__pycache__/")
    return f"{folder}/{name.partition('.')[0]}.py" if separator else path


def _merged(path: str) -> str:
    return f"/usr{path}" if path.startswith(_MERGED) else path


def _resolved(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return str(PurePosixPath(*parts))
