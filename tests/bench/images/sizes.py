"""What a build wrote down of each image, and the peers that it is held against."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from runner_shell.images import building
from runner_shell.images.catalogue import BUILD, reference
from runner_shell.images.engine import Engine
from runner_shell.images.project import Project
from runner_shell.images.sizes import Row, total

PEER = """\
FROM {base}
RUN apt-get update \\
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends git \\
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
"""

INSTALL = """
uv pip install --quiet --no-cache --no-deps --require-hashes --compile-bytecode --target /there \\
    --python /opt/runner-shell/bin/python --find-links /context/wheels -r /context/requirements.txt
find /there -type f -printf '%s\\n' | awk '{ bytes += $1 } END { printf "%d", bytes }'
"""


class Aim(NamedTuple):
    """One aim.

    Attributes:
        what: What is held against what.
        ours: Our bytes.
        peer: The peer's.
        aim: The most that the first may be of the second.
    """

    what: str
    ours: int
    peer: int
    aim: float


def written(project: Project, name: str) -> list[Row]:
    """What takes how much of an image, by the last build."""
    return msgspec.json.decode((project.output / name / "size.json").read_bytes(), type=list[Row])


def aims(project: Project, engine: Engine, options: Sequence[str]) -> list[Aim]:
    """Our images beside a bare slim Python with git, and beside their wheels just installed.

    Args:
        project: Whose images.
        engine: What builds and runs the peers.
        options: More options for its `build`.
    """
    base = total(written(project, "base"))
    found = [Aim("base, of the bare Python and git", base, _bare(project, engine, options), 1.15)]
    for name, title in (("langgraph", "LangGraph"), ("claude", "Claude")):
        wheels = _installed(project, engine, name)
        what = f"{title}, beyond the base, of its wheels just installed"
        found.append(Aim(what, total(written(project, name)) - base, wheels, 1.05))
    return found


def _installed(project: Project, engine: Engine, name: str) -> int:
    """Bytes of an image's wheels, installed with bytecode by uv alone into a directory."""
    context = project.output / name / "context"
    mounts = [f"--volume={context}:/context:ro"]
    if certificates := os.environ.get("SSL_CERT_FILE"):
        mounts += [f"--volume={certificates}:/ca.pem:ro", "--env=SSL_CERT_FILE=/ca.pem"]
    arguments = ["--rm", "--network=host", "--user=0", *mounts, "--entrypoint=sh"]
    command = engine.run([*arguments, reference(BUILD, project.version), "-c", INSTALL])
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)


def _bare(project: Project, engine: Engine, options: Sequence[str]) -> int:
    labels = json.loads((project.output / "base/labels.json").read_text())
    tag = "localhost/runner-shell-bench-peer"
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "Containerfile"
        file.write_text(PEER.format(base=labels["org.opencontainers.image.base.name"]))
        command = [engine.program, "build", *options, "--tag", tag, directory]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    with building.saved(engine, tag) as image:
        return total(building.rows(image))
