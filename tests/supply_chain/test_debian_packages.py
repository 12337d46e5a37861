"""Debian packages from dpkg's own records."""

from __future__ import annotations

from runner_shell.images.debian import DebianPackage, glibc, packages, release

from .support import OS_RELEASE, STATUS


def test_only_what_is_installed_counts() -> None:
    """A package that was removed and left its configuration is not listed."""
    assert [one.name for one in packages(STATUS)] == ["libc6", "libpam0g"]


def test_the_source_is_told_with_its_version() -> None:
    """A source package has its own name, and its own version where only the build was repeated."""
    assert packages(STATUS) == (
        DebianPackage("libc6", "2.41-12", "amd64", "glibc", "2.41-12"),
        DebianPackage("libpam0g", "1.7.0-5+b1", "amd64", "pam", "1.7.0-5"),
    )


def test_records_of_distroless_images() -> None:
    """Files of `status.d` have no field `Status` and are of installed packages."""
    text = (
        "Package: tzdata\nVersion: 2026a\nArchitecture: all\n\n\n\nPackage: base-files\nVersion: 13"
    )
    assert [one.name for one in packages(text)] == ["base-files", "tzdata"]


def test_the_c_library_s_version() -> None:
    """It is that of libc6, with or without an epoch; None without libc6."""
    assert glibc(packages(STATUS)) == (2, 41)
    assert glibc([DebianPackage("libc6", "1:2.36-9+deb12u1", "amd64", "glibc", "")]) == (2, 36)
    assert glibc([]) is None


def test_the_release() -> None:
    """Its id and version are read with and without quotes, and may both be missing."""
    assert str(release(OS_RELEASE)) == "debian-13"
    assert str(release("ID='wolfi'\n# VERSION_ID=1\n")) == "wolfi"
    assert str(release("")) == ""
