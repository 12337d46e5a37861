"""The commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigurationError
from . import complete
from .images import images
from .options import (
    AnySession,
    CommandId,
    EventsAsJson,
    GatewayUrl,
    Json,
    Reason,
    Request,
    Session,
    Since,
    TokenFile,
    WaitSeconds,
)

app = typer.Typer(
    name="runner-shell",
    help="Run AI agents as supervised processes that lose nothing.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

app.add_typer(images, name="images")

REPLY_SECONDS = 5.0

AdapterName = Annotated[
    str,
    typer.Option(
        help="Name of an installed adapter. [RUNNER_ADAPTER]",
        show_default=False,
        autocompletion=complete.adapters,
    ),
]
Prompt = Annotated[str, typer.Option(help="The first message. [PROMPT]", show_default=False)]
Workspace = Annotated[
    str, typer.Option(help="The directory the agent works in. [WORKSPACE_PATH]", show_default=".")
]
RunGateway = Annotated[
    str,
    typer.Option(
        help="Base URL of a gateway; without one, one runs in memory. [RUNNER_GATEWAY]",
        show_default=False,
    ),
]
RunTokenFile = Annotated[
    str,
    typer.Option(
        help="File with a token: a runner's, or a person's who may create sessions. "
        "[BOT_TOKEN_FILE]",
        show_default=False,
    ),
]
SessionId = Annotated[
    str,
    typer.Option(
        "--session",
        help="Id of the session. [SESSION_ID]",
        show_default="a random one",
        autocompletion=complete.sessions,
    ),
]
StateDir = Annotated[
    str,
    typer.Option(
        help="Private directory for state, outside the workspace. [RUNNER_STATE_DIR]",
        show_default="$XDG_STATE_HOME/runner-shell/SESSION",
    ),
]
Interactive = Annotated[
    bool, typer.Option("--interactive", help="Stay and wait for messages. [INTERACTIVE]")
]


# --- here ------------------------------------------------------------------------------------


@app.command()
def run(
    adapter: AdapterName = "",
    prompt: Prompt = "",
    workspace: Workspace = "",
    gateway: RunGateway = "",
    token_file: RunTokenFile = "",
    session: SessionId = "",
    state_dir: StateDir = "",
    store: Annotated[
        str,
        typer.Option(
            help="Without a gateway: SQLite file to keep the events in.", show_default="in memory"
        ),
    ] = "",
    interactive: Interactive = False,
    json_lines: EventsAsJson = False,
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
def adapters(json_lines: Json = False) -> None:
    """List the installed adapters."""
    from .adapters import list_adapters

    list_adapters(json_lines=json_lines)


@app.command()
def validate(
    adapter: AdapterName = "",
    prompt: Prompt = "",
    workspace: Workspace = "",
    gateway: RunGateway = "",
    token_file: RunTokenFile = "",
    session: SessionId = "",
    state_dir: StateDir = "",
    interactive: Interactive = False,
    online: Annotated[
        bool,
        typer.Option(
            "--online",
            help="Have the adapter ask those whom it needs, too: is the key good, is the model "
            "there.",
        ),
    ] = False,
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look at everything that a runner needs, and name every problem; 2 if there is one.

    Takes the options and variables of `run`. Nothing is run or changed; only with `--online` is an
    adapter's key sent to whom it is for.
    """
    from .validate import validate

    typed = {
        "adapter": adapter,
        "prompt": prompt,
        "workspace": workspace,
        "gateway": gateway,
        "token_file": token_file,
        "session": session,
        "state_dir": state_dir,
    }
    code = validate(typed, interactive=interactive, online=online, json_lines=json_lines)
    raise typer.Exit(code)


@app.command()
def check(
    name: Annotated[
        str,
        typer.Argument(
            help="Name of an installed adapter.", autocompletion=complete.adapters, metavar="NAME"
        ),
    ],
    says: Annotated[
        str, typer.Option(help="A prompt; the turn says some text and completes.")
    ] = "hello",
    runs_long: Annotated[
        str,
        typer.Option(help="A prompt; the turn lasts until it is interrupted.", show_default=False),
    ] = "",
    asks: Annotated[
        str,
        typer.Option(
            help="A prompt; the turn asks one question, and completes once it is answered.",
            show_default=False,
        ),
    ] = "",
    answer: Annotated[str, typer.Option(help="The answer to that question.")] = "yes",
    fails: Annotated[str, typer.Option(help="A prompt; the turn fails.", show_default=False)] = "",
    uses_tool: Annotated[
        str,
        typer.Option(help="A prompt; the turn calls a tool and completes.", show_default=False),
    ] = "",
    interrupt_seconds: Annotated[
        float, typer.Option(min=0.1, help="Within this a turn must end after an interrupt.")
    ] = 5.0,
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check an installed adapter against the contract; 1 if something is found.

    Its settings come from the environment. A promise whose prompt is not given is not tried.
    """
    from .check import check_installed

    prompts = {
        "says": says,
        "runs_long": runs_long,
        "asks": asks,
        "fails": fails,
        "uses_tool": uses_tool,
    }
    code = check_installed(
        name,
        prompts,
        answer=answer,
        interrupt_seconds=interrupt_seconds,
        json_lines=json_lines,
    )
    raise typer.Exit(code)


@app.command("check-gateway")
def check_gateway(
    url: Annotated[str, typer.Argument(help="Base URL of the gateway. [RUNNER_GATEWAY]")] = "",
    token_file: TokenFile = "",
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check a gateway, in any language, against the protocol; 1 if something is found.

    The token is an admin's: the suite creates sessions of its own.
    """
    from .check import check_gateway_at
    from .place import find_place

    raise typer.Exit(check_gateway_at(find_place(url, token_file), json_lines=json_lines))


# --- at a gateway ----------------------------------------------------------------------------


@app.command()
def sessions(
    status: Annotated[
        list[str] | None,
        typer.Option(
            help="Only those that are created, running, disconnected, finished or lost; "
            "may be given several times.",
            show_default=False,
        ),
    ] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option(
            help="Only those with this metadata, as KEY=VALUE; may be given several times.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 for all.")] = 0,
    gateway: GatewayUrl = "",
    token_file: TokenFile = "",
    json_lines: Json = False,
) -> None:
    """List the sessions of a gateway."""
    from .place import find_place
    from .sessions import list_sessions

    list_sessions(
        find_place(gateway, token_file),
        json_lines=json_lines,
        status=status or (),
        metadata=metadata or (),
        limit=limit,
    )


@app.command()
def attach(
    session: Session,
    since: Since = 0,
    gateway: GatewayUrl = "",
    token_file: TokenFile = "",
    json_lines: EventsAsJson = False,
) -> None:
    """Show a session that runs elsewhere, and answer and message it; exit with its outcome.

    Ctrl-D leaves it running. The first Ctrl-C interrupts its turn, the second stops it in order.
    """
    from .attach import AttachOptions, attach_session
    from .place import find_place

    options = AttachOptions(session=session, since=since, json_lines=json_lines)
    raise typer.Exit(attach_session(find_place(gateway, token_file), options))


@app.command()
def events(
    session: AnySession = "",
    store: Annotated[str, typer.Option(help="Read this SQLite file.", show_default=False)] = "",
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    since: Since = 0,
    types: Annotated[
        str,
        typer.Option(help="Only these types, separated by commas.", show_default=False),
    ] = "",
    gateway: GatewayUrl = "",
    token_file: TokenFile = "",
    json_lines: EventsAsJson = False,
) -> None:
    """Show the stored events of a session, or the sessions."""
    from .events import EventOptions, show_events

    show_events(
        EventOptions(
            session=session,
            store=store,
            gateway=gateway,
            token_file=token_file,
            since=since,
            types=types.split(",") if types else None,
            follow=follow,
            json_lines=json_lines,
        )
    )


@app.command()
def requests(
    session: AnySession = "",
    gateway: GatewayUrl = "",
    token_file: TokenFile = "",
    json_lines: Json = False,
) -> None:
    """List the questions that wait for an answer."""
    from .place import find_place
    from .sessions import list_requests

    list_requests(find_place(gateway, token_file), session, json_lines=json_lines)


@app.command()
def send(
    session: Session,
    message: Annotated[str, typer.Argument(help="The text; - reads it from stdin.")],
    command_id: CommandId = "",
    wait: WaitSeconds = REPLY_SECONDS,
    gateway: GatewayUrl = "",
    token_file: TokenFile = "",
    json_lines: Json = False,
) -> None:
    """Send a message to a session; during a turn it is queued."""
    from .commands import Sending, send_message
    from .place import find_place

    sending = Sending(session=session, id=command_id, wait_seconds=wait, json_lines=json_lines)
    send_message(find_place(gateway, token_file), sending, message)


@app.command()
def answer(
    session: Session,
    answer: Annotated[str, typer.Argument(help="The answer: an option's number, JSON or text.")],
    request: Request = "",
    command_id: CommandId = "",
    wait: WaitSeconds = REPLY_SECONDS,
    gateway: GatewayUrl = "",
    token_file: TokenFile = "",
    json_lines: Json = False,
) -> None:
    """Answer a session's open question."""
    from .commands import Sending, answer_request
    from .place import find_place

    sending = Sending(session=session, id=command_id, wait_seconds=wait, json_lines=json_lines)
    answer_request(find_place(gateway, token_file), sending, answer, request)


@app.command()
def interrupt(
    session: Session,
    reason: Reason = "",
    command_id: CommandId = "",
    wait: WaitSeconds = REPLY_SECONDS,
    gateway: GatewayUrl = "",
    token_file: TokenFile = "",
    json_lines: Json = False,
) -> None:
    """Interrupt a session's running turn."""
    from .commands import Sending, interrupt_turn
    from .place import find_place

    sending = Sending(session=session, id=command_id, wait_seconds=wait, json_lines=json_lines)
    interrupt_turn(find_place(gateway, token_file), sending, reason)


@app.command()
def stop(
    session: Session,
    reason: Reason = "",
    after_turn: Annotated[
        bool, typer.Option("--after-turn", help="Let the running and queued turns end first.")
    ] = False,
    command_id: CommandId = "",
    wait: WaitSeconds = REPLY_SECONDS,
    gateway: GatewayUrl = "",
    token_file: TokenFile = "",
    json_lines: Json = False,
) -> None:
    """Stop a session."""
    from .commands import Sending, stop_session
    from .place import find_place

    sending = Sending(session=session, id=command_id, wait_seconds=wait, json_lines=json_lines)
    stop_session(find_place(gateway, token_file), sending, reason, after_turn=after_turn)


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
    except KeyboardInterrupt:
        raise SystemExit(130) from None
