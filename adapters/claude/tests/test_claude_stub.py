"""A CLI that crashes, hangs, is missing or writes garbage: a small script in its place."""

from __future__ import annotations

import asyncio
import shlex
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from claude_recording import Recorder
from runner_shell_claude import ClaudeAdapter, processes

from runner_shell import AgentFailed, ConfigurationError, events
from runner_shell.testing.hosting import host

SCRIPT = """\
#!/bin/sh
'''exec' {python} -SE "$0" "$@"
' '''
import json, os, subprocess, sys, time

def say(**frame):
    sys.stdout.write(json.dumps(frame) + "\\n")
    sys.stdout.flush()

def state(name):
    say(type="system", subtype="session_state_changed", state=name)

def begin():
    "Answer `initialize`, then read the first message."
    for line in sys.stdin:
        frame = json.loads(line)
        if frame["type"] == "user":
            return frame["uuid"]
        id = frame["request_id"]
        say(type="control_response", response=dict(subtype="success", request_id=id, response={{}}))
    sys.exit(0)

def hang():
    "Do nothing more, until killed."
    while True:
        time.sleep(1000)

def result(uuid, **more):
    say(type="result", subtype="success", is_error=False, user_message_uuids=[uuid], **more)
    state("idle")

{body}
"""


def write_cli(path: Path, body: str) -> Path:
    """The script, to be started in place of Claude Code.

    It is sh's at first: a line of `#!` takes no space in a path, and no long one.
    """
    path.write_text(SCRIPT.format(python=shlex.quote(sys.executable), body=body))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@asynccontextmanager
async def stubbed(recorder: Recorder, body: str, **more: str) -> AsyncIterator[ClaudeAdapter]:
    """An adapter whose CLI is this script."""
    cli = write_cli(recorder.state_dir / "cli", body)
    adapter = await recorder.adapter(CLAUDE_CLI=str(cli), **more)
    try:
        yield adapter
    finally:
        await adapter.close()


async def test_a_stub_completes_a_turn(recorder: Recorder) -> None:
    """The script is taken for a CLI: what fails below fails for its own reason."""
    async with stubbed(recorder, "result(begin())\nbegin()") as adapter:
        assert (await recorder.turn(adapter, "hi")).outcome == "completed"


async def test_a_cli_that_crashes_at_the_start(recorder: Recorder) -> None:
    """The cause is told with the last words on stderr, and it may be tried again."""
    body = 'print("no licence for this host", file=sys.stderr)\nsys.exit(7)'
    async with stubbed(recorder, body) as adapter:
        with pytest.raises(AgentFailed, match="exit code 7") as failed:
            await recorder.turn(adapter, "hi")
    assert (failed.value.code, failed.value.retryable) == ("cli_crashed", True)
    assert "no licence for this host" in str(failed.value)
    assert "no licence for this host" in [log.message for log in recorder.of(events.Log)]


async def test_a_cli_that_hangs_at_the_start(recorder: Recorder) -> None:
    """The start has a deadline, after which nothing of the CLI is left."""
    body = "subprocess.Popen(['sleep', '1000'], start_new_session=True)\nhang()"
    async with stubbed(recorder, body, CLAUDE_START_SECONDS="1") as adapter:
        with pytest.raises(AgentFailed) as failed:
            await recorder.turn(adapter, "hi")
        assert failed.value.code == "cli_start_timeout"
        connection = adapter._conversation._connection
        assert connection is not None
        assert processes.marked(connection.mark) == []


async def test_a_cli_that_is_missing(recorder: Recorder) -> None:
    """It is told as a wrong setting before anything runs."""
    with pytest.raises(ConfigurationError, match="CLAUDE_CLI"):
        await recorder.adapter(CLAUDE_CLI=str(recorder.state_dir / "nothing"))


async def test_a_cli_that_writes_garbage(recorder: Recorder) -> None:
    """What is no frame ends the turn with that cause; lines that are no JSON are passed over."""
    body = (
        "begin()\nstate('running')\nprint('a line of text', flush=True)\n"
        'print(\'{"type": "assist\', flush=True)\nhang()'
    )
    async with stubbed(recorder, body) as adapter:
        with pytest.raises(AgentFailed) as failed:
            await recorder.turn(adapter, "hi")
    assert failed.value.code == "cli_garbage"


@pytest.mark.parametrize(
    ("last", "code"), [("sys.exit(0)", "cli_ended"), ("os.kill(os.getpid(), 11)", "cli_crashed")]
)
async def test_a_cli_that_goes_in_the_middle_of_a_turn(
    recorder: Recorder, last: str, code: str
) -> None:
    """Without a transcript there is nothing to go on with: the turn fails with the cause."""
    async with stubbed(recorder, f"begin()\nstate('running')\n{last}") as adapter:
        with pytest.raises(AgentFailed) as failed:
            await recorder.turn(adapter, "hi")
    assert (failed.value.code, failed.value.retryable) == (code, True)


async def test_an_interrupt_counts_though_what_follows_comes_to_its_end(recorder: Recorder) -> None:
    """A folded message may be answered, behind an aborted result, before it can be interrupted."""
    body = """
uuid = begin()
state("running")
say(type="stream_event", event=dict(type="message_start", message=dict(id="m1")))
asked = json.loads(sys.stdin.readline())
answer = dict(subtype="success", request_id=asked["request_id"], response={})
say(type="control_response", response=answer)
say(type="result", subtype="error_during_execution", terminal_reason="aborted_streaming")
result(uuid)
begin()
"""
    async with stubbed(recorder, body) as adapter:
        turn = asyncio.create_task(recorder.turn(adapter, "hi"))
        await recorder.until(lambda: recorder.of(events.MessageStarted))
        assert await adapter.interrupt("stop it")
        assert (await turn).outcome == "interrupted"


async def test_nothing_that_a_cli_started_outlives_it(recorder: Recorder) -> None:
    """Processes in sessions of their own, and their children, end with the adapter."""
    body = (
        "uuid = begin()\n"
        "subprocess.Popen(['sh', '-c', 'sleep 1000 & sleep 1000 & wait'], start_new_session=True)\n"
        "result(uuid)\nbegin()"
    )
    async with stubbed(recorder, body) as adapter:
        await recorder.turn(adapter, "hi")
        connection = adapter._conversation._connection
        assert connection is not None
        while len(processes.marked(connection.mark)) < 4:  # noqa: ASYNC110 — /proc tells nobody
            await asyncio.sleep(0.02)
    assert processes.marked(connection.mark) == []


async def test_a_budget_that_is_used_up_exits_with_124(tmp_path: Path) -> None:
    """The session's outcome is `budget_exhausted`, and its exit code says so."""
    body = (
        "say(type='result', subtype='error_max_budget_usd', is_error=True,\n"
        "    user_message_uuids=[begin()])\nstate('idle')\nbegin()"
    )
    cli = write_cli(tmp_path / "cli", body)
    async with host(ClaudeAdapter, prompt="hi", environment={"CLAUDE_CLI": str(cli)}) as session:
        verdict = await session.end()
    assert (verdict.outcome, verdict.exit_code) == ("budget_exhausted", 124)


async def test_a_frame_of_many_megabytes_passes(recorder: Recorder) -> None:
    """A tool's output beyond the SDK's own limit of one MiB does not end the CLI."""
    body = "uuid = begin()\nsay(type='brand_new', text='x' * (8 << 20))\nresult(uuid)\nbegin()"
    async with stubbed(recorder, body) as adapter:
        assert (await recorder.turn(adapter, "hi")).outcome == "completed"
    (event,) = recorder.of(events.Custom)
    assert len(event.data["text"]) == 8 << 20


async def test_frames_are_read_though_nobody_takes_the_events(recorder: Recorder) -> None:
    """Emits are never awaited: the reader goes on, and an interrupt is heard, under pressure."""

    class Stuck:
        def __await__(self):  # type: ignore[no-untyped-def]
            yield from asyncio.get_running_loop().create_future().__await__()

    def emit(turn: str, payload: bytes) -> Stuck:
        recorder.say(payload)
        return Stuck()

    recorder.emit = emit  # type: ignore[method-assign, assignment]
    body = (
        "uuid = begin()\nstate('running')\n"
        "for number in range(5000): say(type='brand_new', number=number)\n"
        "result(uuid)\nbegin()"
    )
    async with stubbed(recorder, body) as adapter:
        assert (await recorder.turn(adapter, "hi")).outcome == "completed"
    assert len(recorder.of(events.Custom)) == 5000


async def test_the_cli_gets_only_what_it_needs(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret of the runner's is not in the CLI's environment; key and state are the CLI's."""
    monkeypatch.setenv("DATABASE_PASSWORD", "hunter2")
    body = "uuid = begin()\nsay(type='brand_new', env=dict(os.environ))\nresult(uuid)\nbegin()"
    key = "sk-ant-test-000000"
    async with stubbed(recorder, body, ANTHROPIC_API_KEY=key) as adapter:
        await recorder.turn(adapter, "hi")
    environment = recorder.of(events.Custom)[0].data["env"]
    assert "DATABASE_PASSWORD" not in environment
    assert environment["ANTHROPIC_API_KEY"] == key
    assert environment["CLAUDE_CONFIG_DIR"] == str(recorder.state_dir / "claude")
    assert environment["PATH"]
