"""The commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigurationError

app = typer.Typer(
    name="runner-shell",
    help="Run AI agents as supervised processes that lose nothing.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)


@app.command()
def run(
    adapter: Annotated[
        str, typer.Option(help="Name of an installed adapter. [RUNNER_ADAPTER]", show_default=False)
    ] = "",
    prompt: Annotated[
        str, typer.Option(help="The first message. [PROMPT]", show_default=False)
    ] = "",
    workspace: Annotated[
        str,
        typer.Option(help="The directory the agent works in. [WORKSPACE_PATH]", show_default="."),
    ] = "",
    gateway: Annotated[
        str,
        typer.Option(
            help="Base URL of a gateway; without one, one runs in memory. [RUNNER_GATEWAY]",
            show_default=False,
        ),
    ] = "",
    token_file: Annotated[
        str,
        typer.Option(
            help="File with a token: a runner's, or a person's who may create sessions. "
            "[BOT_TOKEN_FILE]",
            show_default=False,
        ),
    ] = "",
    session: Annotated[
        str, typer.Option(help="Id of the session. [SESSION_ID]", show_default="a random one")
    ] = "",
    state_dir: Annotated[
        str,
        typer.Option(
            help="Private directory for state, outside the workspace. [RUNNER_STATE_DIR]",
            show_default="$XDG_STATE_HOME/runner-shell/SESSION",
        ),
    ] = "",
    store: Annotated[
        str,
        typer.Option(
            help="Without a gateway: SQLite file to keep the events in.", show_default="in memory"
        ),
    ] = "",
    interactive: Annotated[
        bool, typer.Option("--interactive", help="Stay and wait for messages. [INTERACTIVE]")
    ] = False,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print each event as stored, one a line.")
    ] = False,
) -> None:
    """Run a session in this terminal and exit with its outcome."""
    from .run import RunOptions, run_session

    run_session(
        RunOptions(
            adapter=adapter,
            prompt=prompt,
            workspace=workspace,
            gateway=gateway,
            token_file=token_file,
            session=session,
            state_dir=state_dir,
            store=store,
            interactive=interactive,
            json_lines=json_lines,
        )
    )


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8765,
    store: Annotated[Path, typer.Option(help="SQLite file to keep sessions and events in.")] = Path(
        "runner-shell.db"
    ),
    token_file: Annotated[
        Path, typer.Option(help="Where to write the admin token; only you can read it.")
    ] = Path("runner-shell.token"),
) -> None:
    """Run a gateway for development until Ctrl-C."""
    from .serve import serve_gateway

    serve_gateway(host=host, port=port, store=store, token_file=token_file)


@app.command()
def adapters(
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the installed adapters."""
    from .adapters import list_adapters

    list_adapters(json_lines=json_lines)


@app.command()
def events(
    session: Annotated[str, typer.Argument(help="Id of the session; without one, list them.")] = "",
    store: Annotated[str, typer.Option(help="Read this SQLite file.", show_default=False)] = "",
    gateway: Annotated[
        str,
        typer.Option(help="Base URL of the gateway to ask. [RUNNER_GATEWAY]", show_default=False),
    ] = "",
    token_file: Annotated[
        str, typer.Option(help="File with a person's token, for --gateway.", show_default=False)
    ] = "",
    since: Annotated[int, typer.Option(min=0, help="Only events after this number.")] = 0,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print each event as stored, one a line.")
    ] = False,
) -> None:
    """Show the stored events of a session."""
    from .events import show_events

    show_events(
        session=session,
        store=store,
        gateway=gateway,
        token_file=token_file,
        since=since,
        json_lines=json_lines,
    )


@app.command()
def status(
    session: Annotated[
        str, typer.Option(help="Id of the session. [SESSION_ID]", show_default=False)
    ] = "",
    state_dir: Annotated[
        str,
        typer.Option(
            help="The runner's private directory. [RUNNER_STATE_DIR]",
            show_default="$XDG_STATE_HOME/runner-shell/SESSION",
        ),
    ] = "",
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Ask a runner on this machine how it stands: exit code 0 connected, 1 not, 3 no runner."""
    from .status import show_status

    show_status(session=session, state_dir=state_dir, as_json=json_lines)


def main() -> None:
    """The entry point: bad input is said in one sentence each, with exit code 2."""
    from ..shell.process import stand_in_for_closed_streams

    stand_in_for_closed_streams()
    try:
        app()
    except ConfigurationError as error:
        for problem in error.problems:
            typer.echo(f"runner-shell: {problem}", err=True)
        raise SystemExit(2) from None
