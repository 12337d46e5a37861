"""Shell completion, as a shell asks for it."""

from __future__ import annotations

import pytest
from real_processes import RUNNER_SHELL, Launcher, RealGateway, eventually


def completed(launch: Launcher, line: str, **variables: object) -> list[str]:
    """What bash is told for a line whose last word is not finished."""
    words = line.split(" ")
    done = launch.cli(
        **{
            "_RUNNER_SHELL_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
            **{name: str(value) for name, value in variables.items()},
        }
    )
    done.wait()
    assert "Traceback" not in done.err
    return done.out.split()


def test_commands_and_options(launch: Launcher) -> None:
    """Commands and options are completed from their beginning."""
    assert completed(launch, "runner-shell att") == ["attach"]
    assert "--workspace" in completed(launch, "runner-shell run --wo")


def test_adapters(launch: Launcher) -> None:
    """Adapters are completed from what is installed."""
    assert completed(launch, "runner-shell run --adapter sc") == ["scripted"]
    assert completed(launch, "runner-shell check e") == ["echo"]


def test_sessions(launch: Launcher, gateway: RealGateway) -> None:
    """Sessions are completed from the gateway that variables or typed options name."""
    gateway.create("complete-me")
    place = {"RUNNER_GATEWAY": gateway.url, "BOT_TOKEN_FILE": gateway.token_file}
    # On a machine that is busy for seconds a completion is given up, as it should be.
    by_variables = eventually(
        lambda: completed(launch, "runner-shell attach comp", **place), "the sessions"
    )
    assert by_variables == ["complete-me"]
    typed = f"--gateway {gateway.url} --token-file {gateway.token_file}"
    by_options = eventually(
        lambda: completed(launch, f"runner-shell attach {typed} comp"), "the sessions"
    )
    assert by_options == ["complete-me"]


def test_nothing_where_nobody_answers(launch: Launcher) -> None:
    """Without a gateway, or with one that is away, there are no completions and no noise."""
    assert completed(launch, "runner-shell attach x") == []
    away = {"RUNNER_GATEWAY": "http://127.0.0.1:1", "BOT_TOKEN": "token"}
    assert completed(launch, "runner-shell attach x", **away) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell(launch: Launcher, shell: str) -> None:
    """Each shell gets a script that calls this program."""
    done = launch.cli(_RUNNER_SHELL_COMPLETE=f"source_{shell}")
    assert done.wait() == 0
    assert "_RUNNER_SHELL_COMPLETE=complete_" in done.out
    assert RUNNER_SHELL.rpartition("/")[2] in done.out


def test_bash_itself(launch: Launcher) -> None:
    """In a real bash, the script completes a command's name."""
    lines = [
        f'PATH="{RUNNER_SHELL.rpartition("/")[0]}:$PATH"',
        'eval "$(_RUNNER_SHELL_COMPLETE=source_bash runner-shell)"',
        "COMP_WORDS=(runner-shell atta); COMP_CWORD=1",
        "$(complete -p runner-shell | sed 's/.*-F \\([^ ]*\\).*/\\1/') runner-shell",
        'echo "${COMPREPLY[@]}"',
    ]
    done = launch.start(["bash", "--norc", "-c", "\n".join(lines)])
    assert done.wait() == 0, done.err
    assert done.out.split() == ["attach"]
