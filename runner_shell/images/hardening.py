"""How an image is run so that it can do least: the options, for podman and docker. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from .catalogue import GID, SCRATCH, STATE, TERMINATION_LOG, UID, WORKSPACE


class Confinement(Struct, frozen=True, kw_only=True):
    """What a container may have.

    Attributes:
        uid: Whom it runs as; the group is 0 whatever the uid.
        memory_mb: Memory, in MiB; there is no swap beyond it.
        processes: Processes and threads together.
        scratch_mb: What `/tmp` may hold, which counts as memory.
        network: `host` to reach a gateway on this machine's loopback, `none`, or a network's name.
    """

    uid: int = UID
    memory_mb: int = 512
    processes: int = 200
    scratch_mb: int = 64
    network: str = "host"


class Volumes(Struct, frozen=True, kw_only=True):
    """What a container may write beside `/tmp`.

    Attributes:
        workspace: A named volume, or a directory of the host.
        state: Likewise.
        termination_log: The host's file that stands for `/dev/termination-log`; or none.
        read_only: Files of the host by their place in the container, such as a token's.
    """

    workspace: str
    state: str
    termination_log: Path | None = None
    read_only: Mapping[str, Path] = {}


def options(
    engine: str,
    confinement: Confinement,
    volumes: Volumes,
    environment: Mapping[str, str],
) -> list[str]:
    """The options of `run`, before the image's name.

    A root file system that cannot be written, no capability and none to be gained, and limits on
    memory, processes and `/tmp`.

    Args:
        engine: `podman` or `docker`.
        confinement: What it may have.
        volumes: What it may write.
        environment: Its variables. They stand in the command line: a secret is better a file.
    """
    return [
        *("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
        # podman would give it /run and /var/tmp besides.
        *(["--read-only-tmpfs=false"] if engine == "podman" else []),
        f"--user={confinement.uid}:{GID}",
        f"--memory={confinement.memory_mb}m",
        f"--memory-swap={confinement.memory_mb}m",
        f"--pids-limit={confinement.processes}",
        f"--network={confinement.network}",
        f"--tmpfs={SCRATCH}:rw,nosuid,nodev,size={confinement.scratch_mb}m",
        *_mounts(volumes),
        *(f"--env={name}={value}" for name, value in sorted(environment.items())),
    ]


def _mounts(volumes: Volumes) -> Sequence[str]:
    mounts = [f"--volume={volumes.workspace}:{WORKSPACE}", f"--volume={volumes.state}:{STATE}"]
    if volumes.termination_log is not None:
        mounts.append(f"--volume={volumes.termination_log}:{TERMINATION_LOG}")
    mounts += [f"--volume={path}:{place}:ro" for place, path in sorted(volumes.read_only.items())]
    return mounts
