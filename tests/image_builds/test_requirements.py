"""What each image installs comes from the lock file, and an adapter's image adds to the base."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from runner_shell import ConfigurationError
from runner_shell.images import requirements
from runner_shell.images.catalogue import BASE, IMAGES
from runner_shell.images.context import find_uv
from runner_shell.images.requirements import beyond, own, parse, uv_wheel, written

ROOT = Path(__file__).resolve().parents[2]

EXPORTED = """\
anyio==4.1 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
# a comment
Typing_Extensions==4.2 ; python_version < '3.12' \\
    --hash=sha256:cc
"""

LOCK = """
[[package]]
name = "uv"
version = "0.9"
wheels = [
    { url = "https://files.example/uv-0.9-py3-none-musllinux_1_1_x86_64.whl", hash = "sha256:01" },
    { url = "https://files.example/uv-0.9-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.whl", hash = "sha256:02" },
    { url = "https://files.example/uv-0.9-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", hash = "sha256:03" },
]
"""  # noqa: E501


def test_a_requirement_keeps_marker_and_hashes() -> None:
    """What the lock file says of a package is one line, found by its normalised name."""
    assert parse(EXPORTED) == {
        "anyio": "anyio==4.1 --hash=sha256:aa --hash=sha256:bb",
        "typing-extensions": "Typing_Extensions==4.2 ; python_version < '3.12' --hash=sha256:cc",
    }


def test_what_pins_no_version_is_refused() -> None:
    """A line that is no `name==version` is named."""
    with pytest.raises(ConfigurationError, match="anyio>=4"):
        parse("anyio>=4\n")


def test_an_adapter_adds_only_what_the_base_has_not() -> None:
    """Of two closures the second's own part is left."""
    assert beyond({"a": "a==1", "b": "b==1"}, {"a": "a==1", "c": "c==1"}) == {"b": "b==1"}


def test_two_versions_of_one_package_are_refused() -> None:
    """An image cannot have another version than the base that it stands on."""
    with pytest.raises(ConfigurationError, match="the base has a==1, and a==2"):
        beyond({"a": "a==2"}, {"a": "a==1"})


def test_a_requirements_file_is_sorted() -> None:
    """The order of the lock file changes nothing; wheels built here are pinned by hash too."""
    assert written([own("zz", "1", "ff"), "aa==1"]) == "aa==1\nzz==1 --hash=sha256:ff\n"


@pytest.mark.parametrize(
    ("machine", "digest"), [("x86_64", "03"), ("AMD64", "03"), ("aarch64", "02"), ("arm64", "02")]
)
def test_uv_for_the_machine(machine: str, digest: str) -> None:
    """The locked wheel for glibc on this processor, however the system calls that."""
    assert uv_wheel(LOCK, machine).sha256 == digest


def test_a_machine_without_uv_is_told() -> None:
    """A processor that the lock file has no wheel for is named."""
    with pytest.raises(ConfigurationError, match="riscv64"):
        uv_wheel(LOCK, "riscv64")


def test_our_lock_file_has_uv() -> None:
    """`uv.lock` brings what installs the packages in a build, for both processors."""
    lock = (ROOT / "uv.lock").read_text()
    for machine in ("x86_64", "aarch64"):
        assert uv_wheel(lock, machine).url.startswith("https://")


@pytest.mark.slow
def test_no_framework_is_in_another_s_image() -> None:
    """The locked closures: the base has no framework, and each adapter's image only its own."""
    uv = find_uv(ROOT, os.environ)
    closures = {image: _closure(uv, image.distribution) for image in IMAGES}
    base = closures[BASE]
    frameworks = {"langgraph", "langchain-core", "claude-agent-sdk", "anthropic", "mcp"}
    assert not frameworks & base.keys()
    added = {image.name: beyond(closure, base) for image, closure in closures.items()}
    assert frameworks & added["langgraph"].keys() == {"langgraph", "langchain-core"}
    assert frameworks & added["claude"].keys() == {"claude-agent-sdk", "mcp"}
    versions = {one["name"]: one["version"] for one in _packages()}
    for closure in closures.values():
        for name, text in closure.items():
            assert f"=={versions[name]}" in text
            assert "--hash=sha256:" in text


def _closure(uv: str, distribution: str) -> dict[str, str]:
    import subprocess

    command = requirements.export_command(uv, distribution)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return parse(done.stdout)


def _packages() -> list[dict[str, str]]:
    found: list[dict[str, str]] = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    return [one for one in found if "version" in one]
