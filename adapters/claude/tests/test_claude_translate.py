"""Frames to events: a literal frame in, events out."""

from __future__ import annotations

from typing import Any

import pytest
from runner_shell_claude.translate import Translator

from runner_shell import events

START = "2026-11-30T05:41:54.000Z"
END = "2026-11-30T05:41:55.500Z"


def play(*frames: dict[str, Any], translator: Translator | None = None) -> list[events.Event]:
    translator = translator or Translator()
    return [event for frame in frames for event in translator.receive(frame)]


def stream(*several: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"type": "stream_event", "event": event} for event in several]


def begin(id: str = "m1") -> dict[str, Any]:
    return {"type": "message_start", "message": {"id": id, "model": "claude-x"}}


def assistant(*content: dict[str, Any], id: str = "m1", **more: Any) -> dict[str, Any]:
    message = {"id": id, "model": "claude-x", "content": list(content)}
    return {"type": "assistant", "message": message, "timestamp": START, **more}


def call(id: str = "t1", name: str = "Bash", **input: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": input}


def returned(id: str = "t1", content: Any = "out", error: bool = False, **more: Any) -> Any:
    block = {"type": "tool_result", "tool_use_id": id, "content": content, "is_error": error}
    message = {"role": "user", "content": [block]}
    return {"type": "user", "message": message, "timestamp": END, **more}


def meta(**said: Any) -> dict[str, Any]:
    return {"tool_result_meta": [{"id": "t1", **said}]}


# --- messages --------------------------------------------------------------------------------


def test_a_streamed_message_is_said_once() -> None:
    """The whole block that comes beside the stream adds nothing that was streamed already."""
    got = play(
        *stream(
            begin(),
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}},
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": "Hi"},
            },
        ),
        assistant({"type": "text", "text": "Hi"}),
        *stream(
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "usage": {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 4},
            },
            {"type": "message_stop"},
        ),
    )
    used = events.Usage(input_tokens=7, output_tokens=2, cache_read_tokens=4)
    assert got == [
        events.MessageStarted(id="m1", model="claude-x"),
        events.BlockStarted(message="m1", index=0, kind="text"),
        events.BlockDelta(message="m1", index=0, text="Hi"),
        events.BlockFinished(message="m1", index=0),
        events.MessageFinished(id="m1", usage=used),
    ]


def test_a_whole_message_of_a_subagent_has_its_blocks_and_its_scope() -> None:
    """Frames of one message id, a block each, are one message in the scope of their parent."""
    translator = Translator()
    play(assistant(call("a1", "Agent")), translator=translator)
    more = {"parent_tool_use_id": "a1"}
    got = play(
        assistant({"type": "thinking", "thinking": "Hm"}, id="s1", **more),
        assistant(call("t1", command="ls"), id="s1", **more),
        returned("t1", parent_tool_use_id="a1"),
        translator=translator,
    )
    assert {event.scope for event in got} == {("a1",)}
    kinds = [event.kind for event in got if isinstance(event, events.BlockStarted)]
    assert kinds == ["thinking", "tool_input"]
    assert [event.index for event in got if isinstance(event, events.BlockStarted)] == [0, 1]
    assert sum(isinstance(event, events.MessageStarted) for event in got) == 1


def test_a_subagent_of_a_subagent_has_the_whole_path() -> None:
    """The scope is the path of calls, outermost first."""
    translator = Translator()
    play(
        assistant(call("a1", "Agent")),
        assistant(call("a2", "Agent"), id="s1", parent_tool_use_id="a1"),
        translator=translator,
    )
    got = play(assistant(call("t1"), id="s2", parent_tool_use_id="a2"), translator=translator)
    assert {event.scope for event in got if event.scope != ("a1",)} == {("a1", "a2")}


def test_a_message_that_is_cut_is_cancelled() -> None:
    """When the API is asked anew, what was streamed so far ends `cancelled`."""
    opened = {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}
    got = play(
        *stream(begin(), opened),
        {"type": "system", "subtype": "api_retry", "attempt": 1, "max_retries": 2},
    )
    assert events.BlockFinished(message="m1", index=0, status="cancelled") in got
    assert events.MessageFinished(id="m1", status="cancelled") in got


def test_a_message_that_is_cut_and_asked_for_without_a_stream_is_cancelled() -> None:
    """The CLI may say nothing of it: the next message, which comes whole, tells."""
    opened = {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}
    got = play(*stream(begin(), opened), assistant({"type": "text", "text": "all of it"}, id="m2"))
    assert events.BlockFinished(message="m1", index=0, status="cancelled") in got
    assert events.MessageFinished(id="m1", status="cancelled") in got
    assert events.BlockDelta(message="m2", index=0, text="all of it") in got


def test_a_message_that_the_cli_abandons_is_cancelled() -> None:
    """The CLI may end what was cut by events that look as if the API had sent them."""
    opened = {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}
    *before, stop = stream(
        begin(), opened, {"type": "content_block_stop", "index": 0}, {"type": "message_stop"}
    )
    got = play(*before, stop | {"abandoned_blocks": {"from_block_index": 0}})
    assert events.BlockFinished(message="m1", index=0, status="cancelled") in got
    assert events.MessageFinished(id="m1", status="cancelled") in got


def test_blocks_without_a_place_are_carried() -> None:
    """A block that the vocabulary lacks becomes `custom`, streamed or not."""
    block = {"type": "redacted_thinking", "data": "opaque"}
    whole = play(assistant(block))
    streamed = play(*stream(begin()), assistant(block))
    carried = events.Custom(name="claude.block.redacted_thinking", data=block)
    assert carried in whole
    assert carried in streamed


def test_a_server_tool_starts_and_ends_in_the_assistants_message() -> None:
    """A tool that the API itself runs has its start and its end."""
    use = {"type": "server_tool_use", "id": "w1", "name": "web_search", "input": {"query": "x"}}
    result = {"type": "web_search_tool_result", "tool_use_id": "w1", "content": [{"url": "u"}]}
    got = play(assistant(use), assistant(result))
    started = [event for event in got if isinstance(event, events.ToolStarted)]
    finished = [event for event in got if isinstance(event, events.ToolFinished)]
    assert [(event.name, event.kind) for event in started] == [("web_search", "search")]
    assert [(event.call, event.output) for event in finished] == [("w1", [{"url": "u"}])]
    assert not [event for event in got if isinstance(event, events.Custom)]


def test_what_the_cli_says_as_the_user_is_a_users_message() -> None:
    """A notice in the conversation is a message of the role `user`; our own words are not said."""
    said = {"type": "user", "uuid": "u1", "message": {"role": "user", "content": "Interrupted."}}
    (message,) = [e for e in play(said) if isinstance(e, events.MessageStarted)]
    assert (message.id, message.role) == ("u1", "user")
    assert play({**said, "isReplay": True}) == []


def test_an_image_in_the_conversation_is_an_image_block() -> None:
    """An image comes whole, with its media type and its data."""
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    image = {"type": "image", "source": source}
    got = play({"type": "user", "uuid": "u1", "message": {"role": "user", "content": [image]}})
    assert events.BlockStarted(message="u1", index=0, kind="image") in got
    content = {"media_type": "image/png", "data": "aGk="}
    assert events.BlockFinished(message="u1", index=0, content=content) in got


# --- tools -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "error", "status"),
    [
        ({}, False, "ok"),
        ({}, True, "error"),
        (meta(permission_decision={"decision": "accept"}), True, "error"),
        (meta(permission_decision={"decision": "reject"}), True, "denied"),
        (meta(non_execution_kind="permission-rule"), True, "denied"),
        (meta(non_execution_kind="automode-denied"), True, "denied"),
        (meta(non_execution_kind="user-rejected"), True, "cancelled"),
        (meta(non_execution_kind="interrupted"), True, "cancelled"),
        (meta(call_ended="not_started"), True, "cancelled"),
    ],
)
def test_a_tools_status_is_true(more: dict[str, Any], error: bool, status: str) -> None:
    """Whether it ran, failed, was refused or was cancelled is told from what the CLI knows."""
    got = play(assistant(call()), returned(error=error, **more))
    (finished,) = [event for event in got if isinstance(event, events.ToolFinished)]
    assert (finished.call, finished.status, finished.duration_seconds) == ("t1", status, 1.5)


def test_a_tool_has_its_kind_its_title_and_its_output() -> None:
    """A start says what the tool does; text blocks of a result are text."""
    blocks = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    got = play(assistant(call(command="ls -l\npwd")), returned(content=blocks))
    (started,) = [event for event in got if isinstance(event, events.ToolStarted)]
    assert (started.kind, started.title) == ("execute", "Bash: ls -l")
    (finished,) = [event for event in got if isinstance(event, events.ToolFinished)]
    assert finished.output == "one\ntwo"


def test_a_result_of_a_call_that_nobody_saw_is_carried() -> None:
    """It has no start here, so it cannot be an end; it is carried as `custom`."""
    (event,) = play(returned("other"))
    assert isinstance(event, events.Custom)
    assert event.name == "claude.tool_result"


def test_a_call_left_open_by_an_earlier_process_is_ended() -> None:
    """The result of a deferred call ends the tool that was started in another process."""
    translator = Translator({"t1": ("a1",)})
    assert play(returned("t1"), translator=translator) == [
        events.ToolFinished(call="t1", output="out", scope=("a1",))
    ]


def test_the_end_of_a_turn_closes_what_is_open() -> None:
    """Blocks, messages, calls and sub-agents end, but calls stay open over a `waiting` end."""
    for waiting in (False, True):
        translator = Translator()
        opened = {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}
        play(assistant(call()), *stream(begin("m2"), opened), translator=translator)
        closed = list(translator.close(cancelled=not waiting, keep_calls=waiting))
        kinds = [type(event).__name__ for event in closed]
        expected = ["BlockFinished", "MessageFinished"]
        assert kinds == expected + ([] if waiting else ["ToolFinished"])
        assert list(translator.calls) == (["t1"] if waiting else [])


# --- sub-agents and tasks --------------------------------------------------------------------


def task(subtype: str, **more: Any) -> dict[str, Any]:
    return {"type": "system", "subtype": f"task_{subtype}", "task_id": "k1", **more}


AGENT = task("started", tool_use_id="a1", task_type="local_agent", subagent_type="Explore")
SHELL = task("started", task_type="local_bash", description="serve", is_backgrounded=True)


@pytest.mark.parametrize(
    ("status", "shown"),
    [("completed", "ok"), ("failed", "error"), ("killed", "cancelled"), ("stopped", "cancelled")],
)
def test_a_task_ends_once_by_whichever_word_comes_first(status: str, shown: str) -> None:
    """Its end comes by an update, by a notification, or by both."""
    updated = task("updated", patch={"status": status})
    notified = task("notification", status=status, summary="so it was", output_file="f")
    for ends in ([updated, notified], [notified, updated], [updated], [notified]):
        got = play(assistant(call("a1", "Agent")), AGENT, *ends)
        finished = [event for event in got if isinstance(event, events.StepFinished)]
        assert [(event.id, event.status) for event in finished] == [("a1", shown)]


def test_progress_of_a_task_is_told() -> None:
    """What a sub-agent does now is a step's progress."""
    got = play(assistant(call("a1", "Agent")), AGENT, task("progress", description="Reading"))
    assert events.StepProgress(id="a1", text="Reading") in got


def test_a_command_in_the_foreground_is_no_step() -> None:
    """A long command is its tool's call; it becomes a step when it goes to the background."""
    started = task("started", task_type="local_bash", tool_use_id="t1", is_backgrounded=False)
    translator = Translator()
    assert play(started, translator=translator) == []
    (step,) = play(task("updated", patch={"is_backgrounded": True}), translator=translator)
    assert isinstance(step, events.StepStarted)
    assert play(started, task("notification", status="completed", output_file="")) == []


def test_a_task_that_outlives_its_turn_waits_and_ends_in_a_later_one() -> None:
    """Its step stands `waiting` at the turn's end; its end in a later turn has a start there."""
    translator = Translator()
    play(SHELL, translator=translator)
    (left,) = translator.close()
    assert left == events.StepFinished(id="k1", status="waiting")
    got = play(task("updated", patch={"status": "completed"}), translator=translator)
    assert [type(event).__name__ for event in got] == ["StepStarted", "StepFinished"]


# --- plans -----------------------------------------------------------------------------------


def test_a_todo_list_is_the_plan() -> None:
    """TodoWrite's list takes the place of the plan before."""
    todos = [
        {"content": "look", "status": "completed"},
        {"content": "mend", "status": "in_progress"},
        {"content": "try", "status": "pending"},
    ]
    got = play(assistant(call(name="TodoWrite", todos=todos)))
    (plan,) = [event for event in got if isinstance(event, events.PlanUpdated)]
    assert [(entry.text, entry.status) for entry in plan.entries] == [
        ("look", "completed"),
        ("mend", "in_progress"),
        ("try", "pending"),
    ]


def test_tasks_make_the_plan() -> None:
    """TaskCreate and TaskUpdate change the plan, by the id that the tool's result gives."""
    translator = Translator()
    plans = [
        event
        for frame in (
            assistant(call("t1", "TaskCreate", subject="look")),
            returned("t1", tool_use_result={"task": {"id": "7", "subject": "look"}}),
            assistant(call("t2", "TaskUpdate", taskId="7", status="in_progress")),
            assistant(call("t3", "TaskUpdate", taskId="7", status="deleted")),
        )
        for event in translator.receive(frame)
        if isinstance(event, events.PlanUpdated)
    ]
    assert [[entry.status for entry in plan.entries] for plan in plans] == [
        ["pending"],
        ["in_progress"],
        [],
    ]


# --- the rest --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"type": "system", "subtype": "api_retry", "error_status": 529}, "api_retry"),
        ({"type": "system", "subtype": "compact_boundary"}, "compacted"),
        ({"type": "system", "subtype": "model_fallback"}, "model_fallback"),
        ({"type": "system", "subtype": "model_refusal_fallback"}, "model_fallback"),
        ({"type": "system", "subtype": "mirror_error", "error": "full"}, "session_store"),
        ({"type": "conversation_reset", "new_conversation_id": "n"}, "conversation_reset"),
        (
            {
                "type": "rate_limit_event",
                "rate_limit_info": {"status": "rejected", "rateLimitType": "five_hour"},
            },
            "rate_limit",
        ),
    ],
)
def test_what_a_person_should_know_is_a_warning(frame: dict[str, Any], code: str) -> None:
    """Retries, limits, compaction, fallback and reset are warnings with a code of their own."""
    (event,) = play(frame)
    assert isinstance(event, events.Warning_)
    assert event.code == code
    assert event.message


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        ({"type": "auth_status", "isAuthenticating": True}, "claude.auth_status"),
        ({"type": "prompt_suggestion", "text": "x"}, "claude.prompt_suggestion"),
        ({"type": "system", "subtype": "brand_new", "x": 1}, "claude.system.brand_new"),
        ({"type": "tool_progress", "tool_use_id": "t", "x": 1}, "claude.tool_progress"),
        ({"type": "never_seen", "x": 1}, "claude.never_seen"),
        ({"type": "system", "subtype": "hook_response", "hook_name": "x"}, "claude.hook"),
        (
            {"type": "rate_limit_event", "rate_limit_info": {"status": "allowed"}},
            "claude.rate_limit",
        ),
    ],
)
def test_a_frame_without_a_place_is_carried(frame: dict[str, Any], name: str) -> None:
    """Frames that the vocabulary or this version does not know become `custom`, with their data."""
    (event,) = play({**frame, "uuid": "u", "session_id": "s"})
    assert isinstance(event, events.Custom)
    assert event.name == name
    assert "uuid" not in event.data


def test_how_the_cli_was_set_up_is_said_once() -> None:
    """Every turn begins with `init`; it is said when it changed."""
    translator = Translator()
    init = {"type": "system", "subtype": "init", "model": "a"}
    got = play(init, init, {**init, "model": "b"}, translator=translator)
    assert [event.data["model"] for event in got if isinstance(event, events.Custom)] == ["a", "b"]


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "system", "subtype": "session_state_changed", "state": "idle"},
        {"type": "system", "subtype": "status", "status": "requesting"},
        {"type": "system", "subtype": "thinking_tokens", "estimated_tokens": 3},
        {"type": "command_lifecycle", "state": "queued"},
        {"type": "keep_alive"},
        {"type": "result"},
    ],
)
def test_what_another_event_says_is_silent(frame: dict[str, Any]) -> None:
    """The turn's own course makes no events of its own."""
    assert play(frame) == []
