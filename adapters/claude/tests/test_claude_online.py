"""Key and model, as the API sees them: asked of a scripted one."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from runner_shell_claude import ClaudeSettings, online
from runner_shell_claude.testing import ApiError, Model, ScriptedModel

from runner_shell import ConfigurationError, NotSupported

KEY = "sk-ant-the-good-one-0000"
MODELS = (
    Model("claude-opus-5-5", aliases=["claude-opus-latest"]),
    Model("claude-sonnet-5", lifecycle="deprecated"),
    Model("claude-2", lifecycle="retired"),
)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package `anthropic` reads these by itself."""
    for name in ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def api() -> Iterator[ScriptedModel]:
    with ScriptedModel(models=MODELS, key=KEY) as made:
        yield made


def ask(api: ScriptedModel | str, environ: dict[str, str] | None = None, **given: str) -> list[str]:
    """What is told; what is set stands in the environment, as it does in a runner."""
    url = api if isinstance(api, str) else api.url
    environment = {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": KEY, **given}
    settings = ClaudeSettings.from_environment(environment)
    return list(online.ask(settings, environment | (environ or {})))


def test_a_good_key_and_models_that_are_there(api: ScriptedModel) -> None:
    """In the list, found by an alias, deprecated, or named as only Claude Code does: no problem."""
    for model in ("claude-opus-5-5", "claude-opus-latest", "claude-sonnet-5[1m]", "sonnet", ""):
        assert ask(api, LLM_MODEL=model) == []


def test_a_key_that_is_refused(api: ScriptedModel) -> None:
    """The variable and the API's own words, never the key."""
    (problem,) = ask(api, ANTHROPIC_API_KEY="sk-ant-another-1111")
    assert problem == f"ANTHROPIC_API_KEY: {api.url} answered 401: invalid x-api-key"


def test_a_token_is_sent_as_claude_code_sends_it(api: ScriptedModel) -> None:
    """A token alone is a bearer's; beside a key both are sent."""
    token = {"ANTHROPIC_AUTH_TOKEN": KEY}
    assert ask(api, ANTHROPIC_API_KEY="", **token) == []
    assert ask(api, ANTHROPIC_API_KEY="sk-ant-another-1111", **token) == []
    (problem,) = ask(api, ANTHROPIC_API_KEY="no", ANTHROPIC_AUTH_TOKEN="nor this")
    assert problem.startswith("ANTHROPIC_API_KEY and ANTHROPIC_AUTH_TOKEN: ")


def test_a_model_that_is_not_there(api: ScriptedModel) -> None:
    """Each one is named by its variable, with the nearest that is there; so is a retired one."""
    problems = ask(
        api,
        LLM_MODEL="claude-opus-5-6",
        CLAUDE_FALLBACK_MODEL="claude-sonnet-5,claude-2",
        CLAUDE_AGENTS='{"a": {"model": "zebra"}, "b": {"model": "inherit"}}',
    )
    assert [problem.partition(",")[0] for problem in problems] == [
        "LLM_MODEL is 'claude-opus-5-6'",
        "CLAUDE_FALLBACK_MODEL is 'claude-2'",
        "CLAUDE_AGENTS is 'zebra'",
    ]
    assert f"which {api.url} does not know; there is claude-opus-5-5" in problems[0]
    assert "which was retired" in problems[1]


def test_nobody_who_answers() -> None:
    """What cannot be reached is told with its address and why, and so is an API that is down."""
    (unreachable,) = ask("http://127.0.0.1:1")
    assert unreachable.startswith("ANTHROPIC_BASE_URL: http://127.0.0.1:1 cannot be reached (")
    assert "refused" in unreachable
    with ScriptedModel(models=ApiError(529, "overloaded")) as api:
        (down,) = ask(api)
    assert down == f"ANTHROPIC_BASE_URL: {api.url} answered 529: overloaded: ask again later"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"CLAUDE_CODE_USE_VERTEX": "1"}, "CLAUDE_CODE_USE_VERTEX"),
        ({"CLAUDE_CODE_USE_BEDROCK": "1"}, "CLAUDE_CODE_USE_BEDROCK"),
        ({"ANTHROPIC_API_KEY": "", "CLAUDE_CODE_OAUTH_TOKEN": "x"}, "neither ANTHROPIC_API_KEY"),
        ({}, "has no list of models"),
    ],
)
def test_what_cannot_be_asked_is_no_problem(given: dict[str, str], reason: str) -> None:
    """Other providers, a subscription, a gateway without a list: told as not looked at."""
    with ScriptedModel() as api, pytest.raises(NotSupported, match=reason):
        ask(api, **given)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install is told."""
    monkeypatch.setitem(sys.modules, "anthropic", None)
    with pytest.raises(ConfigurationError, match=r"runner-shell-claude\[online\]"):
        ask("http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"CLAUDE_MODEL": "a", "LLM_MODEL": "b"}, [("CLAUDE_MODEL", "a")]),
        ({"LLM_MODEL": "b", "ANTHROPIC_MODEL": "c"}, [("LLM_MODEL", "b")]),
        ({"ANTHROPIC_MODEL": "c"}, [("ANTHROPIC_MODEL", "c")]),
        (
            {"LLM_MODEL": "b", "CLAUDE_OPTIONS": '{"model": "d"}'},
            [("CLAUDE_OPTIONS", "d")],
        ),
        ({"LLM_MODEL": "Opus[1m]"}, []),
        (
            {"LLM_MODEL": "opus", "ANTHROPIC_DEFAULT_OPUS_MODEL": "e[1m]"},
            [("ANTHROPIC_DEFAULT_OPUS_MODEL", "e")],
        ),
        (
            {"CLAUDE_FALLBACK_MODEL": "f, g"},
            [("CLAUDE_FALLBACK_MODEL", "f"), ("CLAUDE_FALLBACK_MODEL", "g")],
        ),
    ],
)
def test_the_model_that_counts(given: dict[str, str], names: list[tuple[str, str]]) -> None:
    """The one that Claude Code would take, by the variable in which it stands."""
    assert online.wanted(ClaudeSettings.from_environment(given), given) == names
