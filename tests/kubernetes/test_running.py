"""A runner runs on what the manifests give it: variables, and a volume as a kubelet makes it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from real_processes import Launcher, RealGateway
from rendered_manifests import ROOT, container, one, render
from test_session_pod import variables

from runner_shell.errors import ConfigurationError
from runner_shell.shell.hygiene import private_directory

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
def test_a_volume_s_own_directory_is_refused_and_one_below_it_is_taken(open_path: Path) -> None:
    """A kubelet gives a mount to root and the pod's group: the state lies one directory below."""
    mount = open_path / "state"
    mount.mkdir()
    os.chown(mount, 0, VOLUME_GROUP)
    mount.chmod(0o2775)
    assert not _as_the_runner(lambda: private_directory(mount))
    assert _as_the_runner(lambda: private_directory(mount / "session"))
    assert (mount / "session").stat().st_mode & 0o777 == 0o700
    _as_a_kubelet_does_again(mount)
    assert _as_the_runner(lambda: private_directory(mount / "session"))
    assert (mount / "session").stat().st_mode & 0o777 == 0o700


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that other users reach, as `tmp_path` is none."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _as_the_runner(act: Callable[[], object]) -> bool:
    """Whether it succeeds as the pod's user, in a process of its own."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([VOLUME_GROUP])
            os.setresgid(GROUP, GROUP, GROUP)
            os.setresuid(USER, USER, USER)
            act()
            code = 0
        except ConfigurationError:
            pass
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _as_a_kubelet_does_again(mount: Path) -> None:
    """Before a next pod the whole volume may be given to its group anew, and opened to it."""
    for directory in (mount, mount / "session"):
        os.chown(directory, -1, VOLUME_GROUP)
        directory.chmod(directory.stat().st_mode | 0o2770)
