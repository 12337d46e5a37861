"""The scripted API on loopback, in threads of its own, for a real CLI to talk to."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, TypeAlias

from . import catalogue, wire
from .script import ApiError, Model, Reply, Scripted

WAIT_SECONDS = 120.0
"""Ends a hang: a stream that nobody releases, a request that never comes."""

NO_LIST = ApiError(404)
"""What a gateway without a list of models says."""

_UNAUTHORIZED = ApiError(401, "invalid x-api-key")

_LOOK_SECONDS = 0.05
"""How often a stream that holds looks whether anybody still listens."""


@dataclass(frozen=True)
class ModelRequest:
    """One request for a message, as it came.

    Attributes:
        body: The request's JSON.
        headers: Its headers, names in lower case.
    """

    body: dict[str, Any]
    headers: dict[str, str]

    def texts(self) -> list[str]:
        """The texts of every user message, oldest first."""
        return [text for message in self._of("user") for text in _texts(message["content"])]

    def tool_results(self) -> list[dict[str, Any]]:
        """The results of tools in every user message, oldest first."""
        return [
            block
            for message in self._of("user")
            for block in _blocks(message["content"])
            if block.get("type") == "tool_result"
        ]

    def tools(self) -> list[str]:
        """The names of the tools that the model may call."""
        return [str(tool.get("name")) for tool in self.body.get("tools", [])]

    def system(self) -> str:
        """The system prompt, its blocks joined."""
        return "\n".join(_texts(self.body.get("system") or ""))

    def _of(self, role: str) -> list[dict[str, Any]]:
        return [one for one in self.body.get("messages", []) if one.get("role") == role]


Script: TypeAlias = Sequence[Scripted] | Callable[[ModelRequest], Scripted]
"""Replies in their order, or a function that chooses one for each request."""


class ScriptedModel:
    """Answers each request for a message with the next reply of a script.

    A conversation is found by what its last user message says: `conversations` gives the replies
    for each text that such a message may contain, which tells a sub-agent's requests from its
    parent's. What no text fits gets the next of `replies`. Past a script's end the answer is an
    error that is not retried, kept in `overruns`. A function in place of a script is given each
    request and has no end.

    Use it as a context manager, from any thread or loop.

    Args:
        replies: What is said where no conversation fits.
        conversations: Replies by a part of the user's message that they answer.
        models: The models that it says there are, or the error that it says instead; it has no
            list of models unless given.
        key: The one key or token that is good; every one is, unless given.

    Attributes:
        requests: What was asked, oldest first.
        overruns: One sentence for each request past a script's end.
        models: As given.
        key: As given.
        url: The base URL.
    """

    def __init__(
        self,
        replies: Script = (),
        *,
        conversations: Mapping[str, Script] | None = None,
        models: Sequence[Model] | ApiError = NO_LIST,
        key: str = "",
    ) -> None:
        self.requests: list[ModelRequest] = []
        self.overruns: list[str] = []
        self.url = ""
        self.models = models
        self.key = key
        scripts = {"": replies, **(conversations or {})}
        self._scripts = {key: _script(given) for key, given in scripts.items()}
        self._news = threading.Condition()
        self._released = 0
        self._holding = 0
        self._closed = False
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.model = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._news:
            self._closed = True
            self._news.notify_all()
        assert self._server is not None, "entered before it is left"
        assert self._thread is not None
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def environment(self) -> dict[str, str]:
        """What a CLI needs to ask this model and nobody else."""
        return {
            "ANTHROPIC_BASE_URL": self.url,
            "ANTHROPIC_API_KEY": self.key or "sk-ant-scripted-0000",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_ERROR_REPORTING": "1",
            "DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def say(self, *replies: Scripted, to: str = "") -> None:
        """Add to a script, also while the model is in use.

        Args:
            replies: What comes next.
            to: The part of the user's message that they answer.
        """
        with self._news:
            script = self._scripts.setdefault(to, [])
            if callable(script):
                raise TypeError(f"a function answers {to!r}; nothing can be added to it")
            script.extend(replies)

    def release(self) -> None:
        """Let one stream that holds (`Reply.hold_after`), or the next that will, go on."""
        with self._news:
            self._released += 1
            self._news.notify_all()

    def wait_until_holding(self) -> None:
        """Wait until a stream holds.

        Raises:
            TimeoutError: None does.
        """
        self._wait(lambda: self._holding > 0, "a stream that holds")

    def wait_for_requests(self, count: int) -> None:
        """Wait until so many requests have come.

        Raises:
            TimeoutError: They did not come.
        """
        self._wait(lambda: len(self.requests) >= count, f"{count} requests")

    def _wait(self, what: Any, name: str) -> None:
        with self._news:
            if not self._news.wait_for(what, WAIT_SECONDS):
                raise TimeoutError(f"no {name}; there were {len(self.requests)} requests")

    # --- for the handler ---------------------------------------------------------------------

    def next_reply(self, request: ModelRequest) -> Scripted:
        """Take the request down, and the reply to it off its script."""
        with self._news:
            self.requests.append(request)
            self._news.notify_all()
            key = self._conversation(request)
            script = self._scripts[key]
            if callable(script):
                return script(request)
            if script:
                return script.pop(0)
            problem = f"the script {key!r} has no reply left"
            self.overruns.append(problem)
            return ApiError(400, problem)

    def hold(self, client: socket.socket) -> bool:
        """Wait for a release; False where the model was closed or the client went away."""
        until = time.monotonic() + WAIT_SECONDS
        with self._news:
            self._holding += 1
            self._news.notify_all()
            while not (self._released or self._closed or _gone(client)):
                if time.monotonic() > until:
                    break
                self._news.wait(_LOOK_SECONDS)
            self._holding -= 1
            if self._closed or not self._released:
                return False
            self._released -= 1
            return True

    def _conversation(self, request: ModelRequest) -> str:
        keys = [key for key in self._scripts if key]
        for text in reversed(request.texts()):
            for key in keys:
                if key in text:
                    return key
        return ""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    model: ScriptedModel

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no error of the server's."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_HEAD(self) -> None:
        """The CLI asks whether anybody is there."""
        self._send(200, b"")

    def do_GET(self) -> None:
        """The models that there are, or one of them; nothing else is to be got here."""
        models = self.server.model.models
        if not self._is_allowed():
            self._send_error(_UNAUTHORIZED)
        elif isinstance(models, ApiError):
            self._send_error(models)
        elif (found := catalogue.answer(self.path, models)) is None:
            self._send_error(ApiError(404))
        else:
            self._send(200, json.dumps(found).encode())

    def do_POST(self) -> None:
        """A message, or the count of a request's tokens."""
        length = int(self.headers.get("content-length", 0))
        body = json.loads(self.rfile.read(length) or b"{}")
        path = self.path.partition("?")[0]
        if not self._is_allowed():
            self._send_error(_UNAUTHORIZED)
        elif path == "/v1/messages/count_tokens":
            self._send(200, json.dumps({"input_tokens": len(json.dumps(body)) // 4}).encode())
        elif path == "/v1/messages":
            self._answer(body)
        else:
            self._send_error(ApiError(404))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the requests are kept."""

    def _is_allowed(self) -> bool:
        key = self.server.model.key
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        return not key or key in (self.headers.get("x-api-key"), bearer)

    def _answer(self, body: dict[str, Any]) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.model.next_reply(ModelRequest(body, headers))
        if isinstance(reply, ApiError):
            self._send_error(reply)
        elif body.get("stream"):
            self._stream(reply, model=str(body.get("model")))
        else:
            message = wire.whole(reply, model=str(body.get("model")))
            self._send(200, json.dumps(message).encode())

    def _stream(self, reply: Reply, *, model: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("request-id", "req_scripted")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        with contextlib.suppress(ConnectionError, TimeoutError):
            if self._stream_events(reply, model):
                self.wfile.write(b"0\r\n\r\n")
                return
        self.close_connection = True

    def _stream_events(self, reply: Reply, model: str) -> bool:
        """Stream to the end; False where the connection is cut before it."""
        deltas = 0
        for event in wire.events(reply, model=model):
            if event["type"] == wire.DELTA:
                if deltas == reply.cut_after:
                    self._cut()
                    return False
                if deltas == reply.hold_after and not self.server.model.hold(self.connection):
                    return False
                deltas += 1
                if reply.delta_seconds:
                    time.sleep(reply.delta_seconds)
            self._chunk(wire.encode(event))
        return True

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _cut(self) -> None:
        """Reset the connection, as a proxy that dies does."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()

    def _send_error(self, error: ApiError) -> None:
        self._send(error.status, json.dumps(wire.error(error)).encode(), error.headers)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _script(given: Script) -> list[Scripted] | Callable[[ModelRequest], Scripted]:
    return given if callable(given) else list(given)


def _gone(client: socket.socket) -> bool:
    try:
        readable, _, _ = select.select([client], [], [], 0)
        return bool(readable) and client.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True


def _blocks(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content if isinstance(block, dict)]


def _texts(content: Any) -> list[str]:
    return [str(block["text"]) for block in _blocks(content) if block.get("type") == "text"]
