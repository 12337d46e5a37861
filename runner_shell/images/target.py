"""What an image's packages are chosen for: a Python, a machine, a C library."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from ..errors import ConfigurationError
from .lock import LockedFile, LockedPackage

_ALIASES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
"""Older names of manylinux_2_17, 2_12 and 2_5 (PEP 600)."""

_OLDEST_GLIBC = {"x86_64": 5, "aarch64": 17}


@dataclass(frozen=True)
class Target:
    """CPython on Linux with glibc.

    Attributes:
        python: The whole version, such as `3.13.5`.
        machine: As `uname -m` says it: `x86_64`, `aarch64`.
        glibc: Major and minor version.
    """

    python: str
    machine: str = "x86_64"
    glibc: tuple[int, int] = (2, 36)

    @property
    def minor(self) -> tuple[int, int]:
        """The Python's first two numbers.

        Raises:
            ConfigurationError: `python` is no version of Python.
        """
        try:
            major, minor, *_ = map(int, self.python.split(".")[:2])
        except ValueError as error:
            raise ConfigurationError(f"{self.python!r} is no version of Python") from error
        return major, minor

    def markers(self) -> dict[str, str]:
        """The values of every variable that a marker may use (PEP 508)."""
        return {
            "implementation_name": "cpython",
            "implementation_version": self.python,
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": self.python,
            "python_version": ".".join(map(str, self.minor)),
            "sys_platform": "linux",
            "extra": "",
        }

    def tags(self) -> Iterator[Tag]:
        """What wheels may be tagged with to be installed, the best first."""
        platforms = [*self._platforms()]
        interpreter = f"cp{self.minor[0]}{self.minor[1]}"
        yield from cpython_tags(self.minor, platforms=platforms)
        yield from compatible_tags(self.minor, interpreter, platforms)

    def file(self, package: LockedPackage) -> LockedFile | None:
        """The file that an installer takes: the best wheel, else the source archive."""
        fitting = [
            (min(places), wheel)
            for wheel in package.wheels
            if (places := [self._place[tag] for tag in _tags(wheel) if tag in self._place])
        ]
        return min(fitting, key=lambda pair: pair[0])[1] if fitting else package.sdist

    @cached_property
    def _place(self) -> dict[Tag, int]:
        return {tag: at for at, tag in enumerate(self.tags())}

    def _platforms(self) -> Iterator[str]:
        major, newest = self.glibc
        for minor in range(newest, _OLDEST_GLIBC.get(self.machine, 17) - 1, -1):
            yield f"manylinux_{major}_{minor}_{self.machine}"
            if minor in _ALIASES:
                yield f"{_ALIASES[minor]}_{self.machine}"
        yield f"linux_{self.machine}"


def _tags(wheel: LockedFile) -> frozenset[Tag]:
    try:
        return parse_wheel_filename(wheel.name)[3]
    except InvalidWheelFilename:
        return frozenset()
