"""What each image installs, from the lock file; pure text in, text out.

An adapter's image stands on the base, so it installs what its own closure has beyond the base's.
One lock file says both, so they cannot disagree about a version; `beyond` would notice.
"""

from __future__ import annotations

import platform
import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..errors import ConfigurationError

_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*==\s*([^\s;\\]+)")


class Wheel(NamedTuple):
    """A file of the package index.

    Attributes:
        url: Where it lies.
        sha256: What its content must hash to, in hexadecimal.
    """

    url: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Its name, without the way to it."""
        return self.url.rpartition("/")[2]


def export_command(uv: str, distribution: str) -> list[str]:
    """The command that writes a distribution's locked requirements, with hashes, to stdout.

    Args:
        uv: The program.
        distribution: A member of the workspace; it is not among what is written, nor are others.
    """
    return [
        *(uv, "export", "--quiet", "--locked", "--no-dev", "--no-emit-workspace"),
        *("--no-header", "--no-annotate", "--package", distribution),
    ]


def parse(exported: str) -> dict[str, str]:
    """Each requirement's whole text, its hashes included, by the normalised name.

    Raises:
        ConfigurationError: A line is no `name==version`.
    """
    joined = exported.replace("\\\n", " ")
    found: dict[str, str] = {}
    for line in joined.splitlines():
        text = " ".join(line.split())
        if not text or text.startswith("#"):
            continue
        match = _NAME.match(text)
        if match is None:
            raise ConfigurationError(f"the lock file exports {text[:80]!r}, which pins no version")
        found[normalised(match[1])] = text
    return found


def beyond(closure: Mapping[str, str], base: Mapping[str, str]) -> dict[str, str]:
    """What a closure has beyond the base's.

    Raises:
        ConfigurationError: Both have a package, and not the same of it.
    """
    different = [name for name in closure.keys() & base.keys() if closure[name] != base[name]]
    if different:
        raise ConfigurationError(
            *(
                f"the base has {base[name].split()[0]}, and {closure[name].split()[0]} is asked for"
                for name in sorted(different)
            )
        )
    return {name: text for name, text in closure.items() if name not in base}


def own(distribution: str, version: str, sha256: str) -> str:
    """The requirement of a wheel that was built here."""
    return f"{distribution}=={version} --hash=sha256:{sha256}"


def written(requirements: Iterable[str]) -> str:
    """A requirements file: one a line, sorted."""
    return "".join(f"{text}\n" for text in sorted(requirements))


def normalised(name: str) -> str:
    """A distribution's name as the index compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def uv_wheel(lock: str, machine: str = "") -> Wheel:
    """The locked wheel of uv for Linux, which installs the others during a build.

    Args:
        lock: The text of `uv.lock`.
        machine: As `platform.machine()` says; this machine's unless given.

    Raises:
        ConfigurationError: The lock file has none for this machine.
    """
    machine = machine or platform.machine()
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(machine.lower(), machine)
    for package in tomllib.loads(lock).get("package", []):
        if package["name"] != "uv":
            continue
        for wheel in package.get("wheels", []):
            if "manylinux" in wheel["url"] and f"_{machine}." in wheel["url"]:
                return Wheel(wheel["url"], wheel["hash"].removeprefix("sha256:"))
    raise ConfigurationError(f"uv.lock has no wheel of uv for Linux on {machine}")
