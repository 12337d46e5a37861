"""The AsyncAPI 3.0 document of the link, as the runner sees it.

Self-contained: its schemas are the same as those of the JSON Schema files, in `components`. Never
imported on the start path.
"""

from __future__ import annotations

from . import catalogue, docstrings, frames
from .schema import FRAMES, Definitions, Schema, definition_name

ADDRESS = "/sessions/{session}/runner"
"""Where a runner dials, below the gateway's base URL."""

DESCRIPTION = (
    "A runner serves one session and dials the gateway; events go up and commands come down, both "
    "numbered and acknowledged. The operations are the runner's: a gateway receives what it sends. "
    "protocol.md says what the frames mean. Generated, do not edit."
)


def document() -> Schema:
    """The whole document."""
    definitions = Definitions("#/components/schemas/")
    messages = {name: _message(name, frame, definitions) for name, frame in FRAMES.items()}
    definitions.all["Event"] = definitions.any_event()
    definitions.all["Command"] = definitions.any_command()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "runner-shell",
            "version": frames.SUBPROTOCOL.rpartition(".v")[2],
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {"runner": _channel()},
        "operations": {
            "runnerSends": _operation("send", catalogue.RUNNER_FRAMES),
            "runnerReceives": _operation("receive", catalogue.GATEWAY_FRAMES),
        },
        "components": {"messages": messages, "schemas": definitions.all},
    }


def _message(name: str, frame: type[frames.Frame], definitions: Definitions) -> Schema:
    return {
        "name": name,
        "title": definition_name(frame),
        "summary": docstrings.summary(frame),
        "contentType": "application/json",
        "payload": definitions.struct(frame),
    }


def _channel() -> Schema:
    headers = {
        "type": "object",
        "properties": {
            "Authorization": {
                "type": "string",
                "description": "`Bearer` and a token with the role `runner`.",
            },
            "Sec-WebSocket-Protocol": {
                "const": frames.SUBPROTOCOL,
                "description": "The protocol's version.",
            },
        },
        "required": ["Authorization", "Sec-WebSocket-Protocol"],
    }
    return {
        "address": ADDRESS,
        "title": "The link of one session",
        "description": f"A WebSocket of text frames, subprotocol `{frames.SUBPROTOCOL}`.",
        "parameters": {"session": {"description": "Id of the session."}},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in FRAMES},
        "bindings": {"ws": {"method": "GET", "headers": headers, "bindingVersion": "0.1.0"}},
    }


def _operation(action: str, table: dict[str, type[frames.Frame]]) -> Schema:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/runner"},
        "summary": f"What a runner {action}s.",
        "messages": [{"$ref": f"#/channels/runner/messages/{name}"} for name in table],
    }
