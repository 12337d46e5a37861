"""A user's message as content blocks of the API: text, images, PDFs, files."""

from __future__ import annotations

import base64
import binascii
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner_shell import AgentFailed, UserMessage, events

IMAGES = frozenset({"image/gif", "image/jpeg", "image/png", "image/webp"})
MAX_ATTACHMENT_BYTES = 32 * 1024 * 1024

Blocks = list[dict[str, Any]]


def content(message: UserMessage, workspace: Path) -> str | Blocks:
    """What the CLI is sent for a message.

    An attachment is `{"path"}`, a file of the workspace, or `{"data"}` in Base64 or `{"text"}`,
    each with `media_type` and `name` where they are known. Blocks of the message go as they are;
    `{"type": "file"}` and `{"type": "image"}` may have the form of an attachment.

    Raises:
        AgentFailed: An attachment cannot be read, or is none (`invalid_input`).
    """
    blocks = _blocks(message.content, workspace)
    blocks += [_attachment(one, workspace) for one in message.attachments]
    if len(blocks) == 1 and blocks[0].get("type") == "text":
        return str(blocks[0]["text"])
    if not blocks:
        raise _invalid("the message is empty")
    return blocks


def _blocks(given: events.JSON, workspace: Path) -> Blocks:
    if isinstance(given, str):
        return [_text(given)] if given else []
    if isinstance(given, list):
        return [_block(part, workspace) for part in given]
    raise _invalid("a message's content is a string or a list of blocks")


def _block(part: events.JSON, workspace: Path) -> dict[str, Any]:
    match part:
        case str():
            return _text(part)
        case {"type": "file" | "image" | "document"} if "source" not in part:
            return _attachment(part, workspace)
        case {"type": str()}:
            return dict(part)
        case _:
            raise _invalid("a content block is a string or an object with a type")


def _attachment(given: events.JSON, workspace: Path) -> dict[str, Any]:
    match given:
        case {"text": str(text)}:
            return _document({"type": "text", "media_type": "text/plain", "data": text}, given)
        case {"data": str(data)}:
            return _binary(_decoded(data), given)
        case {"path": str(path)}:
            file = _file(path, workspace)
            return _binary(file.read_bytes(), {"name": file.name, **given})
        case _:
            raise _invalid("an attachment has a path, data or text")


def _binary(data: bytes, given: Mapping[str, Any]) -> dict[str, Any]:
    if len(data) > MAX_ATTACHMENT_BYTES:
        raise _invalid(f"{_name(given)} has more than {MAX_ATTACHMENT_BYTES} bytes")
    media_type = str(given.get("media_type") or mimetypes.guess_type(_name(given))[0] or "")
    encoded = {"type": "base64", "media_type": media_type, "data": base64.b64encode(data).decode()}
    if media_type in IMAGES:
        return {"type": "image", "source": encoded}
    if media_type == "application/pdf":
        return _document(encoded, given)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise _invalid(
            f"{_name(given)} is neither an image, a PDF nor text: put it into the workspace"
        ) from None
    return _document({"type": "text", "media_type": "text/plain", "data": text}, given)


def _document(source: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "document", "source": source, "title": _name(given)}


def _file(path: str, workspace: Path) -> Path:
    root = workspace.resolve()
    file = (root / path).resolve()
    if not file.is_relative_to(root):
        raise _invalid(f"the attachment {path!r} lies outside of the workspace")
    if not file.is_file():
        raise _invalid(f"the attachment {path!r} is no file of the workspace")
    return file


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        raise _invalid("an attachment's data is not Base64") from None


def _name(given: Mapping[str, Any]) -> str:
    return str(given.get("name") or "attachment")


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _invalid(message: str) -> AgentFailed:
    return AgentFailed(message, code="invalid_input")
