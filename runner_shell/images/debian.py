"""Debian packages, as an image's file system records them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_GLIBC = re.compile(r"(?:\d+:)?(\d+)\.(\d+)")


@dataclass(frozen=True, order=True)
class DebianPackage:
    """An installed package.

    Attributes:
        name: Of the binary package.
        version: With epoch and revision.
        architecture: Such as `amd64`, or `all`.
        source: Name of the source package, under which Debian publishes its security notices.
        source_version: The source's version, which is another where only the build was repeated.
    """

    name: str
    version: str
    architecture: str
    source: str
    source_version: str


@dataclass(frozen=True)
class Release:
    """The distribution, by `/etc/os-release`.

    Attributes:
        name: `ID`, such as `debian`; empty where it is not said.
        version: `VERSION_ID`, such as `13`.
    """

    name: str = ""
    version: str = ""

    def __str__(self) -> str:
        return "-".join(filter(None, (self.name, self.version)))


def packages(status: str) -> tuple[DebianPackage, ...]:
    """The installed packages, sorted.

    Args:
        status: The text of `/var/lib/dpkg/status`, or of the files of `status.d` one after
            another, whose paragraphs have no field `Status`.
    """
    found = {
        _package(fields)
        for fields in _paragraphs(status)
        if "Package" in fields and fields.get("Status", "installed").split()[-1] == "installed"
    }
    return tuple(sorted(found))


def release(os_release: str) -> Release:
    """What `/etc/os-release` says of the distribution."""
    pairs = (line.partition("=") for line in os_release.splitlines())
    values = {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}
    return Release(values.get("ID", ""), values.get("VERSION_ID", ""))


def glibc(found: Sequence[DebianPackage]) -> tuple[int, int] | None:
    """Major and minor version of the C library among these packages; None without one."""
    libraries = (package.version for package in found if package.name == "libc6")
    match = _GLIBC.match(next(libraries, ""))
    return (int(match[1]), int(match[2])) if match else None


def _package(fields: dict[str, str]) -> DebianPackage:
    # `Source: name (version)`; without the field both are the binary's own.
    source, _, bracketed = fields.get("Source", "").partition(" ")
    return DebianPackage(
        fields["Package"],
        fields.get("Version", ""),
        fields.get("Architecture", ""),
        source or fields["Package"],
        bracketed.strip("() ") or fields.get("Version", ""),
    )


def _paragraphs(text: str) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    for line in [*text.splitlines(), ""]:
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif not line[0].isspace():  # what is indented goes on with a field that is not wanted
            name, _, value = line.partition(":")
            fields[name] = value.strip()
