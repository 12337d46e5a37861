"""Cut off from every network, an image works: it asks for nothing but its gateway and its model."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import call, ours

pytestmark = [pytest.mark.slow, pytest.mark.bounded]

PROGRAM = Path(__file__).with_name("cut_off.py")
COUNT = Path(__file__).with_name("outbound.py")


def within(container: str, *command: str | Path) -> str:
    """What a command of this machine says in a container's network namespace."""
    process = call("inspect", "--format={{.State.Pid}}", container).stdout.strip()
    done = subprocess.run(
        ["nsenter", f"--net=/proc/{process}/ns/net", *map(str, command)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def alone() -> Iterator[str]:
    """A container whose network is a loopback device, and no other; others may share it."""
    name = f"runner-shell-{secrets.token_hex(4)}"
    idle = ("--no-healthcheck", "--entrypoint=sleep", ours("base"), "infinity")
    call("run", "--detach", "--rm", "--name", name, "--network=none", *idle)
    yield name
    call("kill", name)


def test_a_try_to_get_out_is_counted(alone: str) -> None:
    """What the next test looks at does count: a connection and a datagram to elsewhere."""
    assert within(alone, sys.executable, COUNT) == "0\n"
    dial = (
        "import contextlib, socket\n"
        "for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):\n"
        "    with contextlib.suppress(OSError):\n"
        "        socket.socket(socket.AF_INET, kind).connect(('192.0.2.1', 443))\n"
    )
    within(alone, sys.executable, "-c", dial)
    assert within(alone, sys.executable, COUNT) == "2\n"


@pytest.mark.parametrize("image", ["claude", "langgraph"])
def test_nothing_is_asked_for_beyond_gateway_and_model(
    tmp_path: Path, alone: str, image: str
) -> None:
    """A whole session succeeds where only loopback is, and nothing in it tried to get out."""
    said = json.loads(within(alone, sys.executable, PROGRAM, tmp_path, image, alone))
    assert said["code"] == 0, said["said"]
    assert said["asked"] == (2 if image == "claude" else 0)
    assert said["unreachable"] == 0
