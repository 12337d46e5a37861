"""Asks whether anything is known against the locked packages.

`python -m runner_shell.images.audit`: exit code 0 where nothing is known, 1 where something is, 75
where it could not be asked about every package, 2 where the lock or the list of what is ignored
cannot be read. `make audit` runs it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from ..errors import ConfigurationError
from . import lock, vulnerabilities
from .lock import Lock, LockedPackage
from .vulnerabilities import Answer, Ignored, Verdict, Vulnerability

BAD_CONFIGURATION = 2

LOCK = Path("uv.lock")
IGNORED = Path("images/vulnerabilities.toml")

_AUDIT_SECONDS = 1800
_TRIED = 3
_NOT_TRIED = "not tried, as there was no answer about the first"
_SHOWN = 5

Ask = Callable[[Sequence[LockedPackage]], Answer]


def ask_all(locked: Lock, ask: Ask) -> Iterator[Answer]:
    """Ask about every package of an index; about a few first, and no others if that is no use.

    A registry without vulnerabilities would otherwise be asked a hundred times for nothing.
    """
    lists = vulnerabilities.rounds(locked.packages)
    if not lists:
        return
    few = lists[0][:_TRIED]
    tried = ask(few)
    yield tried
    useless = len(tried.not_asked) == len(few)
    for packages in filter(None, (lists[0][_TRIED:], *lists[1:])):
        yield vulnerabilities.unanswered(packages, _NOT_TRIED) if useless else ask(packages)


def pip_audit(options: Sequence[str]) -> Ask:
    """A function that asks with pip-audit, in a process of its own.

    Args:
        options: More options, such as which service to ask.
    """

    def ask(packages: Sequence[LockedPackage]) -> Answer:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "requirements.txt"
            file.write_text(vulnerabilities.requirements(packages))
            return _run(packages, ["--requirement", str(file), *options])

    return ask


def _run(packages: Sequence[LockedPackage], options: Sequence[str]) -> Answer:
    command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--format", "json"]
    try:
        done = subprocess.run(
            [*command, "--progress-spinner", "off", *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_AUDIT_SECONDS,
        )
        # It ends with 1 for what it found and for what broke; only a report tells them apart.
        return vulnerabilities.answer(done.stdout)
    except subprocess.TimeoutExpired:
        return vulnerabilities.unanswered(packages, f"no answer within {_AUDIT_SECONDS} s")
    except ValueError:
        said = done.stderr.strip().splitlines() or ["pip-audit said nothing"]
        return vulnerabilities.unanswered(packages, said[-1])


def report(verdict: Verdict) -> Iterator[str]:
    """The verdict for a person, line by line."""
    expired = dict(verdict.expired)
    for one in verdict.found:
        yield _line(one)
        if one in expired:
            yield f"    was ignored until {expired[one].until}: {expired[one].reason}"
    for one, entry in verdict.ignored:
        yield f"ignored until {entry.until}: {_line(one)}\n    {entry.reason}"
    for entry in verdict.needless:
        yield f"{entry.id} is ignored and was not found: take it out of the list"
    yield from _not_asked(verdict.not_asked)
    yield (
        f"{len(verdict.found)} found, {len(verdict.ignored)} ignored, "
        f"{verdict.clean} packages with none known, {len(verdict.not_asked)} not asked about"
    )


def _not_asked(reasons: Mapping[str, str]) -> Iterator[str]:
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        more = f" and {len(names) - _SHOWN} others" if len(names) > _SHOWN else ""
        yield f"could not ask about {', '.join(names[:_SHOWN])}{more}: {reason}"


def _line(one: Vulnerability) -> str:
    fix = f"fixed in {', '.join(one.fixed_in)}" if one.fixed_in else "no fix yet"
    return f"{one.package} {one.version}: {' '.join(one.ids)} ({fix}) {one.summary}".rstrip()


def _ignored(path: Path) -> tuple[Ignored, ...]:
    return vulnerabilities.ignored_from_toml(path.read_text(), str(path)) if path.exists() else ()


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m runner_shell.images.audit")
    parser.add_argument("--lock", type=Path, default=LOCK, help="the uv.lock")
    parser.add_argument("--ignored", type=Path, default=IGNORED, help="what is lived with")
    parser.add_argument("--service", choices=("pypi", "osv"), default="pypi", help="who is asked")
    parser.add_argument("--osv-url", help="another address of the service `osv`")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask and report; returns the exit code."""
    given = _arguments(arguments)
    options = ["--vulnerability-service", given.service]
    options += ["--osv-url", given.osv_url] if given.osv_url else []
    try:
        locked = lock.parse(given.lock.read_text())
        ignored = _ignored(given.ignored)
    except (ConfigurationError, OSError) as error:
        print(f"audit: {error}", file=sys.stderr)
        return BAD_CONFIGURATION
    answers = ask_all(locked, pip_audit(options))
    verdict = vulnerabilities.judge(answers, ignored, date.today())
    print(*report(verdict), sep="\n")
    return verdict.exit_code


if __name__ == "__main__":
    sys.exit(main())
