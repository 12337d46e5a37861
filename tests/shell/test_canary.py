"""Everything through one redactor: a secret planted wherever there is a place leaves nowhere.

A real runner process; looked at is every byte that leaves it (frames, stdout, stderr, termination
log, status socket) and every byte that it keeps in `state/shell/`.
"""

from __future__ import annotations

import asyncio
import html
import json
import sys
from base64 import b32encode, b64encode
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from real_processes import Launcher, Started
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from runner_shell.control.client import ask
from runner_shell.protocol.catalogue import EVENTS
from runner_shell.protocol.frames import SUBPROTOCOL, CloseCode
from runner_shell.redaction import Redactor, SecretRegistry
from runner_shell.shell.configuration.environment import examine
from runner_shell.shell.outbound.safeguard import Safeguard
from runner_shell.shell.process import Process, _own_fault

CANARY = 'c4nary"Ž/+\\s3cret<&>Q9z'
LEARNT = "learnt-" + CANARY[::-1]
PLACEHOLDER = b"[REDACTED:CANARY_TOKEN]"

WAYS = (
    "make", "describe", "open", "open_configuration", "events", "state", "logs", "threads",
    "ask", "turn", "agent_failed", "ending", "close",
)  # fmt: skip

SAID_BY_ADAPTER = EVENTS.keys() - {
    "session.started", "session.finished", "session.saved", "turn.started", "turn.finished",
    "request.opened", "request.closed", "command.done", "command.failed", "gap",
}  # fmt: skip


def encodings(secret: str) -> dict[str, bytes]:
    """A secret in its encodings; made apart from the registry's."""
    raw = secret.encode()
    found: dict[str, str] = {"raw": secret, "repr": repr(secret)[1:-1], "hex": raw.hex()}
    for ascii_only in (True, False):
        inner = secret
        for depth in (1, 2, 3):
            inner = json.dumps(inner, ensure_ascii=ascii_only)[1:-1]
            found[f"JSON {depth} {ascii_only}"] = inner
    found |= {"percent": quote(secret, safe=""), "form": quote_plus(secret)}
    found |= {"HTML": html.escape(secret), "base32": b32encode(raw).decode().rstrip("=")[:-1]}
    for shift in range(3):
        for name, text in (("UTF-8", raw), ("UTF-16", secret.encode("utf-16-le"))):
            encoded = b64encode(b"\0" * shift + text)[2 * shift :].decode().rstrip("=")[:-2]
            found[f"base64 {name} {shift}"] = encoded
            found[f"base64url {name} {shift}"] = encoded.replace("+", "-").replace("/", "_")
    return {name: text.encode() for name, text in found.items()}


FORMS = {**encodings(CANARY), **{f"learnt {k}": v for k, v in encodings(LEARNT).items()}}


def assert_silent(what: str, content: bytes) -> None:
    """Nothing secret stands in these bytes."""
    for form, text in FORMS.items():
        at = content.find(text)
        assert at < 0, f"{form} in {what}: {content[max(0, at - 200) : at + 200]!r}"


class Watched:
    """A gateway that keeps every frame and gives orders that hold the secret too.

    Args:
        launch: Where the runner is started.
        commands: What it is told after its welcome.
        refusal: The reason with which it is sent away, if it is.
    """

    def __init__(
        self, launch: Launcher, commands: tuple[dict[str, Any], ...] = (), refusal: str = ""
    ) -> None:
        self.frames: list[bytes] = []
        self.events: list[dict[str, Any]] = []
        self.kept = b""
        self.status = b""
        self.state = launch.directory / "state-of-it"
        self._launch = launch
        self._commands = commands
        self._refusal = refusal

    async def run(self, **variables: str) -> Started:
        """Run a runner to its end, and look at all it left."""
        async with serve(self._converse, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL]) as server:
            port = server.sockets[0].getsockname()[1]
            site = str(_installed(self._launch))
            given = {
                "WEBSOCKET_URL": f"ws://127.0.0.1:{port}/runner",
                "BOT_TOKEN": "token-of-the-test",
                "SESSION_ID": "canary",
                "RUNNER_ADAPTER": "canary",
                "RUNNER_STATE_DIR": str(self.state),
                "RUNNER_GRACE_SECONDS": "30",
                "PROMPT": f"say {CANARY}",
                "CANARY_TOKEN": CANARY,
                "PYTHONPATH": site,
                "PYTHONWARNINGS": "always",
                "DEBUG": "true",
            }
            started = self._launch.start(
                [sys.executable, "-m", "runner_shell"], **given | variables
            )
            await asyncio.to_thread(started.wait, 100)
        self._look(started)
        return started

    @property
    def everything(self) -> bytes:
        """Every byte there is."""
        return b"\n".join([*self.frames, self.kept, self.status, self.left])

    def _look(self, started: Started) -> None:
        log = self._launch.termination_log
        left = {
            "stdout": started.out.encode(),
            "stderr": started.err.encode(),
            "termination log": log.read_bytes() if log.exists() else b"",
            "state/shell at the end": _files_in(self.state / "shell"),
        }
        self.left = b"\n".join(left.values())
        for what, content in left.items():
            assert_silent(what, content)
        for frame in self.frames:
            assert_silent("a frame", frame)
        assert_silent("state/shell", self.kept)
        assert_silent("the status", self.status)

    async def _converse(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await self._take(await connection.recv())
            if self._refusal:
                await connection.close(CloseCode.NO_SESSION, self._refusal)
                return
            await connection.send(json.dumps({"frame": "welcome", "epoch": 1, "acked": 0}))
            if self._commands:
                secret = {"type": "secret.add", "name": "S", "value": "another-one-to-hide"}
                commands = [secret, *self._commands]
                await connection.send(json.dumps({"frame": "commands", "commands": commands}))
            while True:
                await self._take(await connection.recv())
                if self.events and self.events[-1]["type"] == "request.opened":
                    await connection.send(json.dumps(self._answer()))
                if self.events and self.events[-1]["type"] == "session.finished":
                    # Nothing was acknowledged so far, so that the journal holds all of it.
                    self.kept = _files_in(self.state / "shell")
                    ack = {"frame": "ack", "seq": self.events[-1]["seq"]}
                    await connection.send(json.dumps(ack))

    async def _take(self, data: str | bytes) -> None:
        self.frames.append(data if isinstance(data, bytes) else data.encode())
        self.events += json.loads(data).get("events", [])
        if self.events and not self.status:
            status = await asyncio.to_thread(ask, self.state / "shell" / "status.sock")
            self.status = json.dumps(status, ensure_ascii=False).encode()

    def _answer(self) -> dict[str, Any]:
        answer = {
            "type": "request.answer",
            "id": f"answer-{CANARY}",
            "seq": len(self._commands) + 1,
            "by": CANARY,
            "request": self.events[-1]["id"],
            "answer": self.events[-1]["options"][0],
        }
        return {"frame": "commands", "commands": [answer]}


def _installed(launch: Launcher) -> Path:
    """A directory in which the adapter is installed."""
    site = launch.directory / "site"
    metadata = site / "canary-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: canary\nVersion: 1\n")
    points = "[runner_shell.adapters]\ncanary = canary_adapter:Canary\n"
    (metadata / "entry_points.txt").write_text(points)
    source = Path(__file__).with_name("canary_adapter.py")
    (site / source.name).write_text(source.read_text())
    return site


def _files_in(directory: Path) -> bytes:
    return b"\n".join(file.read_bytes() for file in directory.rglob("*") if file.is_file())


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
async def test_a_planted_secret_leaves_nowhere(launch: Launcher, way: str) -> None:
    """Whatever the adapter does with it: says, logs, saves, asks, raises, fails."""
    watched = Watched(launch)
    started = await watched.run(WAY=way)
    assert PLACEHOLDER in watched.everything, "or it was never planted"
    assert watched.events[-1]["type"] == "session.finished", started.err
    if way == "events":
        assert {event["type"] for event in watched.events} >= SAID_BY_ADAPTER
        assert b"[REDACTED:LEARNT]" in watched.everything
    if way == "logs":
        assert started.err.encode().count(PLACEHOLDER) > 20
    if way == "threads":
        assert started.err.count("uncaught in ") == 2
    if way == "ask":
        assert "request.closed" in {event["type"] for event in watched.events}
    if way in ("make", "describe", "open", "turn", "close"):
        assert "Traceback" in started.err


@pytest.mark.slow
async def test_commands_with_a_secret_in_every_field(launch: Launcher) -> None:
    """Known ones, wrong ones and unknown ones: in the journal and in the replies."""
    bodies: list[dict[str, Any]] = [
        {"type": "adapter.call", "method": CANARY, "params": {CANARY: [CANARY]}},
        {"type": "adapter.call", "method": "fails", "params": CANARY},
        {"type": "settings.update", "settings": {CANARY: CANARY}},
        {"type": "turn.start", "content": [{CANARY: CANARY}], "attachments": [CANARY]},
        {"type": "turn.start", "content": CANARY, "attachments": CANARY},
        {"type": "request.answer", "request": CANARY, "answer": {CANARY: CANARY}},
        {"type": f"x.{CANARY}", CANARY: CANARY, "request": CANARY},
        {"type": "turn.interrupt", "reason": CANARY},
        {"type": "session.stop", "reason": CANARY},
    ]
    commands = tuple(
        {**body, "id": f"{number}-{CANARY}", "seq": number, "by": CANARY}
        for number, body in enumerate(bodies, 1)
    )
    watched = Watched(launch, commands)
    await watched.run(WAY="nothing")
    replies = [event for event in watched.events if event["type"].startswith("command.")]
    names = {f"{number}-[REDACTED:CANARY_TOKEN]" for number in range(1, len(bodies) + 1)}
    assert {reply["command"] for reply in replies} == names
    assert b"another-one-to-hide" not in watched.everything


@pytest.mark.slow
async def test_a_refusal_that_repeats_a_secret(launch: Launcher) -> None:
    """The gateway's reason goes to stderr and the termination log."""
    watched = Watched(launch, refusal=CANARY)
    assert (await watched.run()).wait() == 2
    assert PLACEHOLDER in watched.left


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["TIMEOUT", "NUMBER", "RUNNER_RESUME_POLICY", "BOT_TOKEN"])
async def test_a_setting_that_is_wrong_and_secret(launch: Launcher, variable: str) -> None:
    """The shell's and an adapter's own: the message does not repeat it."""
    watched = Watched(launch)
    assert (await watched.run(**{variable: CANARY})).wait() == 2
    assert variable.encode() in watched.everything


def test_the_shells_own_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """A fault of the shell is shown, and the secret in it is not."""
    process = Process(examine({})[0], {})
    process.guard = Safeguard(Redactor(SecretRegistry({"CANARY_TOKEN": CANARY})))
    with pytest.raises(RuntimeError) as raised:
        raise RuntimeError(CANARY, {CANARY: 1})
    assert _own_fault(process, raised.value) == 70
    shown = capsys.readouterr().err.encode()
    assert PLACEHOLDER in shown
    assert_silent("stderr", shown)
