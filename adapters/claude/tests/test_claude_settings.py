"""The environment as settings, options, MCP servers and the CLI's environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from claude_agent_sdk import ClaudeAgentOptions
from runner_shell_claude import ClaudeSettings, options
from runner_shell_claude.environment import removed
from runner_shell_claude.mcp import load_servers
from runner_shell_claude.preflight import preflight

from runner_shell import ConfigurationError


def settings(**environment: str) -> ClaudeSettings:
    return ClaudeSettings.from_environment(environment)


def build(tmp_path: Path, /, resume: bool = False, **environment: str) -> ClaudeAgentOptions:
    (tmp_path / "state").mkdir(exist_ok=True)
    return options.build(
        settings(**environment),
        workspace=tmp_path,
        config_dir=tmp_path / "state",
        environ={"PATH": "/bin", "SECRET": "x"},
        mark={"MARK": "1"},
        session="s-1",
        resume=resume,
    )


def test_the_fields_names_are_honoured(tmp_path: Path) -> None:
    """LLM_MODEL, LLM_MAX_TOKENS and PERMISSION_MODE do what they say."""
    built = build(
        tmp_path, LLM_MODEL="m", LLM_MAX_TOKENS="1000", PERMISSION_MODE="plan", CLAUDE_EFFORT="low"
    )
    assert (built.model, built.permission_mode, built.effort) == ("m", "plan", "low")
    assert built.env["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "1000"


def test_what_cannot_be_honoured_warns() -> None:
    """LLM_TEMPERATURE has no place in Claude Code, and says so."""
    assert [code for code, _ in settings(LLM_TEMPERATURE="0.7").warnings()] == [
        "variable_not_honoured"
    ]
    assert settings().warnings() == []


def test_lists_have_commas_or_are_json() -> None:
    """A list is written with commas, which a rule's own brackets keep, or as JSON."""
    rules = settings(CLAUDE_ALLOWED_TOOLS="Read, Bash(git log, git show),Edit").allowed_tools
    assert rules == ("Read", "Bash(git log, git show)", "Edit")
    assert settings(CLAUDE_TOOLS='["Read", "Bash"]').tools == ("Read", "Bash")


def test_the_prompt_is_never_the_empty_one(tmp_path: Path) -> None:
    """Claude Code's own prompt is the default; a prompt is added to it unless it replaces it."""
    preset = {"type": "preset", "preset": "claude_code"}
    assert build(tmp_path).system_prompt == preset
    assert build(tmp_path, CLAUDE_SYSTEM_PROMPT="x").system_prompt == preset | {"append": "x"}
    replaced = build(tmp_path, CLAUDE_SYSTEM_PROMPT="x", CLAUDE_SYSTEM_PROMPT_REPLACES="1")
    assert replaced.system_prompt == "x"
    with pytest.raises(ConfigurationError, match="empty prompt"):
        settings(CLAUDE_SYSTEM_PROMPT_REPLACES="1").check()


def test_nothing_of_the_repository_is_loaded_unasked(tmp_path: Path) -> None:
    """No setting sources and no MCP servers but the given ones, unless a setting says so."""
    built = build(tmp_path)
    assert built.setting_sources == []
    assert built.strict_mcp_config
    assert build(tmp_path, CLAUDE_SETTING_SOURCES="project").setting_sources == ["project"]
    with pytest.raises(ConfigurationError, match="everything"):
        settings(CLAUDE_SETTING_SOURCES="everything").check()


def test_a_server_rule_has_its_star(tmp_path: Path) -> None:
    """`mcp__git` alone would match no tool."""
    built = build(tmp_path, CLAUDE_ALLOWED_TOOLS="mcp__git,mcp__git__log,Read")
    assert built.allowed_tools == ["mcp__git__*", "mcp__git__log", "Read"]


def test_a_session_begins_or_is_resumed(tmp_path: Path) -> None:
    """The id is ours from the first start on, so that it is known before it."""
    assert (build(tmp_path).session_id, build(tmp_path).resume) == ("s-1", None)
    again = build(tmp_path, resume=True)
    assert (again.session_id, again.resume) == (None, "s-1")


def test_more_options_are_taken_but_not_those_that_are_ours(tmp_path: Path) -> None:
    """CLAUDE_OPTIONS sets other options of the SDK; hooks, paths and the like are refused."""
    built = build(tmp_path, CLAUDE_OPTIONS='{"task_budget": {"total": 5}}')
    assert built.task_budget == {"total": 5}
    for name in ("hooks", "cli_path", "extra_args", "settings", "no_such_option"):
        with pytest.raises(ConfigurationError, match=name):
            build(tmp_path, CLAUDE_OPTIONS=json.dumps({name: 1}))


def test_thinking_is_a_budget_or_off(tmp_path: Path) -> None:
    """CLAUDE_THINKING_TOKENS gives the budget; 0 turns thinking off."""
    built = build(tmp_path, CLAUDE_THINKING_TOKENS="2000")
    assert built.thinking == {"type": "enabled", "budget_tokens": 2000}
    assert build(tmp_path, CLAUDE_THINKING_TOKENS="0").thinking == {"type": "disabled"}
    assert build(tmp_path).thinking is None


def test_agents_are_the_sdks(tmp_path: Path) -> None:
    """CLAUDE_AGENTS defines sub-agents; a wrong field is told."""
    agent = {"reviewer": {"description": "reviews", "prompt": "Review.", "tools": ["Read"]}}
    built = build(tmp_path, CLAUDE_AGENTS=json.dumps(agent))
    assert built.agents is not None
    assert built.agents["reviewer"].tools == ["Read"]
    with pytest.raises(ConfigurationError, match="CLAUDE_AGENTS"):
        build(tmp_path, CLAUDE_AGENTS='{"x": {"wrong": 1}}')


def test_every_wrong_variable_is_told() -> None:
    """Problems come at once, by the variable's name, without a secret's value."""
    with pytest.raises(ConfigurationError) as wrong:
        settings(PERMISSION_MODE="yolo", CLAUDE_MAX_TURNS="0", NON_INTERACTIVE_POLICY="maybe")
    problems = " ".join(wrong.value.problems)
    for name in ("PERMISSION_MODE", "CLAUDE_MAX_TURNS", "NON_INTERACTIVE_POLICY"):
        assert name in problems


def test_a_cli_that_is_not_there_is_told_before_anything_runs(tmp_path: Path) -> None:
    """CLAUDE_CLI must be a file."""
    with pytest.raises(ConfigurationError, match="CLAUDE_CLI"):
        settings(CLAUDE_CLI=str(tmp_path / "nothing")).check()


# --- the CLI's environment -------------------------------------------------------------------


def test_only_what_the_cli_needs_is_passed() -> None:
    """Every variable that is not on the list is taken out; a provider's only where it is in use."""
    environ = {
        "PATH": "/bin",
        "https_proxy": "p",
        "LC_ALL": "C",
        "DATABASE_PASSWORD": "x",
        "GITHUB_TOKEN": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }
    assert set(removed(environ, ())) == {
        "DATABASE_PASSWORD",
        "GITHUB_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
    }
    assert set(removed(environ, ("GITHUB_TOKEN",))) == {
        "DATABASE_PASSWORD",
        "AWS_SECRET_ACCESS_KEY",
    }
    with_bedrock = environ | {"CLAUDE_CODE_USE_BEDROCK": "1"}
    assert set(removed(with_bedrock, ())) == {"DATABASE_PASSWORD", "GITHUB_TOKEN"}


# --- MCP -------------------------------------------------------------------------------------


def servers(tmp_path: Path, config: Any, /, **environment: str) -> dict[str, Any]:
    workspace = tmp_path / "workspace"
    workspace.mkdir(exist_ok=True)
    text = config if isinstance(config, str) else json.dumps(config)
    environ = {"HOST": "example.org", "TOKEN": "s3cret"}
    return load_servers(settings(MCP_CONFIG=text, **environment), workspace, environ)


def test_servers_of_every_kind_and_their_variables(tmp_path: Path) -> None:
    """stdio, http and sse; a listed variable is filled in, another has its default."""
    config = {
        "mcpServers": {
            "a": {"command": "run", "args": ["${HOST}", "${PORT:-80}"]},
            "b": {"type": "http", "url": "https://${HOST}/", "headers": {"x": "${TOKEN:-none}"}},
            "c": {"type": "sse", "url": "https://c"},
        }
    }
    found = servers(tmp_path, config, CLAUDE_MCP_VARIABLES="HOST")
    assert found["a"]["args"] == ["example.org", "80"]
    assert found["b"]["headers"] == {"x": "none"}, "TOKEN is not listed"
    assert found["c"]["url"] == "https://c"


def test_a_variable_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    """A file cannot carry a variable away that nobody listed."""
    config = {"a": {"type": "http", "url": "https://evil/${TOKEN}"}}
    with pytest.raises(ConfigurationError, match="TOKEN") as wrong:
        servers(tmp_path, config)
    assert "s3cret" not in str(wrong.value)


def test_a_file_of_the_workspace_is_refused_unless_it_may(tmp_path: Path) -> None:
    """A repository's .mcp.json would run commands with the runner's rights, through a link too."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / ".mcp.json").write_text('{"mcpServers": {"a": {"command": "evil"}}}')
    (tmp_path / "link.json").symlink_to(workspace / ".mcp.json")
    for path in (".mcp.json", str(workspace / ".mcp.json"), str(tmp_path / "link.json")):
        with pytest.raises(ConfigurationError, match="workspace"):
            servers(tmp_path, path)
    allowed = servers(tmp_path, ".mcp.json", CLAUDE_ALLOW_WORKSPACE_MCP="1")
    assert allowed == {"a": {"command": "evil"}}


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ("/no/such/file", "cannot be read"),
        ("{not json", "not JSON"),
        ({"a": {"type": "carrier-pigeon"}}, "carrier-pigeon"),
        ({"a": {"type": "http"}}, "needs a url"),
        ({"a": {}}, "needs a command"),
        ({"a": 1}, "must be an object"),
    ],
)
def test_a_wrong_configuration_is_told(tmp_path: Path, config: Any, problem: str) -> None:
    """Each problem says what is wrong, and with which server."""
    with pytest.raises(ConfigurationError, match=problem):
        servers(tmp_path, config)


# --- preflight -------------------------------------------------------------------------------

VERTEX = {"CLAUDE_CODE_USE_VERTEX": "1", "ANTHROPIC_VERTEX_PROJECT_ID": "p", "CLOUD_ML_REGION": "r"}


@pytest.mark.parametrize(
    ("given", "environ", "named"),
    [
        ({}, {}, "ANTHROPIC_API_KEY"),
        ({"ANTHROPIC_API_KEY": "k"}, {}, None),
        ({"CLAUDE_SETTING_SOURCES": "user"}, {}, None),
        ({"ANTHROPIC_BASE_URL": "http://gateway"}, {}, "ANTHROPIC_API_KEY"),
        ({"ANTHROPIC_BASE_URL": "http://gateway", "ANTHROPIC_API_KEY": "any"}, {}, None),
        ({"ANTHROPIC_BASE_URL": "gateway", "ANTHROPIC_API_KEY": "k"}, {}, "ANTHROPIC_BASE_URL"),
        ({}, VERTEX, None),
        ({}, VERTEX | {"CLOUD_ML_REGION": ""}, "CLOUD_ML_REGION"),
        (
            {},
            VERTEX | {"GOOGLE_APPLICATION_CREDENTIALS": "/no/such"},
            "GOOGLE_APPLICATION_CREDENTIALS",
        ),
        ({}, {"CLAUDE_CODE_USE_BEDROCK": "1"}, "AWS_REGION"),
        ({}, {"CLAUDE_CODE_USE_BEDROCK": "1", "AWS_REGION": "r"}, None),
        ({"ANTHROPIC_API_KEY": "k", "MCP_CONFIG": "{"}, {}, "MCP_CONFIG_PATH"),
        ({"ANTHROPIC_API_KEY": "k", "CLAUDE_OPTIONS": '{"hooks": 1}'}, {}, "CLAUDE_OPTIONS"),
    ],
)
def test_preflight_names_what_would_not_work(
    tmp_path: Path, given: dict[str, str], environ: dict[str, str], named: str | None
) -> None:
    """Keys, providers, servers and options are looked at before anything runs."""
    problems = list(preflight(settings(**given), tmp_path, environ))
    assert [problem.split(" ")[0].rstrip(":") for problem in problems] == ([named] if named else [])


def test_a_store_and_file_checkpoints_are_not_both() -> None:
    """The SDK refuses them together: who asks for both is told, who asks for one has it."""
    both = {"CLAUDE_TRANSCRIPTS": "store", "CLAUDE_FILE_CHECKPOINTS": "1"}
    with pytest.raises(ConfigurationError, match="CLAUDE_TRANSCRIPTS=store"):
        ClaudeSettings.from_environment(both).check()
    settings = ClaudeSettings.from_environment({"CLAUDE_TRANSCRIPTS": "store"})
    settings.check()
    assert not settings.keeps_checkpoints
