"""An adapter's settings from the environment."""

from __future__ import annotations

import pytest
from pydantic import AliasChoices, Field, SecretStr

from runner_shell import AdapterSettings, ConfigurationError


class Settings(AdapterSettings):
    """Settings as an adapter's author writes them."""

    graph: str
    limit: int = 3
    config: dict[str, int] = Field({}, validation_alias=AliasChoices("MY_CONFIG", "OLD_CONFIG"))
    api_key: SecretStr | None = None


def test_fields_are_read_from_variables_of_their_name() -> None:
    """Fields come from variables in upper case, JSON where the field is not plain."""
    found = Settings.from_environment({"GRAPH": "a:b", "LIMIT": "7", "MY_CONFIG": '{"x": 1}'})
    assert (found.graph, found.limit, found.config) == ("a:b", 7, {"x": 1})


def test_an_alias_counts_after_the_first_name() -> None:
    """The first alias that is set wins."""
    both = {"GRAPH": "a", "MY_CONFIG": '{"x": 1}', "OLD_CONFIG": '{"x": 2}'}
    assert Settings.from_environment(both).config == {"x": 1}
    assert Settings.from_environment({"GRAPH": "a", "OLD_CONFIG": '{"x": 2}'}).config == {"x": 2}


def test_an_empty_variable_counts_as_not_set() -> None:
    """An empty variable leaves the default."""
    assert Settings.from_environment({"GRAPH": "a", "LIMIT": ""}).limit == 3


def test_every_problem_is_told_at_once_without_values() -> None:
    """Each wrong variable is named once, and no value is shown."""
    given = {"LIMIT": "hunter2-limit", "MY_CONFIG": "{hunter2-config"}
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_environment(given)
    problems = caught.value.problems
    assert sorted(problem.split(":")[0] for problem in problems) == ["GRAPH", "LIMIT", "MY_CONFIG"]
    assert "hunter2" not in str(caught.value)


def test_nothing_else_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's own environment does not count: the given mapping is all."""
    monkeypatch.setenv("LIMIT", "9")
    assert Settings.from_environment({"GRAPH": "a"}).limit == 3
    assert Settings(graph="a").limit == 3
