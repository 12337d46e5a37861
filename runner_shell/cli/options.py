"""The options that several commands have, and the variables that they beat.

A problem names the one that was used.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

import typer

from ..errors import ConfigurationError
from .complete import open_requests, sessions

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

GatewayUrl = Annotated[
    str, typer.Option("--gateway", help="Base URL of the gateway. [RUNNER_GATEWAY]", metavar="URL")
]
TokenFile = Annotated[
    str,
    typer.Option("--token-file", help="File with your token. [BOT_TOKEN_FILE]", metavar="FILE"),
]
Session = Annotated[str, typer.Argument(help="Id of the session.", autocompletion=sessions)]
AnySession = Annotated[
    str,
    typer.Argument(help="Id of the session; without one, all.", autocompletion=sessions),
]
Request = Annotated[
    str,
    typer.Option(
        help="Id of the question; not needed where only one is open.",
        show_default=False,
        autocompletion=open_requests,
    ),
]
CommandId = Annotated[
    str,
    typer.Option(
        help="The command's id: sent again under the same one, it counts once.",
        show_default="a random one",
    ),
]
WaitSeconds = Annotated[
    float,
    typer.Option("--wait", min=0, help="How many seconds to wait for the runner's reply."),
]
Reason = Annotated[str, typer.Option(help="Why, for the record.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
EventsAsJson = Annotated[
    bool, typer.Option("--json", help="Print each event as stored, one a line.")
]
Since = Annotated[int, typer.Option(min=0, help="Only events after this number.")]


def in_options(error: ConfigurationError, typed: Collection[str]) -> ConfigurationError:
    """The same problems, once each, naming options where those were typed.

    Args:
        error: The problems, which name variables.
        typed: The variables whose options were typed.
    """
    return ConfigurationError(*dict.fromkeys(named(one, typed) for one in error.problems))


def named(problem: str, typed: Collection[str]) -> str:
    """One problem, naming options where those were typed."""
    for option, variable in OPTIONS.values():
        if variable in typed:
            problem = problem.replace(variable, option)
        elif f"{variable} is not set" in problem:
            problem = problem.replace(variable, f"{option} or {variable}")
    return problem
