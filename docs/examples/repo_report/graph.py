"""A report on any git repository: its history, hot spots, modules and open TODOs.

No model and no key. The repository is treated as hostile: nothing in it is run, every command and
file is bounded in time and size, and the report never follows a link out of the workspace.

    START → survey → module × N (in parallel) → ask → write → END
"""

from __future__ import annotations

import asyncio
import operator
import os
import stat
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, TypedDict
from uuid import uuid4

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send, interrupt
from runner_shell_langgraph import emit, progress

from runner_shell import AgentFailed, Workspace, events

REPORT = "REPORT.md"
SECTIONS = ("Hot spots", "Modules", "Open TODOs")
MODULES = 6
LISTED = 10
ROOT = "(top level)"

GIT_SECONDS = 20.0
MAX_OUTPUT_BYTES = 16 * 1024 * 1024
MAX_COMMITS = 2_000
MAX_FILES_READ = 2_000
MAX_FILE_BYTES = 256 * 1024
QUESTION_SECONDS = 5


# --- git, carefully --------------------------------------------------------------------------

GIT = (
    "git",
    "--no-pager",
    "--no-optional-locks",
    # What a repository's own configuration could run: a monitor, hooks, a signature checker.
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "log.showSignature=false"),
)
LOG = ("log", "--no-ext-diff", "--no-textconv", "--no-show-signature", "--no-renames")


async def git(workspace: Path, *arguments: str) -> bytes:
    """Run git in the workspace, bounded in time and output.

    Raises:
        AgentFailed: It failed, ran for too long or said too much; with what it said.
    """
    process = await asyncio.create_subprocess_exec(
        *GIT,
        *arguments,
        cwd=workspace,
        env=_environment(workspace),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(GIT_SECONDS):
            output, complaint = await asyncio.gather(
                _bounded(process.stdout), _bounded(process.stderr)
            )
            code = await process.wait()
    except TimeoutError:
        raise AgentFailed(
            f"git {arguments[0]} took longer than {GIT_SECONDS:g} seconds", code="git_failed"
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code != 0:
        said = shown(complaint).strip().partition("\n")[0]
        raise AgentFailed(f"git {arguments[0]} failed: {said}", code="git_failed")
    return output


def _environment(workspace: Path) -> dict[str, str]:
    """Ours, less what would point git elsewhere: it asks, fetches and looks further up nothing."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return kept | {
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_CEILING_DIRECTORIES": str(workspace.resolve().parent),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C.UTF-8",
    }


async def _bounded(stream: asyncio.StreamReader) -> bytes:
    """Read to the end, keeping at most `MAX_OUTPUT_BYTES`."""
    kept = bytearray()
    while part := await stream.read(1 << 16):
        kept += part[: MAX_OUTPUT_BYTES - len(kept)]
    return bytes(kept)


def shown(raw: bytes) -> str:
    """A name or line from the repository as text that can be shown, whatever its bytes are."""
    text = raw.decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def lines(output: bytes) -> list[bytes]:
    """The members of output that git separated by NUL."""
    return [part for part in output.split(b"\0") if part]


async def has_commits(workspace: Path) -> bool:
    """Whether the repository's HEAD names a commit.

    Raises:
        AgentFailed: `not_a_repository`.
    """
    try:
        await git(workspace, "rev-parse", "--git-dir")
    except AgentFailed as error:
        raise AgentFailed(
            f"{workspace} is not a git repository that can be read; name one as the workspace. "
            f"{error}",
            code="not_a_repository",
        ) from error
    try:
        await git(workspace, "rev-parse", "--quiet", "--verify", "HEAD^{commit}")
    except AgentFailed:
        return False
    return True


# --- tools -----------------------------------------------------------------------------------


def workspace_of(config: RunnableConfig) -> Path:
    """The directory that the runner works in; without a runner the process's own."""
    return Path(config.get("configurable", {}).get("workspace") or Path.cwd())


@tool
async def git_log(config: RunnableConfig) -> dict[str, Any]:
    """Count commits and authors, and find the first and the last date."""
    workspace = workspace_of(config)
    if not await has_commits(workspace):
        return {"commits": 0, "authors": 0, "shallow": False}
    count = int(await git(workspace, "rev-list", "--count", "HEAD"))
    shallow = await git(workspace, "rev-parse", "--is-shallow-repository")
    log = await git(workspace, *LOG, "-z", f"--max-count={MAX_COMMITS}", "--format=%aE%x1f%as")
    rows = [row.partition(b"\x1f") for row in lines(log)]
    authors = Counter(shown(email) for email, _, _ in rows)
    dates = sorted(shown(date) for _, _, date in rows)
    return {
        "commits": count,
        "read": len(rows),
        "authors": len(authors),
        "first": dates[0],
        "last": dates[-1],
        "shallow": shallow.strip() == b"true",
    }


@tool
async def tree(config: RunnableConfig) -> dict[str, Any]:
    """Count the tracked files of each top-level directory."""
    files = await _files(workspace_of(config))
    counts = Counter(_module(file) for file in files)
    return {"files": len(files), "modules": dict(counts.most_common(100))}


@tool
async def hot_spots(config: RunnableConfig) -> dict[str, Any]:
    """Find the files and top-level directories that commits change the most."""
    workspace = workspace_of(config)
    if not await has_commits(workspace):
        return {"files": [], "modules": {}}
    # One commit is one change to a file, and to a directory as often as to its files.
    changed = lines(
        await git(workspace, *LOG, "-z", f"--max-count={MAX_COMMITS}", "--name-only", "--format=")
    )
    files = Counter(changed)
    modules = Counter(_module(file) for file in changed)
    return {
        "files": [[shown(file), count] for file, count in _top(files, LISTED)],
        "modules": dict(_top(modules, 100)),
    }


@tool
async def todo_scan(module: str, config: RunnableConfig) -> dict[str, Any]:
    """Count the lines of a top-level directory's text files, and find TODO and FIXME in them."""
    workspace = workspace_of(config)
    files = [file for file in await _files(workspace) if _module(file) == module]
    return await asyncio.to_thread(_scan, workspace, files)


async def _files(workspace: Path) -> list[bytes]:
    return lines(await git(workspace, "ls-files", "-z"))


def _module(file: bytes) -> str:
    directory, slash, _ = file.partition(b"/")
    return shown(directory) if slash else ROOT


def _top(counts: Counter[Any], number: int) -> list[tuple[Any, int]]:
    """The most frequent, in an order that equal counts do not change."""
    return sorted(counts.items(), key=lambda row: (-row[1], row[0]))[:number]


def _scan(workspace: Path, files: list[bytes]) -> dict[str, Any]:
    todos: list[dict[str, Any]] = []
    text_files = total_lines = total_todos = 0
    kinds: Counter[str] = Counter()
    for file in files[:MAX_FILES_READ]:
        kinds[PurePosixPath(shown(file)).suffix or "(none)"] += 1
        content = _read_text(workspace, file)
        if content is None:
            continue
        text_files += 1
        for number, line in enumerate(content.splitlines(), 1):
            total_lines += 1
            if b"TODO" in line or b"FIXME" in line:
                total_todos += 1
                if len(todos) < LISTED:
                    row = {"file": shown(file), "line": number, "text": shown(line.strip()[:120])}
                    todos.append(row)
    return {
        "files": len(files),
        "read": min(len(files), MAX_FILES_READ),
        "text_files": text_files,
        "lines": total_lines,
        "kinds": dict(_top(kinds, 5)),
        "todo_count": total_todos,
        "todos": todos,
    }


def _read_text(workspace: Path, file: bytes) -> bytes | None:
    """A tracked text file's beginning; None for what is binary, gone, or no plain file."""
    root = os.fsencode(workspace.resolve())
    path = os.path.join(root, file)
    # A link, in the last part or before it, could lead anywhere.
    if os.path.realpath(path) != path:
        return None
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(opened, "rb") as stream:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            return None
        content = stream.read(MAX_FILE_BYTES)
    return None if b"\0" in content[:8192] else content


# --- the graph -------------------------------------------------------------------------------


class State(TypedDict, total=False):
    """What the nodes hand on; `prompt` is a wish of the person's, quoted in the report."""

    prompt: str
    log: dict[str, Any]
    tree: dict[str, Any]
    hot: dict[str, Any]
    modules: Annotated[list[dict[str, Any]], operator.add]
    first: str


class Module(TypedDict):
    """What one parallel node is given."""

    module: str
    changes: int


async def survey(state: State) -> State:
    """Look at the repository as a whole."""
    progress("history", 0.0)
    log = await git_log.ainvoke({})
    progress("files", 0.3)
    files = await tree.ainvoke({})
    progress("hot spots", 0.6)
    hot = await hot_spots.ainvoke({})
    narrate(
        f"The repository has {log['commits']} commits and {files['files']} tracked files. ",
        "I look closer at its busiest directories. ",
    )
    return {"log": log, "tree": files, "hot": hot}


def fan_out(state: State) -> list[Send] | str:
    """One parallel node for each of the busiest modules."""
    changes, files = state["hot"]["modules"], state["tree"]["modules"]
    busiest = sorted(files, key=lambda name: (-changes.get(name, 0), -files[name], name))
    sends = [
        Send("module", Module(module=name, changes=changes.get(name, 0)))
        for name in busiest[:MODULES]
    ]
    return sends or "ask"


async def module(state: Module) -> State:
    """Look closer at one module."""
    progress(f"reading {state['module']}")
    found = await todo_scan.ainvoke({"module": state["module"]})
    progress(f"lines read: {found['lines']}", 1.0)
    return {"modules": [{"name": state["module"], "changes": state["changes"], **found}]}


def ask(state: State) -> State:
    """Ask the person which section comes first; nobody there is fine too."""
    answer = interrupt(
        {
            "question": "Which section of the report should come first?",
            "options": list(SECTIONS),
            "default": SECTIONS[0],
            "timeout_seconds": QUESTION_SECONDS,
        }
    )
    return {"first": answer if answer in SECTIONS else SECTIONS[0]}


async def write(state: State, config: RunnableConfig) -> None:
    """Write the report into the workspace and say so."""
    workspace = workspace_of(config)
    replace_file(workspace / REPORT, render(state))
    emit(Workspace(workspace).artifact(REPORT))
    todos = sum(row["todo_count"] for row in state.get("modules", []))
    hottest = state["hot"]["files"][:1]
    narrate(
        f"The report is in {REPORT}. ",
        *(f"{code(file)} changed most often, in {count} commits. " for file, count in hottest),
        f"There are {todos} open TODOs in the directories I read. ",
    )


def narrate(*sentences: str) -> None:
    """Say something to the person, as an assistant's message; no model is pretended."""
    id = f"narration-{uuid4()}"
    emit(events.MessageStarted(id=id))
    emit(events.BlockStarted(message=id, index=0))
    for sentence in sentences:
        emit(events.BlockDelta(message=id, index=0, text=sentence))
    emit(events.BlockFinished(message=id, index=0))
    emit(events.MessageFinished(id=id))


# --- the report ------------------------------------------------------------------------------


def render(state: State) -> str:
    """The report as Markdown, the chosen section first."""
    first = state.get("first", SECTIONS[0])
    ordered = sorted(SECTIONS, key=lambda name: name != first)
    parts = {"Hot spots": _hot_spots, "Modules": _modules, "Open TODOs": _todos}
    text = ["# Repository report", "", *_summary(state)]
    for name in ordered:
        text += ["", f"## {name}", "", *parts[name](state)]
    return "\n".join(text) + "\n"


def _summary(state: State) -> Iterator[str]:
    log = state["log"]
    if log["commits"] == 0:
        yield "* No commits yet."
    else:
        yield f"* Commits: {log['commits']}{' (shallow clone)' if log['shallow'] else ''}"
        yield f"* Authors: {log['authors']}"
        yield f"* From {log['first']} to {log['last']}"
        if log["read"] < log["commits"]:
            yield f"* Authors, dates and changes are those of the last {log['read']} commits"
    yield f"* Tracked files: {state['tree']['files']}"


def _hot_spots(state: State) -> Iterator[str]:
    if not state["hot"]["files"]:
        yield "Nothing has changed yet."
        return
    yield from ("| file | commits |", "|---|---|")
    for file, count in state["hot"]["files"]:
        yield f"| {code(file)} | {count} |"


def _modules(state: State) -> Iterator[str]:
    if not state.get("modules"):
        yield "There are no tracked files."
        return
    yield from ("| module | files | lines of text | changes | kinds |", "|---|---|---|---|---|")
    for row in _in_order(state):
        kinds = ", ".join(f"{code(kind)} {count}" for kind, count in row["kinds"].items())
        numbers = f"{row['files']} | {row['lines']} | {row['changes']}"
        yield f"| {code(row['name'])} | {numbers} | {kinds} |"


def _todos(state: State) -> Iterator[str]:
    yield f"Found: {sum(row['todo_count'] for row in state.get('modules', []))}"
    for row in _in_order(state):
        for todo in row["todos"]:
            yield f"* {code(todo['file'])}, line {todo['line']}: {code(todo['text'])}"


def _in_order(state: State) -> list[dict[str, Any]]:
    return sorted(state.get("modules", []), key=lambda row: (-row["changes"], row["name"]))


def code(text: str) -> str:
    """The repository's text as Markdown code, which it cannot break out of."""
    return f"`{text.replace('`', 'ˋ').replace('|', '¦') or ' '}`"


def replace_file(path: Path, text: str) -> None:
    """Write a file whole or not at all; a link of that name is replaced, never followed."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".report-")
    try:
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


builder = StateGraph(State)
builder.add_node("survey", survey)
builder.add_node("module", module, input_schema=Module)
builder.add_node("ask", ask)
builder.add_node("write", write)
builder.add_edge(START, "survey")
builder.add_conditional_edges("survey", fan_out, ["module", "ask"])
builder.add_edge("module", "ask")
builder.add_edge("ask", "write")
builder.add_edge("write", END)

graph = builder.compile(name="repo_report")
