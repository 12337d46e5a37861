"""What is known against the locked packages, and what becomes of it.

The questions are put by `audit`; here is what they are made of, and what the answers mean. A
package that nobody could be asked about never counts as one without vulnerabilities.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ..tables import read_tables
from .lock import LockedPackage

NONE_KNOWN = 0
FOUND = 1
COULD_NOT_ASK = 75
"""Exit codes. The last is the shell's own for what may be otherwise later (`EX_TEMPFAIL`)."""

_IGNORED_FIELDS = {"id": str, "reason": str, "until": date, "package": str}


@dataclass(frozen=True)
class Vulnerability:
    """Something that is known against a package.

    Attributes:
        package: Normalised name.
        version: As locked.
        ids: Every name it has, the service's own first.
        fixed_in: Versions without it; empty where there are none yet.
        summary: One line.
    """

    package: str
    version: str
    ids: tuple[str, ...]
    fixed_in: tuple[str, ...] = ()
    summary: str = ""


@dataclass(frozen=True)
class Ignored:
    """A vulnerability that is known, looked at, and lived with until a day.

    Attributes:
        id: Any of its names.
        reason: Why it does no harm here.
        until: The last day on which it is ignored.
        package: Of which package; empty for any.
    """

    id: str
    reason: str
    until: date
    package: str = ""

    def covers(self, vulnerability: Vulnerability) -> bool:
        """Whether this vulnerability is meant, on whatever day."""
        return self.id in vulnerability.ids and self.package in ("", vulnerability.package)


@dataclass(frozen=True)
class Answer:
    """What a service said.

    Attributes:
        vulnerabilities: Those it knows.
        clean: Packages of which it knows none, by name.
        not_asked: Reasons by the name of a package that it could not be asked about.
    """

    vulnerabilities: tuple[Vulnerability, ...] = ()
    clean: tuple[str, ...] = ()
    not_asked: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What all answers come to.

    Attributes:
        found: Vulnerabilities that count.
        ignored: Those that are lived with, and by what.
        expired: Those that count again, since the day has passed.
        needless: What is ignored and was not found.
        clean: How many packages have none.
        not_asked: Reasons by package.
    """

    found: tuple[Vulnerability, ...]
    ignored: tuple[tuple[Vulnerability, Ignored], ...]
    expired: tuple[tuple[Vulnerability, Ignored], ...]
    needless: tuple[Ignored, ...]
    clean: int
    not_asked: Mapping[str, str]

    @property
    def exit_code(self) -> int:
        """`FOUND` before `COULD_NOT_ASK` before `NONE_KNOWN`."""
        if self.found:
            return FOUND
        return COULD_NOT_ASK if self.not_asked else NONE_KNOWN


def rounds(packages: Iterable[LockedPackage]) -> list[list[LockedPackage]]:
    """The packages of an index, in as few lists as hold each name once.

    A requirements file has one version of a package; a lock may have several.
    """
    lists: list[list[LockedPackage]] = []
    times: dict[str, int] = {}
    for package in packages:
        if package.own or not package.version:
            continue
        at = times.get(package.name, 0)
        times[package.name] = at + 1
        if at == len(lists):
            lists.append([])
        lists[at].append(package)
    return lists


def requirements(packages: Iterable[LockedPackage]) -> str:
    """The text of a requirements file with exactly these."""
    return "".join(f"{package.name}=={package.version}\n" for package in packages)


def answer(report: str) -> Answer:
    """Read pip-audit's report in JSON.

    Raises:
        ValueError: It is none.
    """
    try:
        dependencies = json.loads(report)["dependencies"]
        skipped = {one["name"]: one["skip_reason"] for one in dependencies if "skip_reason" in one}
        asked = [one for one in dependencies if "skip_reason" not in one]
        return Answer(
            tuple(_vulnerability(one, vuln) for one in asked for vuln in one["vulns"]),
            tuple(one["name"] for one in asked if not one["vulns"]),
            skipped,
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"this is no report of pip-audit: {error!r}") from error


def unanswered(packages: Iterable[LockedPackage], reason: str) -> Answer:
    """The answer where none came."""
    return Answer(not_asked={package.name: reason for package in packages})


def judge(answers: Iterable[Answer], ignored: Sequence[Ignored], today: date) -> Verdict:
    """What the answers come to, on a day."""
    given = list(answers)
    known = [one for each in given for one in each.vulnerabilities]
    covered = [(one, entry) for one in known for entry in ignored if entry.covers(one)]
    lived_with = [(one, entry) for one, entry in covered if today <= entry.until]
    harmless = {one for one, _ in lived_with}
    used = {entry for _, entry in covered}
    not_asked = {name: why for each in given for name, why in each.not_asked.items()}
    return Verdict(
        found=tuple(one for one in known if one not in harmless),
        ignored=tuple(lived_with),
        expired=tuple((one, entry) for one, entry in covered if one not in harmless),
        # As long as somebody was not asked, nobody knows that an entry is not needed.
        needless=() if not_asked else tuple(entry for entry in ignored if entry not in used),
        clean=sum(len(each.clean) for each in given),
        not_asked=not_asked,
    )


def ignored_from_toml(text: str, origin: str) -> tuple[Ignored, ...]:
    """What is lived with: a table `[[ignored]]` each, with `id`, `reason` and `until`.

    Args:
        text: The file's content.
        origin: What messages call it.

    Raises:
        ConfigurationError: With every problem of every entry.
    """
    tables = read_tables(text, "ignored", origin, "entry", _problems)
    return tuple(Ignored(**table) for table in tables)


def _problems(table: Mapping[str, Any]) -> Iterable[str]:
    for name in sorted(table.keys() - _IGNORED_FIELDS.keys()):
        yield f"there is no field {name!r}"
    for name in ("id", "reason", "until"):
        if not table.get(name):
            yield f"the field {name!r} is missing"
    for name, kind in _IGNORED_FIELDS.items():
        # A time of day is a date to Python, and cannot be compared with one.
        if name in table and type(table[name]) is not kind:
            what = "a date, as 2027-01-31" if kind is date else "a text"
            yield f"{name!r} must be {what}"


def _vulnerability(package: Mapping[str, Any], found: Mapping[str, Any]) -> Vulnerability:
    return Vulnerability(
        package["name"],
        package["version"],
        (found["id"], *sorted(found.get("aliases", ()))),
        tuple(found.get("fix_versions", ())),
        " ".join(found.get("description", "").split())[:200],
    )
