"""Python distributions, as an environment records them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser

from packaging.utils import canonicalize_name

from .lock import Installed

_LONGEST_LICENCE = 80
"""A longer field `License` is the licence's text, not its name."""

_CLASSIFIER = "License :: "

_SPDX = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "bsd 2-clause license": "BSD-2-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
}
"""Names in older metadata that mean one licence; "BSD License" may be any of several."""


@dataclass(frozen=True, order=True)
class Distribution:
    """An installed distribution.

    Attributes:
        name: Normalised.
        version: As its metadata says.
        licence: An SPDX expression where the metadata has one, else what it calls its licence;
            empty where it says nothing.
        tags: What its wheel was tagged with; empty where it was built on the spot.
        summary: One line.
        place: The folder it lies in, without a leading slash.
    """

    name: str
    version: str
    licence: str = ""
    tags: tuple[str, ...] = ()
    summary: str = ""
    place: str = ""


def distribution(metadata: str, wheel: str = "", place: str = "") -> Distribution:
    """Read what a `.dist-info` folder holds.

    Args:
        metadata: The text of `METADATA`.
        wheel: The text of `WHEEL`.
        place: Where the folder lies.
    """
    fields = HeaderParser().parsestr(metadata)
    tags = HeaderParser().parsestr(wheel).get_all("Tag", [])
    return Distribution(
        name=canonicalize_name(fields.get("Name", "")),
        version=fields.get("Version", ""),
        licence=_licence(fields),
        tags=tuple(sorted(map(str, tags))),
        summary=fields.get("Summary", ""),
        place=place,
    )


def differences(locked: Sequence[Installed], found: Sequence[Distribution]) -> tuple[str, ...]:
    """How an environment differs from what the lock says it should hold: a sentence each.

    Args:
        locked: The closure of what was to be installed.
        found: What is installed.
    """
    expected = {one.package.name: one.package.version for one in locked}
    installed = {one.name: one.version for one in found}
    problems = [f"{name} is locked and not installed" for name in expected.keys() - installed]
    problems += [f"{name} is installed and not locked" for name in installed.keys() - expected]
    problems += [
        f"{name} is locked at {version} and installed at {installed[name]}"
        for name, version in expected.items()
        if installed.get(name, version) != version
    ]
    return tuple(sorted(problems))


def _licence(fields: Message) -> str:
    if expression := fields.get("License-Expression", ""):
        return str(expression)
    named = str(fields.get("License", "")).strip()
    if not named or named.upper() == "UNKNOWN" or len(named) > _LONGEST_LICENCE:
        named = ", ".join(_classified(fields))
    return _SPDX.get(named.lower(), named)


def _classified(fields: Message) -> list[str]:
    names = [
        str(value).rpartition(" :: ")[2]
        for value in fields.get_all("Classifier", [])
        if str(value).startswith(_CLASSIFIER)
    ]
    # "OSI Approved" alone says that there is a licence, not which.
    return [name for name in names if name != "OSI Approved"]
