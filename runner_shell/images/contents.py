"""What an image's files say is in it: Debian packages, Python distributions, the bundled CLI."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from tarfile import TarFile, TarInfo
from typing import IO

from . import debian
from .archive import ImageArchive
from .bundled import EXECUTABLE, VERSION_FILE, BundledCli, cli_version
from .debian import DebianPackage, Release
from .distributions import Distribution, distribution

ENVIRONMENT = "opt/runner-shell"
"""The virtual environment of our images."""

_WANTED = re.compile(
    r"var/lib/dpkg/status(\.d/[^/]+)?|usr/lib/os-release|etc/os-release"
    r"|.*/site-packages/[^/]+\.dist-info/(METADATA|WHEEL)"
    rf"|.*/site-packages/{re.escape(VERSION_FILE)}"
    rf"|{ENVIRONMENT}/pyvenv\.cfg"
)
_CLI = re.compile(rf".*/site-packages/{EXECUTABLE}")
_PYTHON = re.compile(r"^version(?:_info)?\s*=\s*(\d+\.\d+\.\d+)", re.MULTILINE)

_OPAQUE = ".wh..wh..opq"
_WHITEOUT = ".wh."
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Contents:
    """What is in an image.

    Attributes:
        release: The Linux distribution.
        packages: Its packages.
        distributions: Python distributions in any `site-packages`.
        python: The version of the images' Python; empty without the environment.
        cli: The bundled CLI, if there is one.
    """

    release: Release
    packages: tuple[DebianPackage, ...]
    distributions: tuple[Distribution, ...]
    python: str = ""
    cli: BundledCli | None = None


def contents_of(image: ImageArchive) -> Contents:
    """Read a saved image, layer by layer; nothing of it is run."""
    files: dict[str, bytes] = {}
    for number in range(len(image.layers)):
        with image.layer(number) as layer:
            apply_layer(files, layer)
    return contents(files)


def apply_layer(files: dict[str, bytes], layer: TarFile) -> None:
    """Lay a layer over the wanted files of those below it.

    Args:
        files: Wanted files by path; changed. Of the bundled CLI only the SHA-256 is kept.
        layer: Its files; what it deletes stands in it as `.wh.NAME` (OCI's layer specification).
    """
    below = set(files)
    for member in layer:
        path = PurePosixPath(member.name.removeprefix("/"))
        if path.name == _OPAQUE:
            _delete(files, below, f"{path.parent}/")
        elif path.name.startswith(_WHITEOUT):
            gone = str(path.parent / path.name.removeprefix(_WHITEOUT))
            _delete(files, below, gone)
            _delete(files, below, f"{gone}/")
        elif member.isfile():
            _take(files, str(path), layer, member)


def contents(files: Mapping[str, bytes]) -> Contents:
    """What these files say.

    Args:
        files: By path without a leading slash; others than those that are wanted do not matter.
    """
    texts = {path: content.decode("utf-8", "replace") for path, content in files.items()}
    status = [text for path, text in sorted(texts.items()) if path.startswith("var/lib/dpkg/")]
    release = texts.get("usr/lib/os-release") or texts.get("etc/os-release", "")
    python = _PYTHON.search(texts.get(f"{ENVIRONMENT}/pyvenv.cfg", ""))
    return Contents(
        debian.release(release),
        debian.packages("\n\n".join(status)),
        _distributions(texts),
        python[1] if python else "",
        _cli(texts),
    )


def _distributions(texts: Mapping[str, str]) -> tuple[Distribution, ...]:
    found = []
    for path, metadata in texts.items():
        folder, _, name = path.rpartition("/")
        if name == "METADATA":
            wheel = texts.get(f"{folder}/WHEEL", "")
            found.append(distribution(metadata, wheel, folder.rpartition("/")[0]))
    return tuple(sorted(found))


def _cli(texts: Mapping[str, str]) -> BundledCli | None:
    named = [text for path, text in texts.items() if path.endswith(f"/{VERSION_FILE}")]
    digests = [text for path, text in texts.items() if _CLI.fullmatch(path)]
    version = cli_version(named[0]) if named else ""
    return BundledCli(version, digests[0] if digests else "") if version else None


def _take(files: dict[str, bytes], path: str, layer: TarFile, member: TarInfo) -> None:
    is_cli = bool(_CLI.fullmatch(path))
    if not (is_cli or _WANTED.fullmatch(path)):
        return
    stream = layer.extractfile(member)
    assert stream is not None  # it is a file
    files[path] = _sha256(stream).encode() if is_cli else stream.read()


def _sha256(stream: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _delete(files: dict[str, bytes], below: set[str], start: str) -> None:
    for path in below:
        if path == start or (start.endswith("/") and path.startswith(start)):
            files.pop(path, None)
