"""How an image is run: with little, and with the same little by podman and docker."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner_shell.images.checks import configuration
from runner_shell.images.hardening import Confinement, Volumes, options

VOLUMES = Volumes(
    workspace="work",
    state="state",
    termination_log=Path("/log"),
    read_only={"/run/token": Path("/token")},
)

CONFIG = {
    "User": "10001:0",
    "Entrypoint": ["/usr/bin/env", "--block-signal=TERM,INT", "python", "-m", "runner_shell"],
    "StopSignal": "SIGTERM",
    "Healthcheck": {"Test": ["CMD", "python", "-m", "runner_shell.control"]},
}


@pytest.mark.parametrize("engine", ["podman", "docker"])
def test_a_container_may_do_little(engine: str) -> None:
    """No writable root, no capability, no new one, limits without swap, group 0 for any uid."""
    said = options(engine, Confinement(uid=77, memory_mb=300), VOLUMES, {})
    assert {
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--user=77:0",
        "--memory=300m",
        "--memory-swap=300m",
        "--pids-limit=200",
    } <= set(said)
    assert ("--read-only-tmpfs=false" in said) == (engine == "podman")


def test_three_places_can_be_written() -> None:
    """Workspace, state and scratch; the token's file cannot."""
    said = options("podman", Confinement(scratch_mb=8), VOLUMES, {"A": "1"})
    assert "--tmpfs=/tmp:rw,nosuid,nodev,size=8m" in said
    assert [one.removeprefix("--volume=") for one in said if one.startswith("--volume=")] == [
        "work:/workspace",
        "state:/state",
        "/log:/dev/termination-log",
        "/token:/run/token:ro",
    ]
    assert said[-1] == "--env=A=1"


def test_a_right_configuration_has_no_problem() -> None:
    """What our Containerfile says is what is looked for."""
    assert [one.problem for one in configuration(CONFIG)] == [""] * 4


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("User", ""),
        ("User", "runner"),
        ("Entrypoint", ["/bin/sh", "-c", "python -m runner_shell"]),
        ("StopSignal", "SIGKILL"),
        ("Healthcheck", None),
    ],
)
def test_each_thing_that_is_wrong_is_found(key: str, value: object) -> None:
    """A name in place of a number, a shell, another signal, no health command: one problem each."""
    found = [one.problem for one in configuration({**CONFIG, key: value})]
    assert len([one for one in found if one]) == 1
