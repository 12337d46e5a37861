"""`runner-shell validate`: every problem at once, and nothing that is not one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from plugin import install
from real_processes import Launcher, RealGateway, Started
from runner_shell_claude.testing import Model, ScriptedModel

PLUGIN = """
import os, time
from pydantic import SecretStr
from runner_shell import Adapter, AdapterSettings, Ending

class Mine(AdapterSettings):
    my_key: SecretStr
    my_program: str = "there"

class Plugin(Adapter):
    name = "mine"
    Settings = Mine

    @classmethod
    def preflight(cls, settings, *, workspace):
        if settings.my_program == "raises":
            raise RuntimeError("by mistake")
        if settings.my_program == "missing":
            yield f"MY_PROGRAM: no such program, and {settings.my_key.get_secret_value()}"
            yield f"MY_KEY: not good in {workspace}"

    @classmethod
    def preflight_online(cls, settings, *, workspace):
        key = settings.my_key.get_secret_value()
        if settings.my_program == "raises online":
            raise RuntimeError(f"by mistake, with {key}")
        if settings.my_program == "refused":
            yield f"MY_KEY: refused {key}"

    async def turn(self, turn):
        raise AssertionError("validate runs nothing")
"""
SECRET = "a-key-that-nobody-shows"


def report(done: Started) -> dict[str, tuple[str, str]]:
    """What `--json` says, by what was looked at; the last of several."""
    done.wait()
    said = json.loads(done.out)
    assert said["ok"] == (done.process.returncode == 0), done.err
    assert done.process.returncode in (0, 2)
    return {one["what"]: (one["verdict"], one["said"]) for one in said["checked"]}


def wrong(done: Started) -> list[str]:
    """The problems."""
    done.wait()
    return [one["said"] for one in json.loads(done.out)["checked"] if one["verdict"] == "wrong"]


@pytest.fixture
def mine(launch: Launcher) -> dict[str, Any]:
    """An adapter with settings and a preflight of its own."""
    site = install(launch.directory, "mine", PLUGIN)
    return {"PYTHONPATH": site, "RUNNER_ADAPTER": "mine", "PROMPT": "hello", "MY_KEY": SECRET}


def test_nothing_is_wrong(launch: Launcher, mine: dict[str, Any]) -> None:
    """What is right is listed by its name, with where it stands; 0, and nothing is left behind."""
    done = launch.cli("validate", "--json", TIMEOUT="60", **mine)
    said = report(done)
    assert done.process.returncode == 0
    assert said["RUNNER_ADAPTER"] == ("ok", "mine")
    assert said["TIMEOUT"] == ("ok", "60.0")
    assert said["adapter"] == ("ok", "mine 1, mine_plugin:Plugin")
    assert said["workspace"][0] == said["state"][0] == "ok"
    assert said["gateway"][0] == "note"
    assert list(launch.workspace.iterdir()) == []
    assert not launch.state.exists()
    for_people = launch.cli("validate", **mine)
    assert for_people.wait() == 0
    assert "nothing is wrong" in for_people.out


def test_every_problem_at_once(launch: Launcher, mine: dict[str, Any]) -> None:
    """Settings, adapter, places and gateway: all that is wrong is told, options by their names."""
    file = launch.file("file", "")
    done = launch.cli(
        *("validate", "--session", "a/b", "--gateway", "http://127.0.0.1:1"),
        *("--state-dir", file, "--json"),
        **mine | {"TIMEOUT": "soon", "MY_PROGRAM": "missing", "BOT_TOKEN": "some-token"},
        ARTIFACTS_DIR="x",
    )
    problems = wrong(done)
    assert done.process.returncode == 2
    for sentence in (
        "--session is 'a/b': must be 1 to 128 letters",
        "TIMEOUT is 'soon': must be a number of seconds",
        "MY_PROGRAM: no such program, and [REDACTED:MY_KEY]",
        f"MY_KEY: not good in {launch.workspace}",
        f"--state-dir: {file} is no directory",
        "--gateway: the gateway http://127.0.0.1:1 cannot be reached",
    ):
        assert [one for one in problems if one.startswith(sentence)], (sentence, problems)
    assert len(problems) == 6
    assert report(done)["ARTIFACTS_DIR"][0] == "note"
    assert SECRET not in done.out + done.err


def test_an_adapter_that_cannot_be_used(launch: Launcher, mine: dict[str, Any]) -> None:
    """A missing setting, a broken import and a preflight that raises are problems, not crashes."""
    without = {name: value for name, value in mine.items() if name != "MY_KEY"}
    missing = launch.cli("validate", "--json", **without)
    raising = launch.cli("validate", "--json", **mine | {"MY_PROGRAM": "raises"})
    unknown = launch.cli("validate", "--json", "--adapter", "nope", **mine)
    nothing = launch.cli("validate", "--json")
    assert wrong(missing) == ["MY_KEY: is not set, and there is no default"]
    assert "preflight raised RuntimeError: by mistake" in wrong(raising)[0]
    assert "--adapter: no adapter is called 'nope'" in wrong(unknown)[0]
    assert wrong(nothing)[0].startswith("--adapter or RUNNER_ADAPTER is not set")


def test_an_adapter_asks_online_only_on_demand(launch: Launcher, mine: dict[str, Any]) -> None:
    """`--online` asks what the adapter asks, once nothing else is wrong with it."""

    def online(*options: str, **more: str) -> dict[str, tuple[str, str]]:
        done = launch.cli("validate", "--json", *options, **mine | more)
        said = report(done)
        assert SECRET not in done.out + done.err
        return said

    assert "online" not in online(MY_PROGRAM="refused")
    assert "online" not in online("--online", MY_PROGRAM="missing")
    assert online("--online")["online"][0] == "ok"
    refused = online("--online", MY_PROGRAM="refused")
    assert refused["online"] == ("wrong", "MY_KEY: refused [REDACTED:MY_KEY]")
    raised = online("--online", MY_PROGRAM="raises online")["online"]
    assert raised[0] == "wrong"
    assert "its online preflight raised RuntimeError: by mistake" in raised[1]
    verdict, said = online("--online", RUNNER_ADAPTER="echo")["online"]
    assert (verdict, said.partition(":")[0]) == ("note", "nothing was asked")


@pytest.mark.slow
def test_claude_s_key_and_model_are_looked_at(launch: Launcher) -> None:
    """The Claude adapter asks the API: what is good is, and what it refuses is a problem."""
    with ScriptedModel(models=[Model("claude-sonnet-5")], key=SECRET) as api:
        given = api.environment() | {"RUNNER_ADAPTER": "claude", "PROMPT": "hello"}

        def online(**more: str) -> tuple[str, str]:
            done = launch.cli("validate", "--json", "--online", **given | more)
            found = report(done)["online"]
            assert SECRET not in done.out + done.err
            return found

        assert online(LLM_MODEL="claude-sonnet-5")[0] == "ok"
        assert "401: invalid x-api-key" in online(ANTHROPIC_API_KEY="sk-ant-another-1111")[1]


@pytest.mark.slow
def test_a_graph_is_looked_at(launch: Launcher) -> None:
    """The LangGraph adapter's preflight imports the graph and says what is wrong with it."""
    graph = {"RUNNER_ADAPTER": "langgraph", "PROMPT": "hello", "GRAPH": "./nowhere.py:graph"}
    assert (
        "GRAPH: there is no file ./nowhere.py"
        in wrong(launch.cli("validate", "--json", **graph))[0]
    )


def test_a_token_s_role(launch: Launcher, gateway: RealGateway, mine: dict[str, Any]) -> None:
    """A runner's token fits its own session, an admin's any; others cannot run, and are told so."""
    session, token = gateway.create()
    other, _ = gateway.create()
    made = gateway.ask("POST", f"/sessions/{session}/tokens", json={"role": "viewer"})
    place = mine | {"RUNNER_GATEWAY": gateway.url}

    def validated(token: str, session: str = session) -> dict[str, tuple[str, str]]:
        variables = place | {"BOT_TOKEN": token, "SESSION_ID": session}
        return report(launch.cli("validate", "--json", **variables))

    right = validated(token)
    assert right["token"][1].startswith(f"runner of session {session}")
    assert right["link"] == (
        *("ok", f"ws{gateway.url[4:]}/sessions/{session}/runner takes this runner"),
    )
    assert validated(gateway.token_file.read_text().strip())["token"][0] == "ok"
    assert f"is a token for session '{session}'" in validated(token, other)["token"][1]
    assert "of the role 'viewer'" in validated(made.json()["token"])["token"][1]
    verdict, said = validated("not-a-token")["token"]
    assert verdict == "wrong"
    assert said.startswith("BOT_TOKEN: the gateway answered 401")
    assert gateway.session(session)["epoch"] == 0, "no runner was there"


def test_a_websocket_address(launch: Launcher, gateway: RealGateway, mine: dict[str, Any]) -> None:
    """`WEBSOCKET_URL` is dialled, and a session that is not there told of."""
    _, token = gateway.create("dialled")
    base = f"ws{gateway.url[4:]}/sessions"
    variables = mine | {"BOT_TOKEN": token, "SESSION_ID": "dialled"}
    right = launch.cli("validate", "--json", **variables, WEBSOCKET_URL=f"{base}/dialled/runner")
    lost = launch.cli("validate", "--json", **variables, WEBSOCKET_URL="ws://127.0.0.1:1/runner")
    assert report(right)["link"][0] == "ok"
    assert wrong(lost)[0].startswith("WEBSOCKET_URL: ws://127.0.0.1:1/runner")
