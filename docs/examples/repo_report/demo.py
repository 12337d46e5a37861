"""The demo: a gateway, a fresh clone, and a LangGraph agent that reports on it.

    python docs/examples/repo_report/demo.py [REPOSITORY]

Everything it makes lies in `.demo/`, or in `DEMO_DIR`. The exit code is the runner's.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[2]
DEMO = Path(os.environ.get("DEMO_DIR") or PROJECT / ".demo").absolute()
RUNNER_SHELL = Path(sys.executable).with_name("runner-shell")
START_SECONDS = 30


def main() -> int:
    """Run the demo on a repository's path or URL; this project's own unless one is given."""
    repository = sys.argv[1] if len(sys.argv) > 1 and sys.argv[1] else str(PROJECT)
    session = time.strftime("report-%Y%m%d-%H%M%S")
    workspace = DEMO / session
    DEMO.mkdir(mode=0o700, exist_ok=True)
    if not clone(repository, workspace):
        return 2
    store, token_file = DEMO / "events.db", DEMO / "admin.token"
    with gateway(store, token_file) as url:
        code = run_session(session, workspace, url, token_file)
    tell(session, workspace, store, code)
    return code


def clone(repository: str, workspace: Path) -> bool:
    """Clone into a fresh directory, without running anything of the repository's."""
    local = Path(repository).expanduser()
    source = str(local.resolve()) if local.exists() else repository
    print(f"cloning {source}", flush=True)
    command = ["git", "-c", "core.hooksPath=/dev/null", "clone", "--quiet", "--", source]
    # Nobody is asked for a password here: a repository that needs one is an error.
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0"}
    done = subprocess.run([*command, str(workspace)], env=environment, check=False)
    if done.returncode != 0:
        print(
            f"demo: {repository!r} cannot be cloned (see above); give a path or URL that git can "
            "clone, such as make demo REPO=.",
            file=sys.stderr,
        )
    return done.returncode == 0


@contextmanager
def gateway(store: Path, token_file: Path) -> Iterator[str]:
    """A gateway on a free port, in a process of its own."""
    arguments = ["--port", "0", "--store", str(store), "--token-file", str(token_file)]
    with subprocess.Popen(
        [RUNNER_SHELL, "serve", *arguments], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            first = server.stdout.readline().split()
            if not first:
                raise SystemExit("demo: the gateway did not start (see above)")
            print(f"gateway at {first[-1]}, events in {shown(store)}", flush=True)
            yield first[-1]
        finally:
            server.send_signal(signal.SIGTERM)


def run_session(session: str, workspace: Path, url: str, token_file: Path) -> int:
    """The runner, in this terminal."""
    command = [
        *(RUNNER_SHELL, "run", "--adapter", "langgraph", "--session", session),
        *("--gateway", url, "--token-file", token_file, "--workspace", workspace),
        *("--state-dir", DEMO / "state" / session),
        *("--prompt", "Report on this repository"),
    ]
    environment = os.environ | {"GRAPH": f"{HERE / 'graph.py'}:graph"}
    with subprocess.Popen(command, env=environment) as runner:
        while True:
            try:
                return runner.wait()
            except KeyboardInterrupt:
                continue  # the terminal told the runner too; it decides


def tell(session: str, workspace: Path, store: Path, code: int) -> None:
    """What came of it, and how to look again."""
    command = [RUNNER_SHELL, "events", session, "--store", store, "--json"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    stored = [json.loads(line) for line in lines]
    endings = [event["outcome"] for event in stored if event["type"] == "session.finished"]
    artifacts = [event["path"] for event in stored if event["type"] == "artifact.created"]
    print()
    print(f"outcome        {endings[-1] if endings else 'no ending was stored'} (exit code {code})")
    for artifact in artifacts:
        print(f"report         {shown(workspace / artifact)}")
    print(f"events stored  {len(stored)}")
    print(f"look again     {shown(RUNNER_SHELL)} events {session} --store {shown(store)}")


def shown(path: Path) -> Path:
    """A path as one would type it in the project's directory."""
    return path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path


if __name__ == "__main__":
    sys.exit(main())
