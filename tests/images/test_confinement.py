"""An image runs where little is allowed, and can do no more than it needs."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
from containers import IMAGES, ROOT, Session, code_of, engine, ours
from real_processes import RUNNER_SHELL, script

from runner_shell.images.checks import ARBITRARY_UID
from runner_shell.images.hardening import Confinement

pytestmark = [pytest.mark.slow, pytest.mark.bounded]

HOLD = script({"delay": 600})
SCRIPTED = {"RUNNER_ADAPTER": "scripted", "PROMPT": HOLD}

WRITABLE = """
import json, os
found = []
for folder, folders, files in os.walk("/"):
    folders[:] = [one for one in folders if f"{folder}{one}" not in ("/proc", "/sys", "/dev")]
    try:
        with open(os.path.join(folder, ".probe"), "w"):
            found.append(folder)
        os.remove(os.path.join(folder, ".probe"))
    except OSError:
        pass
    found += [path for name in files if os.access(path := os.path.join(folder, name), os.W_OK)
              and not os.path.islink(path)]
print(json.dumps(found))
"""

STATUS = """
import json
lines = open("/proc/self/status").read().splitlines()
print(json.dumps(dict(line.split(":", 1) for line in lines)))
"""


def test_every_image_passes_its_own_test() -> None:
    """`runner-shell images test`: configuration, sessions as two uids, a wrong setting."""
    done = subprocess.run(
        [RUNNER_SHELL, "images", "test", "--engine", engine().program, "--project", ROOT],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("  ok ") == 7 * len(IMAGES)


@pytest.mark.parametrize("uid", [10001, ARBITRARY_UID])
def test_only_workspace_state_and_scratch_can_be_written(session: Session, uid: int) -> None:
    """With a read-only root there are three places to write, for its own uid and for any other."""
    container = session.start(ours("base"), SCRIPTED, confinement=Confinement(uid=uid))
    session.started(container)
    found = json.loads(container.exec("python", "-c", WRITABLE))
    own = [path for path in found if not path.startswith(("/state/runner", "/run/token"))]
    assert sorted(own) == ["/state", "/tmp", "/workspace"]


def test_no_capability_is_held_or_can_be_gained(session: Session) -> None:
    """No capability, none to inherit or to gain, and no program that gives its caller more."""
    container = session.start(ours("base"), SCRIPTED)
    session.started(container)
    status = json.loads(container.exec("python", "-c", STATUS))
    sets = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    assert [int(status[name], 16) for name in sets] == [0] * len(sets)
    assert status["NoNewPrivs"].strip() == "1"
    for image in IMAGES:
        raising = (
            "import os, stat\n"
            "for folder, _, files in os.walk('/usr'):\n"
            "    for name in files:\n"
            "        mode = os.lstat(os.path.join(folder, name)).st_mode\n"
            "        if stat.S_ISREG(mode) and mode & 0o6000: print(folder, name)\n"
        )
        assert code_of(ours(image), raising) == ""


@pytest.mark.parametrize("uid", [10001, ARBITRARY_UID])
def test_git_works_in_a_volume_that_is_root_s(tmp_path: Path, uid: int) -> None:
    """A repository at its root and one below are the agent's; elsewhere git is as wary as ever."""
    for name in ("workspace", "workspace/below", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o777)
    code = """
import subprocess
for place in ("/workspace", "/workspace/below", "/elsewhere"):
    subprocess.run(["git", "init", "--quiet", place], check=True)
    done = subprocess.run(["git", "-C", place, "status"], capture_output=True, text=True)
    print(place, done.returncode or "", "dubious ownership" in done.stderr)
"""
    volumes = [f"--volume={tmp_path / name}:/{name}" for name in ("workspace", "elsewhere")]
    said = code_of(ours("base"), code, f"--user={uid}:0", *volumes)
    places = ["/workspace  False", "/workspace/below  False", "/elsewhere 128 True"]
    assert said.splitlines() == places


def test_no_shell_is_needed_to_start(session: Session, tmp_path: Path) -> None:
    """Where every shell is another file, a session runs to its end."""
    nothing = tmp_path / "no-shell"
    nothing.write_text("")
    shells = {f"/usr/bin/{name}": nothing for name in ("bash", "dash")}
    given = {"RUNNER_ADAPTER": "echo", "PROMPT": "without a shell"}
    container = session.start(ours("base"), given, files=shells)
    assert container.wait() == 0, container.said
    assert session.text() == "without a shell"


def test_a_wrong_setting_ends_with_2_and_says_so(session: Session) -> None:
    """The termination log, where the platform looks, names every problem and holds no secret."""
    given = {"RUNNER_ADAPTER": "echo", "TIMEOUT": "soon", "BOT_TOKEN": "two words"}
    container = session.start(ours("base"), given)
    assert container.wait() == 2
    ending = container.termination()
    assert (ending["outcome"], ending["resumable"]) == ("failed", False)
    for name in ("TIMEOUT", "PROMPT", "BOT_TOKEN"):
        assert name in ending["reason"]
    assert "two words" not in container.log.read_text() + container.said


def test_clock_and_locale_are_sane() -> None:
    """UTC, UTF-8 everywhere, time zones to look up, the machine's own time, certificates."""
    code = """
import json, locale, os, ssl, sys, time, zoneinfo
print(json.dumps({
    "encodings": [sys.getfilesystemencoding(), sys.stdout.encoding, locale.getpreferredencoding()],
    "zone": time.tzname[0], "there": str(zoneinfo.ZoneInfo("Europe/Berlin")), "now": time.time(),
    "certificates": len(ssl.create_default_context().get_ca_certs()) > 50,
    "home": os.path.expanduser("~"),
}))
"""
    for uid in (10001, ARBITRARY_UID):
        found = json.loads(code_of(ours("base"), code, f"--user={uid}:0"))
        assert {one.lower() for one in found["encodings"]} == {"utf-8"}
        assert (found["zone"], found["there"], found["home"]) == ("UTC", "Europe/Berlin", "/tmp")
        assert found["certificates"]
        assert abs(found["now"] - time.time()) < 3600


def test_the_health_command_says_how_the_runner_stands(session: Session) -> None:
    """0 while the gateway has the runner, without an option; as the image itself says it."""
    container = session.start(ours("base"), SCRIPTED)
    session.started(container)
    said = json.loads(container.exec("python", "-m", "runner_shell.control"))
    assert (said["session"], said["connected"]) == (session.id, True)


def test_no_image_holds_what_builds_or_another_framework() -> None:
    """Neither pip nor uv nor a compiler, no cache; each framework only in its own image."""
    code = """
import importlib.util, json, os, shutil
print(json.dumps({
    "tools": [name for name in ("pip", "uv", "cc", "gcc", "make") if shutil.which(name)],
    "modules": [name for name in ("pip", "langgraph", "langchain_core", "claude_agent_sdk", "mcp")
                if importlib.util.find_spec(name)],
    "caches": [path for path in (os.path.expanduser("~root/.cache"), "/var/lib/apt/lists", "/tmp")
               if os.path.isdir(path) and os.access(path, os.R_OK) and os.listdir(path)],
    "stale": [os.path.join(folder, name) for folder, _, names in os.walk("/opt") for name in names
              if name in ("uv_cache.json", "direct_url.json", "RECORD.jws")],
}))
"""
    frameworks = {
        "langgraph": ["langgraph", "langchain_core"],
        "claude": ["claude_agent_sdk", "mcp"],
    }
    for image in IMAGES:
        found = json.loads(code_of(ours(image), code))
        assert found["tools"] == found["caches"] == found["stale"] == [], image
        assert found["modules"] == frameworks.get(image, []), image
