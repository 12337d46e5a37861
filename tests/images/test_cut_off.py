"""Cut off from every network, an image works: it asks for nothing but its gateway and its model."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.bounded]

PROGRAM = Path(__file__).with_name("cut_off.py")
COUNT = Path(__file__).with_name("outbound.py")


def within(namespace: str, *command: str | Path) -> str:
    """What a command says in a network namespace."""
    done = subprocess.run(
        ["nsenter", f"--net=/run/netns/{namespace}", *map(str, command)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def namespace() -> Iterator[str]:
    """A network namespace with a loopback device, and no other."""
    assert os.geteuid() == 0, "a network namespace needs root"
    name = f"runner-shell-{secrets.token_hex(4)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def test_a_try_to_get_out_is_counted(namespace: str) -> None:
    """What the next test looks at does count: a connection and a datagram to elsewhere."""
    assert within(namespace, sys.executable, COUNT) == "0\n"
    dial = (
        "import contextlib, socket\n"
        "for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):\n"
        "    with contextlib.suppress(OSError):\n"
        "        socket.socket(socket.AF_INET, kind).connect(('192.0.2.1', 443))\n"
    )
    within(namespace, sys.executable, "-c", dial)
    assert within(namespace, sys.executable, COUNT) == "2\n"


@pytest.mark.parametrize("image", ["claude", "langgraph"])
def test_nothing_is_asked_for_beyond_gateway_and_model(
    tmp_path: Path, namespace: str, image: str
) -> None:
    """A whole session succeeds where only loopback is, and nothing in it tried to get out."""
    said = json.loads(within(namespace, sys.executable, PROGRAM, tmp_path, image, namespace))
    assert said["code"] == 0, said["said"]
    assert said["asked"] == (2 if image == "claude" else 0)
    assert said["unreachable"] == 0
