"""Which of a package's files an installer takes."""

from __future__ import annotations

import platform

import pytest
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from runner_shell.errors import ConfigurationError
from runner_shell.images.lock import LockedFile, LockedPackage, parse
from runner_shell.images.target import Target

from .support import LOCK, TARGET

WHEELS = (
    "x-1-py3-none-any.whl",
    "x-1-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "x-1-cp313-cp313-manylinux_2_28_x86_64.whl",
    "x-1-cp313-cp313-manylinux_2_28_aarch64.whl",
    "x-1-cp313-cp313-musllinux_1_2_x86_64.whl",
    "x-1-cp313-cp313-win_amd64.whl",
    "x-1-cp312-cp312-manylinux_2_17_x86_64.whl",
)


def package(*wheels: str) -> LockedPackage:
    return LockedPackage(
        "x",
        "1",
        wheels=tuple(LockedFile(f"https://example.org/{name}") for name in wheels),
        sdist=LockedFile("https://example.org/x-1.tar.gz"),
    )


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (TARGET, "x-1-cp313-cp313-manylinux_2_28_x86_64.whl"),
        (Target("3.13.5", "x86_64", (2, 17)), WHEELS[1]),
        (Target("3.13.5", "aarch64", (2, 41)), "x-1-cp313-cp313-manylinux_2_28_aarch64.whl"),
        (Target("3.12.0", "x86_64", (2, 41)), "x-1-cp312-cp312-manylinux_2_17_x86_64.whl"),
        (Target("3.11.7", "x86_64", (2, 41)), "x-1-py3-none-any.whl"),
    ],
)
def test_the_best_wheel_is_taken(target: Target, expected: str) -> None:
    """Of the wheels that fit Python, machine and C library, it is the most specific one."""
    file = target.file(package(*WHEELS))
    assert file is not None
    assert file.name == expected


def test_older_names_of_platforms_are_known() -> None:
    """A wheel that is tagged with an older name of its platform alone fits like any other."""
    for name in ("manylinux1", "manylinux2010", "manylinux2014"):
        wheel = f"x-1-cp313-cp313-{name}_x86_64.whl"
        file = TARGET.file(package("x-1-py3-none-any.whl", wheel))
        assert file is not None
        assert file.name == wheel


def test_without_a_wheel_it_is_the_source() -> None:
    """Where no wheel fits, the source archive is taken."""
    file = TARGET.file(package("x-1-cp313-cp313-win_amd64.whl", "no wheel's name"))
    assert file is not None
    assert file.name == "x-1.tar.gz"


def test_here_it_is_what_packaging_says() -> None:
    """For this machine's Python, the choice for every locked package is that of `sys_tags`."""
    major, minor = map(int, platform.libc_ver()[1].split(".")[:2])
    here = Target(platform.python_version(), platform.machine(), (major, minor))
    order = {tag: at for at, tag in enumerate(sys_tags())}
    chosen = 0
    for locked in parse(LOCK.read_text()).packages:
        ranks = {
            wheel.name: min((order[tag] for tag in tags if tag in order), default=None)
            for wheel in locked.wheels
            if (tags := parse_wheel_filename(wheel.name)[3])
        }
        fitting = {name: rank for name, rank in ranks.items() if rank is not None}
        if fitting:
            file = here.file(locked)
            assert file is not None
            assert fitting[file.name] == min(fitting.values())
            chosen += 1
    assert chosen > 100


def test_a_version_that_is_none() -> None:
    """A Python without two numbers is told."""
    with pytest.raises(ConfigurationError, match="'three' is no version"):
        Target("three").markers()
