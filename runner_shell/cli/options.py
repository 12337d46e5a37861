"""Options and the variables that they beat: a problem names the one that was used."""

from __future__ import annotations

from collections.abc import Collection

from ..errors import ConfigurationError

OPTIONS = {
    "adapter": ("--adapter", "RUNNER_ADAPTER"),
    "prompt": ("--prompt", "PROMPT"),
    "workspace": ("--workspace", "WORKSPACE_PATH"),
    "gateway": ("--gateway", "RUNNER_GATEWAY"),
    "token_file": ("--token-file", "BOT_TOKEN_FILE"),
    "session": ("--session", "SESSION_ID"),
    "state_dir": ("--state-dir", "RUNNER_STATE_DIR"),
}
"""Each option and the variable that it beats."""


def in_options(error: ConfigurationError, typed: Collection[str]) -> ConfigurationError:
    """The same problems, once each, naming options where those were typed.

    Args:
        error: The problems, which name variables.
        typed: The variables whose options were typed.
    """
    return ConfigurationError(*dict.fromkeys(_named(one, typed) for one in error.problems))


def _named(problem: str, typed: Collection[str]) -> str:
    for option, variable in OPTIONS.values():
        if variable in typed:
            problem = problem.replace(variable, option)
        elif f"{variable} is not set" in problem:
            problem = problem.replace(variable, f"{option} or {variable}")
    return problem
