"""The scripted Messages API, asked as the CLI asks it."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from typing import Any

import pytest
from runner_shell_claude.testing import ApiError, Reply, ScriptedModel, ToolUse


def ask(model: ScriptedModel, *texts: str, stream: bool = True, path: str = "/v1/messages") -> Any:
    messages = [{"role": "user", "content": text} for text in texts]
    body = {"model": "claude-x", "messages": messages, "stream": stream}
    request = urllib.request.Request(
        model.url + path, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        text = response.read().decode()
    if not stream or path != "/v1/messages":
        return json.loads(text)
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


def test_a_reply_streams_as_the_api_does() -> None:
    """Thinking, text and tool input come as blocks with deltas; usage and stop reason last."""
    reply = Reply("Hello there, friend", thinking="Hm.", tools=[ToolUse("Bash", {"command": "ls"})])
    with ScriptedModel([reply]) as model:
        events = ask(model, "hi")
    assert events[0]["message"]["model"] == "claude-x"
    starts = [e["content_block"]["type"] for e in events if e["type"] == "content_block_start"]
    assert starts == ["thinking", "text", "tool_use"]
    deltas = [e["delta"] for e in events if e["type"] == "content_block_delta"]
    assert "".join(d.get("text", "") for d in deltas) == "Hello there, friend"
    arguments = "".join(d.get("partial_json", "") for d in deltas)
    assert json.loads(arguments) == {"command": "ls"}
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    assert events[-2]["usage"]["output_tokens"] == 5
    assert events[-1]["type"] == "message_stop"


def test_a_reply_without_a_stream_is_one_object() -> None:
    """A request that does not stream gets the message whole."""
    with ScriptedModel([Reply("Hello")]) as model:
        message = ask(model, "hi", stream=False)
    assert message["content"] == [{"type": "text", "text": "Hello"}]
    assert message["stop_reason"] == "end_turn"


def test_replies_come_in_order_and_by_conversation() -> None:
    """The last user message that names a conversation chooses its script, else the common one."""
    with ScriptedModel(
        [Reply("common one"), Reply("common two")], conversations={"cellar": [Reply("dark")]}
    ) as model:
        said = [
            ask(model, *texts, stream=False)["content"][0]["text"]
            for texts in (["hi"], ["hi", "look into the cellar"], ["hello"])
        ]
        with pytest.raises(urllib.error.HTTPError) as error:
            ask(model, "cellar")
        model.say(Reply("two more"), to="cellar")
        assert ask(model, "cellar", stream=False)["content"][0]["text"] == "two more"
    assert said == ["common one", "dark", "common two"]
    error.value.close()
    assert error.value.code == 400
    assert model.overruns == ["the script 'cellar' has no reply left"]


def test_an_error_has_its_status_type_and_headers() -> None:
    """An `ApiError` is answered as the API words it."""
    with ScriptedModel([ApiError(429, headers={"retry-after": "7"})]) as model:
        with pytest.raises(urllib.error.HTTPError) as caught:
            ask(model, "hi")
        with caught.value as answer:
            body = json.loads(answer.read())
    assert (caught.value.code, caught.value.headers["retry-after"]) == (429, "7")
    assert body["error"]["type"] == "rate_limit_error"


def test_a_stream_holds_until_it_is_released() -> None:
    """`hold_after` stops the stream in its middle; `release` lets it go on to its end."""
    with ScriptedModel([Reply("one two three four", hold_after=1)]) as model:
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(ask(model, "hi")))
        thread.start()
        model.wait_until_holding()
        assert not found
        model.release()
        thread.join()
    assert found[0][-1]["type"] == "message_stop"


def test_a_stream_is_cut() -> None:
    """`cut_after` resets the connection in the middle of the stream."""
    with ScriptedModel([Reply("one two three four", cut_after=1)]) as model, pytest.raises(OSError):
        ask(model, "hi")


def test_requests_are_kept() -> None:
    """What was asked can be looked at: texts, tool results, tools, system prompt."""
    with ScriptedModel([Reply("ok")]) as model:
        ask(model, "one", "two")
        model.wait_for_requests(1)
        (request,) = model.requests
    assert request.texts() == ["one", "two"]
    assert request.tools() == []
    assert request.headers["content-type"] == "application/json"


def test_tokens_are_counted() -> None:
    """The count of tokens answers something that grows with the request, and uses no reply."""
    with ScriptedModel([Reply("ok")]) as model:
        path = "/v1/messages/count_tokens"
        few, many = (ask(model, "a" * size, path=path)["input_tokens"] for size in (10, 1000))
    assert 0 < few < many
    assert model.requests == []


def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whom `environment` is given finds the model behind any proxy of the machine's."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with ScriptedModel([Reply("Hello")]) as model:
        for name, value in (model.environment() | {"HTTP_PROXY": "http://127.0.0.1:1"}).items():
            monkeypatch.setenv(name, value)
        assert ask(model, "hi", stream=False)["content"][0]["text"] == "Hello"
