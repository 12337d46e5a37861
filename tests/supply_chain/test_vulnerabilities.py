"""What the answers about vulnerabilities come to."""

from __future__ import annotations

import json
from datetime import date

import pytest

from runner_shell.errors import ConfigurationError
from runner_shell.images import vulnerabilities
from runner_shell.images.audit import ask_all, report
from runner_shell.images.lock import Lock, LockedPackage, parse
from runner_shell.images.vulnerabilities import Answer, Ignored, Vulnerability, judge

from .support import LOCK, ROOT

BAD = Vulnerability("bad", "1.0", ("PYSEC-2026-1", "CVE-2026-1"), ("1.1",), "It is bad.")
TODAY = date(2026, 11, 30)


def ignoring(until: date, id: str = "CVE-2026-1", package: str = "") -> Ignored:
    return Ignored(id, "never called", until, package)


def packages(*names: str) -> list[LockedPackage]:
    return [LockedPackage(name, "1") for name in names]


def test_nothing_known() -> None:
    """Where everybody was asked and nothing is known, it is 0."""
    verdict = judge([Answer(clean=("a", "b"))], [], TODAY)
    assert (verdict.exit_code, verdict.clean) == (0, 2)


def test_something_found() -> None:
    """One vulnerability makes it 1, also where somebody could not be asked."""
    answers = [Answer((BAD,), ("a",), {"b": "gone"})]
    verdict = judge(answers, [], TODAY)
    assert (verdict.exit_code, verdict.found) == (1, (BAD,))


def test_nobody_asked_is_not_nothing_known() -> None:
    """One package that nobody could be asked about makes it 75, however many are clean."""
    assert judge([Answer(clean=("a",), not_asked={"b": "404"})], [], TODAY).exit_code == 75


def test_what_is_ignored_does_not_count_until_its_day() -> None:
    """On its last day an entry holds, on the next the vulnerability counts again, and is told."""
    on_the_day = judge([Answer((BAD,))], [ignoring(TODAY)], TODAY)
    assert (on_the_day.exit_code, on_the_day.found) == (0, ())
    after = judge([Answer((BAD,))], [ignoring(date(2026, 11, 29))], TODAY)
    assert (after.exit_code, after.found) == (1, (BAD,))
    assert "    was ignored until 2026-11-29: never called" in list(report(after))


@pytest.mark.parametrize(
    ("entry", "holds"),
    [
        (ignoring(TODAY, "PYSEC-2026-1"), True),
        (ignoring(TODAY, package="bad"), True),
        (ignoring(TODAY, package="other"), False),
        (ignoring(TODAY, "CVE-2026-2"), False),
    ],
)
def test_an_entry_is_of_one_vulnerability(entry: Ignored, holds: bool) -> None:
    """An entry may give any of its names, and the package; it covers no other."""
    assert (judge([Answer((BAD,))], [entry], TODAY).found == ()) is holds


def test_an_entry_that_is_not_needed_is_told() -> None:
    """What is ignored and not found is told, but only once everybody was asked."""
    entry = ignoring(TODAY)
    assert judge([Answer(clean=("bad",))], [entry], TODAY).needless == (entry,)
    assert judge([Answer(not_asked={"bad": "?"})], [entry], TODAY).needless == ()


def test_a_report_is_read() -> None:
    """Found, clean and skipped packages are told apart, whatever the exit code was."""
    text = json.dumps(
        {
            "dependencies": [
                {"name": "a", "version": "1", "vulns": []},
                {"name": "b", "skip_reason": "not found"},
                {
                    "name": "bad",
                    "version": "1.0",
                    "vulns": [
                        {
                            "id": "PYSEC-2026-1",
                            "aliases": ["CVE-2026-1"],
                            "fix_versions": ["1.1"],
                            "description": "It is\nbad.",
                        }
                    ],
                },
            ],
            "fixes": [],
        }
    )
    assert vulnerabilities.answer(text) == Answer((BAD,), ("a",), {"b": "not found"})


@pytest.mark.parametrize("text", ["", "Traceback", "[]", "{}", '{"dependencies": [{"name": "x"}]}'])
def test_what_is_no_report_is_no_answer(text: str) -> None:
    """Text that is no report is an error, and never an empty answer."""
    with pytest.raises(ValueError):
        vulnerabilities.answer(text)


def test_each_list_has_a_name_once() -> None:
    """Two versions of a package go into two lists; our own packages are asked of nobody."""
    found = [
        LockedPackage("own", "1", own=True),
        LockedPackage("a", "1"),
        LockedPackage("a", "2"),
        LockedPackage("b", "1"),
        LockedPackage("a", "3"),
    ]
    lists = vulnerabilities.rounds(found)
    assert list(map(vulnerabilities.requirements, lists)) == ["a==1\nb==1\n", "a==2\n", "a==3\n"]


def test_every_locked_package_is_asked_about() -> None:
    """Of this project's lock no package of an index is left out."""
    lock = parse(LOCK.read_text())
    asked: list[tuple[str, str]] = []

    def ask(some: object) -> Answer:
        assert isinstance(some, list)
        asked.extend((one.name, one.version) for one in some)
        return Answer(clean=tuple(one.name for one in some))

    verdict = judge(ask_all(lock, ask), [], TODAY)
    assert sorted(asked) == sorted((o.name, o.version) for o in lock.packages if not o.own)
    assert (verdict.exit_code, verdict.clean) == (0, len(asked))


def test_a_service_that_answers_nothing_is_not_asked_on() -> None:
    """Where the first few get no answer, no other is asked, and all count as not asked about."""
    times = []

    def ask(some: object) -> Answer:
        assert isinstance(some, list)
        times.append(len(some))
        return vulnerabilities.unanswered(some, "404")

    verdict = judge(ask_all(Lock(packages(*"abcdefgh")), ask), [], TODAY)
    assert times == [3]
    assert (verdict.exit_code, len(verdict.not_asked)) == (75, 8)


def test_one_unknown_package_does_not_stop_the_others() -> None:
    """A package that the service does not have is told, and all others are asked about."""

    def ask(some: object) -> Answer:
        assert isinstance(some, list)
        names = [one.name for one in some]
        return Answer(
            clean=tuple(name for name in names if name != "a"),
            not_asked={name: "private" for name in names if name == "a"},
        )

    verdict = judge(ask_all(Lock(packages(*"abcdefgh")), ask), [], TODAY)
    assert (verdict.clean, dict(verdict.not_asked)) == (7, {"a": "private"})


def test_the_report_says_what_to_do() -> None:
    """A line for each vulnerability has package, names and fix; the last one counts."""
    lines = list(report(judge([Answer((BAD,), ("a",))], [], TODAY)))
    assert lines == [
        "bad 1.0: PYSEC-2026-1 CVE-2026-1 (fixed in 1.1) It is bad.",
        "1 found, 0 ignored, 1 packages with none known, 0 not asked about",
    ]


def test_the_list_of_what_is_ignored() -> None:
    """An entry has a name, a reason and a day, and may have a package."""
    text = '[[ignored]]\nid = "CVE-1"\nreason = "r"\nuntil = 2027-01-31\npackage = "p"\n'
    assert vulnerabilities.ignored_from_toml(text, "list") == (
        Ignored("CVE-1", "r", date(2027, 1, 31), "p"),
    )
    assert vulnerabilities.ignored_from_toml("", "list") == ()


def test_every_mistake_in_the_list_is_told() -> None:
    """No reason, no day, a day that is none and a field that there is not, are told at once."""
    text = (
        '[[ignored]]\nid = "CVE-1"\nuntil = "soon"\n'
        '[[ignored]]\nid = "CVE-2"\nreason = "r"\nexpires = 2027-01-31\n'
    )
    with pytest.raises(ConfigurationError) as raised:
        vulnerabilities.ignored_from_toml(text, "list")
    assert raised.value.problems == (
        "list, entry 1: the field 'reason' is missing",
        "list, entry 1: 'until' must be a date, as 2027-01-31",
        "list, entry 2: there is no field 'expires'",
        "list, entry 2: the field 'until' is missing",
    )
    with pytest.raises(ConfigurationError, match="no TOML"):
        vulnerabilities.ignored_from_toml("=", "list")
    with pytest.raises(ConfigurationError, match=r"each entry as a table \[\[ignored\]\]"):
        vulnerabilities.ignored_from_toml('[ignored]\nid = "CVE-1"\n', "list")


def test_this_project_s_list_is_valid() -> None:
    """The list in `images/` can be read."""
    path = ROOT / "images/vulnerabilities.toml"
    vulnerabilities.ignored_from_toml(path.read_text(), str(path))
