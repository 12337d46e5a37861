"""Artifacts and servers in the process: what is a result, and what is refused."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from runner_shell_claude import in_process
from runner_shell_claude.runner_tools import artifact_of

from runner_shell import ConfigurationError


def test_an_artifact_is_described_by_its_content(tmp_path: Path) -> None:
    """Size and digest are the file's; the path is the workspace's own, however it was named."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"content")
    for path in ("out/a.png", "./out/../out/a.png", str(tmp_path / "out" / "a.png")):
        found = artifact_of(path, tmp_path)
        assert (found.path, found.bytes, found.media_type) == ("out/a.png", 7, "image/png")
        assert found.sha256 == sha256(b"content").hexdigest()


def test_an_artifact_lies_in_the_workspace(tmp_path: Path) -> None:
    """Not above it, not behind a link out of it, and it is a file."""
    (tmp_path / "secret").write_text("x")
    workspace = tmp_path / "workspace"
    (workspace / "dir").mkdir(parents=True)
    (workspace / "link").symlink_to(tmp_path / "secret")
    for path in ("../secret", str(tmp_path / "secret"), "link", "dir", "none"):
        with pytest.raises(ValueError, match="workspace"):
            artifact_of(path, workspace)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("nothing", "installed are none"),
        ("a=no.such.module:make", "cannot be imported"),
        ("a=pathlib:no_such", "cannot be imported"),
        ("a=pathlib:Path.cwd", "cannot be imported"),
        ("a=pathlib:Path", "no server"),
        ("a=os:abort_not", "cannot be imported"),
        ("runner=pathlib:Path", "own name"),
    ],
)
def test_a_server_that_is_none_is_named(named: str, message: str) -> None:
    """Before anything runs, with the variable to mend."""
    with pytest.raises(ConfigurationError, match="CLAUDE_MCP_SERVERS") as found:
        in_process.load([named])
    assert message in str(found.value)
