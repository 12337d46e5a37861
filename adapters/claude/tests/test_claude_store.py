"""The store of transcripts: the SDK's own contract, and deaths in the middle of a line."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from claude_agent_sdk.testing import run_session_store_conformance
from runner_shell_claude.store import DirectoryStore

KEY: Any = {"project_key": "/a/project", "session_id": "s"}


def entry(id: str, **more: Any) -> Any:
    return {"type": "user", "uuid": id, **more}


async def test_it_keeps_the_sdks_contract(tmp_path: Path) -> None:
    """All that the SDK's own suite asks of a store."""
    numbers = count()
    await run_session_store_conformance(lambda: DirectoryStore(tmp_path / str(next(numbers))))


async def test_another_process_has_what_was_written(tmp_path: Path) -> None:
    """And what it is told a second time it does not keep a second time."""
    await DirectoryStore(tmp_path / "store").append(KEY, [entry("a", text="ä\n")])
    store = DirectoryStore(tmp_path / "store")
    await store.append(KEY, [entry("a", text="ä\n"), entry("b")])
    assert await store.load(KEY) == [entry("a", text="ä\n"), entry("b")]


async def test_a_line_that_a_death_tore_is_left_out(tmp_path: Path) -> None:
    """What comes after it is whole, whatever byte the process died at."""
    await DirectoryStore(tmp_path / "store").append(KEY, [entry("a"), entry("b")])
    (file,) = (tmp_path / "store").rglob("*.jsonl")
    whole = file.read_bytes()
    for cut in range(whole.index(b"\n") + 2, len(whole) - 1):
        file.write_bytes(whole[:cut])
        store = DirectoryStore(tmp_path / "store")
        await store.append(KEY, [entry("b"), entry("c")])
        assert await store.load(KEY) == [entry("a"), entry("b"), entry("c")]


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


async def test_no_key_leaves_the_directory(tmp_path: Path) -> None:
    """A name is a name, whatever stands in it; and what is kept is private."""
    root = tmp_path / "in" / "store"
    root.parent.mkdir()
    store = DirectoryStore(root)
    for name in ("..", "../..", "/etc", ".", "a/../../b"):
        await store.append({"project_key": name, "session_id": name}, [entry("a")])
        key: Any = {"project_key": name, "session_id": name, "subpath": name}
        await store.append(key, [entry("a")])
        assert await store.list_subkeys({"project_key": name, "session_id": name}) == [name]
    assert names(tmp_path) == ["in"]
    assert names(root.parent) == ["store"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in root.rglob("*"))
