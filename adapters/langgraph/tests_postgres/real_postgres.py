"""A PostgreSQL of the tests' own: from the system's package, run by a user that is not root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from pathlib import Path

import psycopg
from real_processes import free_port

START_SECONDS = 60.0
PASSWORD = "sesame-3f9a"


class Server:
    """A PostgreSQL server that runs.

    Attributes:
        port: Where it listens, on loopback.
        directory: Its data.
    """

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.directory = directory
        self._user = _user()
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres") -> str:
        """How to reach a database."""
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def initialise(self) -> None:
        """Make the data directory."""
        password = self.directory.with_suffix(".password")
        password.write_text(PASSWORD)
        for path in (self.directory, password):
            shutil.chown(path, self._user)
        self._run(
            "initdb",
            *("--pgdata", str(self.directory), "--username", "postgres", "--auth", "password"),
            *("--pwfile", str(password), "--no-sync"),
            *("--encoding", "UTF8", "--no-locale"),  # the machine's own may not be installed
        )

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [
            _binary("postgres"),
            *("-D", str(self.directory), "-p", str(self.port)),
            *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
            *("-c", "fsync=off"),
        ]
        log = self.directory.with_suffix(".log").open("ab")
        self._process = subprocess.Popen(command, user=self._user, stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url()).close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, self.directory.with_suffix(".log").read_text()
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """End it at once, as a lost machine does; its log makes it whole at the next start."""
        if self._process is not None:
            self._process.send_signal(3)  # SIGQUIT: immediate
            self._process.wait()
            self._process = None

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [_binary(program), *arguments], user=self._user, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


def _user() -> str:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name
    names = {user.pw_name for user in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _binary(name: str) -> str:
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = str(versions[-1]) if versions else shutil.which(name)
    assert found, f"no {name}: `make test-postgres` installs postgresql"
    return found
