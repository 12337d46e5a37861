"""A base made from Debian's packages alone, for where no registry of images is reached. Pure.

It holds what the public slim images of Python hold: Python, certificates, time zones, apt; neither
manuals nor translations.
"""

from __future__ import annotations

from pathlib import Path

SUITE = "trixie"

PACKAGES = ("ca-certificates", "netbase", "python3", "tzdata")

_LEFT_OUT = ("man", "info", "doc", "locale", "lintian", "bug", "groff", "linda")

_KEPT = ("doc/*/copyright", "locale/locale.alias")
"""The licences stay, as Debian's own slim images keep them."""

_FORGET = 'rm -f "$1/etc/resolv.conf" "$1/etc/hostname" && rm -rf "$1/var/log/"*'
"""What would tell the machine that made it."""


def command(archive: Path, *, suite: str = SUITE, mirror: str = "") -> list[str]:
    """The command that makes the file system; `SOURCE_DATE_EPOCH` in its environment dates it.

    Args:
        archive: The tar archive to write.
        suite: The Debian release.
        mirror: Where its packages lie; the system's own sources' unless given.
    """
    without = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT]
    kept = [f"--dpkgopt=path-include=/usr/share/{name}" for name in _KEPT]
    return [
        *("mmdebstrap", "--quiet", "--variant=apt", f"--include={','.join(PACKAGES)}"),
        *('--aptopt=Acquire::Languages "none"', '--aptopt=Apt::Install-Recommends "false"'),
        *(*without, *kept, f"--customize-hook={_FORGET}", suite, str(archive)),
        *([mirror] if mirror else []),
    ]


def image(suite: str = SUITE) -> str:
    """What the base is called."""
    return f"localhost/runner-shell-debian:{suite}"
