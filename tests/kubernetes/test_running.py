"""A runner runs on what the manifests give it: variables, and a volume as a kubelet makes it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from real_processes import Launcher, RealGateway
from rendered_manifests import ROOT, container, one, render
from test_session_pod import variables

from runner_shell.errors import ConfigurationError
from runner_shell.shell.guard.hygiene import private_directory

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="takes another user's identity")
USER, GROUP, VOLUME_GROUP = 10001, 0, 10001


@pytest.mark.slow
def test_a_runner_starts_from_the_manifest_s_environment(
    launch: Launcher, gateway: RealGateway
) -> None:
    """With the container's variables and mounts a session runs to its end, its probe answers."""
    manifests = render(ROOT / "base" / "session")
    session, token = gateway.create()
    told = variables(manifests) | {
        "SESSION_ID": session,
        "RUNNER_GATEWAY": gateway.url,
        "RUNNER_ADAPTER": "echo",
        "INTERACTIVE": "true",
    }
    root = launch.directory / "root"
    mounts = [mount["mountPath"] for mount in container(one(manifests, "Job"))["volumeMounts"]]
    for mount in mounts:
        (root / mount.strip("/")).mkdir(parents=True)
    for name, value in told.items():
        if any(Path(value).is_relative_to(mount) for mount in mounts):
            told[name] = f"{root}{value}"
    Path(told["BOT_TOKEN_FILE"]).write_text(token)

    runner = launch.start([sys.executable, "-m", "runner_shell"], **told)
    gateway.wait_for(session, "session.started")
    python, *arguments = container(one(manifests, "Job"))["readinessProbe"]["exec"]["command"]
    assert python == "python"
    assert launch.start([sys.executable, *arguments], **told).wait() == 0
    gateway.command(session, type="session.end", id="end")
    assert runner.wait() == 0
    assert launch.termination()["outcome"] == "completed"
    assert (Path(told["RUNNER_STATE_DIR"]) / "shell").is_dir()


@root_only
def test_a_volume_s_own_directory_is_refused_and_one_below_it_is_taken(tmp_path: Path) -> None:
    """A kubelet gives a mount to root and the pod's group: the state lies one directory below."""
    mount = tmp_path / "state"
    mount.mkdir()
    os.chown(mount, 0, VOLUME_GROUP)
    mount.chmod(0o2775)
    assert not _as_the_runner(tmp_path, "state")
    assert _as_the_runner(tmp_path, "state/runner")
    assert (mount / "runner").stat().st_mode & 0o777 == 0o700
    _as_a_kubelet_does_again(mount)
    assert _as_the_runner(tmp_path, "state/runner")
    assert (mount / "runner").stat().st_mode & 0o777 == 0o700


def _as_the_runner(place: Path, name: str) -> bool:
    """Whether the pod's user may keep its state in a directory of this place.

    In a process of its own, which stands in the place: what lies above may be closed to that user.
    """
    place.chmod(0o711)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.chdir(place)
            os.setgroups([VOLUME_GROUP])
            os.setresgid(GROUP, GROUP, GROUP)
            os.setresuid(USER, USER, USER)
            private_directory(Path(name))
            code = 0
        except ConfigurationError:
            code = 2
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 2), "it failed otherwise"
    return code == 0


def _as_a_kubelet_does_again(mount: Path) -> None:
    """Before a next pod the whole volume may be given to its group anew, and opened to it."""
    for directory in (mount, mount / "runner"):
        os.chown(directory, -1, VOLUME_GROUP)
        directory.chmod(directory.stat().st_mode | 0o2770)
