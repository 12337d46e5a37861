"""The bill of materials is true of an environment that an installer made from wheels."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from packaging.tags import Tag, parse_tag
from packaging.utils import parse_wheel_filename
from test_wheels import run, uv

from runner_shell.images.contents import ENVIRONMENT, contents
from runner_shell.images.distributions import differences
from runner_shell.images.lock import Installed as Locked
from runner_shell.images.lock import parse, roots
from runner_shell.images.sbom import Subject, document
from runner_shell.images.target import Target

from .support import FACTS, LOCK, ROOT

pytestmark = pytest.mark.slow

major, minor = map(int, platform.libc_ver()[1].split(".")[:2])
HERE = Target(platform.python_version(), platform.machine(), (major, minor))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is here, so that a build writes beside nothing that others read."""
    copy = tmp_path_factory.mktemp("source") / "project"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "dist", "build"))
    return copy


def install(source: Path, place: Path, *arguments: str) -> dict[str, bytes]:
    """Let uv install from the lock into a fresh environment, our own packages as wheels.

    Returns:
        The files that tell what is in it, by the path they would have in an image.
    """
    done = run(
        *(*uv(), "sync", "--locked", "--no-editable", "--no-dev", "--project", source),
        *("--python", sys.executable, *arguments),
        UV_PROJECT_ENVIRONMENT=str(place),
    )
    assert done.returncode == 0, done.stderr
    telling = [*place.rglob("*.dist-info/METADATA"), *place.rglob("*.dist-info/WHEEL")]
    telling += [place / "pyvenv.cfg", *place.rglob("_cli_version.py")]
    return {f"{ENVIRONMENT}/{path.relative_to(place)}": path.read_bytes() for path in telling}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--package", "runner-shell", "--extra", "gateway"),
        ("--package", "runner-shell-claude", "--extra", "online"),
        ("--package", "runner-shell-langgraph"),
    ],
    ids=("base", "claude", "langgraph"),
)
def test_the_closure_is_what_uv_installs(
    arguments: tuple[str, ...], source: Path, tmp_path: Path
) -> None:
    """Our reading of the lock names the packages and versions that uv installs, and its files.

    Of a wheel that was installed, the tags are those of the file that the bill of materials names.
    """
    found = contents(install(source, tmp_path / "venv", *arguments))
    lock = parse(LOCK.read_text())
    named = "{}[{}]".format(*arguments[1::2]) if len(arguments) > 2 else arguments[1]
    closure = lock.closure([named], HERE.markers())
    assert differences(closure, found.distributions) == ()
    told = lock.closure(roots(lock, {one.name for one in found.distributions}), HERE.markers())
    assert differences(told, found.distributions) == ()
    installed = {one.name: one for one in found.distributions}
    for one in closure:
        if not one.package.own:
            assert tags(installed[one.package.name].tags) == tags(wheel_tags(one))
    bill = json.loads(document(Subject(facts=FACTS, contents=found, locked=closure, target=HERE)))
    purls = {one["purl"] for one in bill["components"] if "pypi" in one.get("purl", "")}
    assert purls == {f"pkg:pypi/{one.package.name}@{one.package.version}" for one in closure}
    assert found.python == platform.python_version()
    assert (found.cli is not None) is ("claude" in arguments[1])


def wheel_tags(one: Locked) -> list[str]:
    """The tags of the file that we say was installed, as its name has them."""
    file = HERE.file(one.package)
    assert file is not None
    return list(map(str, parse_wheel_filename(file.name)[3]))


def tags(written: Sequence[str]) -> set[Tag]:
    """Each tag alone, where some tools write several as one."""
    return {tag for text in written for tag in parse_tag(text)}


def test_the_environment_tells_its_versions(source: Path, tmp_path: Path) -> None:
    """In an environment without the extra `images`, the versions are told all the same."""
    install(source, tmp_path / "venv", "--package", "runner-shell-langgraph")
    command = ("-m", "runner_shell.images.versions", "langgraph")
    options = ("--adapter", "runner-shell-langgraph", "--framework", "langgraph")
    done = subprocess.run(
        [tmp_path / "venv/bin/python", *command, *options],
        env={"PATH": os.environ["PATH"]},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said["framework"]["name"] == "langgraph"
    assert "cli" not in said
