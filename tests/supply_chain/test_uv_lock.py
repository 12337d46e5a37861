"""Which packages of a lock an environment gets."""

from __future__ import annotations

import re

import pytest

from runner_shell.errors import ConfigurationError
from runner_shell.images.lock import Lock, parse, roots

from .support import LOCK, TARGET

TEXT = """
version = 1
revision = 3

[[package]]
name = "app"
version = "1.0"
source = { editable = "." }
dependencies = [
    { name = "always" },
    { name = "windows-only", marker = "sys_platform == 'win32'" },
    { name = "old-only", marker = "python_full_version < '3.12'" },
    { name = "forked", version = "1.0", marker = "python_full_version < '3.12'" },
    { name = "forked", version = "2.0", marker = "python_full_version >= '3.12'" },
]
[package.optional-dependencies]
more = [{ name = "with-extra", extra = ["fast"] }]
other = [{ name = "always" }, { name = "not-wanted" }]

[[package]]
name = "always"
version = "1.1"
source = { registry = "x" }
dependencies = [{ name = "app" }]
sdist = { url = "https://x/always-1.1.tar.gz", hash = "sha256:aa", size = 7 }

[[package]]
name = "with-extra"
version = "1.2"
source = { registry = "x" }
[package.optional-dependencies]
fast = [{ name = "speedups" }]
"""
for _name in ("speedups", "not-wanted", "windows-only", "old-only"):
    TEXT += f'\n[[package]]\nname = "{_name}"\nversion = "9"\nsource = {{ registry = "x" }}\n'
for _version in ("1.0", "2.0"):
    TEXT += f'\n[[package]]\nname = "forked"\nversion = "{_version}"\n'


@pytest.fixture
def lock() -> Lock:
    return parse(TEXT)


def names(lock: Lock, *wanted: str) -> dict[str, str]:
    found = lock.closure(wanted, TARGET.markers())
    return {one.package.name: one.package.version for one in found}


def test_a_closure_follows_needs_in_a_circle(lock: Lock) -> None:
    """Every package that is needed is in it once, also where two need each other."""
    assert names(lock, "app") == {"app": "1.0", "always": "1.1", "forked": "2.0"}


def test_markers_are_those_of_the_target(lock: Lock) -> None:
    """What another system or Python needs is left out, and of a fork one side is taken."""
    older = TARGET.markers() | {"python_full_version": "3.11.2", "python_version": "3.11"}
    found = {one.package.name: one.package.version for one in lock.closure(["app"], older)}
    assert found == {"app": "1.0", "always": "1.1", "old-only": "9", "forked": "1.0"}


def test_extras_bring_extras(lock: Lock) -> None:
    """An extra brings its packages, with the extras that it asks of them, and no other's."""
    assert names(lock, "App[more]").keys() - names(lock, "app").keys() == {"with-extra", "speedups"}


def test_needs_name_only_what_is_there(lock: Lock) -> None:
    """A package's needs are those that hold for the target, without itself."""
    (app,) = (one for one in lock.closure(["app"], TARGET.markers()) if one.package.own)
    assert app.needs == ("always", "forked")


def test_a_package_that_is_not_there(lock: Lock) -> None:
    """A root that the lock lacks is told by name."""
    with pytest.raises(ConfigurationError, match="no package nothing"):
        names(lock, "nothing")
    with pytest.raises(ConfigurationError, match="more than one package forked"):
        lock.package("forked")


@pytest.mark.parametrize(
    ("text", "said"), [("version = 2", "format 2"), ("= nonsense", "no TOML"), ("", "format None")]
)
def test_another_format_is_refused(text: str, said: str) -> None:
    """What is no lock of the known format is refused, not read as an empty one."""
    with pytest.raises(ConfigurationError, match=said):
        parse(text)


def test_roots_are_told_by_what_is_installed(lock: Lock) -> None:
    """An extra counts as installed where all that it needs is."""
    assert roots(lock, {"app", "always", "with-extra"}) == ("app[more]",)
    assert roots(lock, {"app", "always"}) == ("app",)
    assert roots(lock, {"always"}) == ()


def test_this_project_s_lock_is_read_whole() -> None:
    """Every package of our own lock is read, and each of an index has a file with a hash."""
    lock = parse(LOCK.read_text())
    assert len(lock.packages) == len(re.findall(r"^\[\[package\]\]", LOCK.read_text(), re.M))
    assert {one.name for one in lock.packages if one.own} == {
        "runner-shell",
        "runner-shell-claude",
        "runner-shell-langgraph",
    }
    for package in lock.packages:
        files = [*package.wheels, *filter(None, [package.sdist])]
        assert package.own or files
        assert all(len(file.sha256) == 64 and file.bytes for file in files)
