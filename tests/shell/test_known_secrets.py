"""Where the secrets and the rules of a session come from, and what a person is told of them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from real_processes import Launcher

from runner_shell.errors import ConfigurationError
from runner_shell.redaction import Redactor
from runner_shell.shell.configuration import known_secrets
from runner_shell.shell.configuration.environment import examine
from runner_shell.shell.configuration.known_secrets import WEAK, KnownSecrets, find_rules
from runner_shell.shell.configuration.mounted import MAX_FILE_BYTES, MountedSecrets
from runner_shell.testing.adapters import ScriptedAdapter
from runner_shell.testing.hosting import host

OWN_RULE = """
[[rule]]
name = "acme-key"
anchors = ["acme_"]
then = "[a-z]{8}"
examples = ["acme_abcdefgh"]
"""


def known(**environment: str) -> KnownSecrets:
    return KnownSecrets(examine(environment)[0], environment)


def mount(directory: Path, version: str, **files: str) -> None:
    """Replace a volume's content as a kubelet does: one link is swapped."""
    hidden = directory / f"..{version}"
    hidden.mkdir(parents=True)
    for name, text in files.items():
        (hidden / name).write_text(text)
    (directory / "..new").symlink_to(hidden.name)
    (directory / "..new").rename(directory / "..data")
    for name in files:
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(Path("..data", name))


def test_a_mounted_volume_is_read_and_read_again(tmp_path: Path) -> None:
    """Each file once, by its own name, and again when the volume is replaced; old values stay."""
    mount(tmp_path, "v1", token="first-value-of-it", other="the-other-value")
    files = MountedSecrets(tmp_path)
    assert files.refresh() == ([("OTHER", "the-other-value"), ("TOKEN", "first-value-of-it")], [])
    assert files.refresh() == ([], [])
    mount(tmp_path, "v2", token="second-value-of-it", other="the-other-value")
    assert ("TOKEN", "second-value-of-it") in files.refresh()[0]


def test_what_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    """Bytes that are no text, something large, something that is no file."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large").write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "deep").write_text("a-deep-secret")
    files = MountedSecrets(tmp_path)
    secrets, problems = files.refresh()
    assert secrets == [("DEEP", "a-deep-secret")]
    assert [problem.partition(": ")[0].rpartition("/")[2] for problem in problems] == [
        "binary",
        "large",
        "pipe",
    ]
    assert files.refresh() == ([], [])


def test_short_values_are_told_by_their_key(tmp_path: Path) -> None:
    """From the environment and from files; never with the value."""
    (tmp_path / "pin").write_text("1234\n")
    found = known(
        DB_PASSWORD="test", API_TOKEN="long-enough-value", RUNNER_SECRETS_DIR=str(tmp_path)
    )
    assert [code for code, _ in found.warnings] == [WEAK, WEAK]
    (_, first), (_, second) = found.warnings
    assert "DB_PASSWORD" in first
    assert "PIN" in second
    assert "1234" not in str(found.warnings)


def test_more_variables_by_pattern() -> None:
    """`RUNNER_SECRET_NAMES` adds to what names say."""
    found = known(ACME_LICENSE="licence-to-run", RUNNER_SECRET_NAMES="ACME_*, OTHER")
    assert Redactor(found.registry).text("licence-to-run") == "[REDACTED:ACME_LICENSE]"


async def test_files_are_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that is refreshed while the session runs is redacted soon after."""
    monkeypatch.setattr(known_secrets, "WATCH_SECONDS", 0.01)
    mount(tmp_path, "v1", token="first-value-of-it")
    found = known(RUNNER_SECRETS_DIR=str(tmp_path))
    redactor = Redactor(found.registry)
    found.watch()
    mount(tmp_path, "v2", token="second-value-of-it")
    while "second" in redactor.text("first-value-of-it second-value-of-it"):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert "first" not in redactor.text("first-value-of-it")
    found.close()


def test_own_rules_and_what_is_off(tmp_path: Path) -> None:
    """A file adds rules; names and paths switch rules off, never known secrets."""
    file = tmp_path / "rules.toml"
    file.write_text(OWN_RULE)
    found = known(RUNNER_REDACTION_RULES=str(file), A_TOKEN="one-known-value")
    settings, _ = examine(
        {"RUNNER_REDACTION_RULES": str(file), "RUNNER_REDACTION_OFF": "github-token,custom.data"}
    )
    redactor = find_rules(settings).redactor(found.registry)
    token = "ghp_" + "aB3x" * 9
    assert redactor.text("acme_abcdefgh") == "[REDACTED:ACME_KEY]"
    assert redactor.text(token) == token
    assert redactor.payload({"x": "acme_abcdefgh one-known-value"}, "custom.data") == {
        "x": "acme_abcdefgh [REDACTED:A_TOKEN]"
    }


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("RUNNER_REDACTION_RULES", "[[rule]]\nname = 'x'\n", "the field 'then' is missing"),
        ("RUNNER_REDACTION_RULES", "no TOML", "is no TOML"),
        (
            "RUNNER_REDACTION_RULES",
            OWN_RULE.replace("acme-key", "github-token"),
            "has the same name",
        ),
        ("RUNNER_REDACTION_OFF", "no-such-rule", "no redaction rule is called 'no-such-rule'"),
    ],
)
def test_wrong_rules_are_told(tmp_path: Path, variable: str, text: str, said: str) -> None:
    """With the variable and what would be right."""
    file = tmp_path / "rules.toml"
    file.write_text(text)
    value = text if variable.endswith("OFF") else str(file)
    settings, problems = examine({variable: value})
    assert not [problem for problem in problems if variable in problem]
    with pytest.raises(ConfigurationError, match=said):
        find_rules(settings).redactor(known().registry)


@pytest.mark.slow
def test_a_runner_with_wrong_rules_does_not_start(launch: Launcher, tmp_path: Path) -> None:
    """It exits with 2 and says why; one whose rules are right applies them."""
    file = launch.file("rules.toml", OWN_RULE)
    prompt = ("run", "--adapter", "echo", "--prompt", "acme_abcdefgh and more", "--json")
    right = launch.cli(*prompt, RUNNER_REDACTION_RULES=file)
    assert right.wait() == 0
    assert "[REDACTED:ACME_KEY] and more" in str(right.events())
    assert "acme_abcdefgh" not in right.out
    wrong = launch.cli(*prompt, RUNNER_REDACTION_OFF="nothing-known")
    assert wrong.wait() == 2
    assert "RUNNER_REDACTION_OFF: no redaction rule is called 'nothing-known'" in wrong.err


async def test_an_adapter_adds_what_it_learns() -> None:
    """From the next event on, whatever thread it came from; a short one is warned of by name."""

    class Learns(ScriptedAdapter):
        async def turn(self, turn: object) -> object:  # type: ignore[override]
            await asyncio.to_thread(self._session.secrets.add, "MINTED", "minted-just-now")
            self._session.secrets.add("PIN", "1234")
            return await super().turn(turn)  # type: ignore[arg-type]

    prompt = '[{"say": "a minted-just-now value"}, {"tool": {"name": "t", "input": {"pin": 1234}}}]'
    async with host(lambda: Learns(Learns.Settings()), prompt=prompt) as session:
        await session.end()
        said = await session.stored()
    assert session.text() == "a [REDACTED:MINTED] value"
    assert "minted-just-now" not in str(said[2:])  # the prompt was there before
    (warning,) = session.of_type("warning")
    assert warning["code"] == WEAK
    assert "PIN" in str(warning["message"])
    assert session.of_type("tool.started")[0]["input"] == {"pin": "[REDACTED:PIN]"}
