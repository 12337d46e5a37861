"""The forms in which a secret turns up: escaped, quoted, encoded, within an encoded text.

Source: docs/explanation/redaction.md, "Forms".
"""

from __future__ import annotations

import html
import json
import re
from base64 import b32encode, b64encode
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote, quote_plus

MINIMUM_FORM = 6
"""A shorter form would be found by chance."""

MINIMUM_LINE = 16
"""A shorter line of a secret of several lines is not looked for by itself."""

ENCODED_LIMIT = 16_384
"""A longer value is looked for as it is, in JSON and in Base64 only, to bound memory."""

_JSON_DEPTHS = 3
_PAD = b"\0" * 6

_UPPER = [f"{byte:02X}" for byte in range(256)]
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def forms(value: str) -> list[str]:
    """Every form of a value, each once, the value itself first.

    Args:
        value: At least eight characters, without white space around them.
    """
    texts = [value, *_lines(value)]
    found: dict[str, None] = {}
    for text in texts:
        for form in _forms(text):
            if len(form) >= MINIMUM_FORM:
                found[form] = None
    return list(found)


def _lines(value: str) -> Iterator[str]:
    """What of a value of several lines is a secret by itself, and its other line endings."""
    lines = value.splitlines()
    if len(lines) < 2:
        return
    yield "\n".join(lines)
    yield "\r\n".join(lines)
    for line in lines:
        stripped = line.strip()
        if len(stripped) >= MINIMUM_LINE and not stripped.startswith("-----"):
            yield stripped


def _forms(text: str) -> Iterator[str]:
    yield text
    yield from _escaped(text)
    raw = text.encode()
    yield from _base64(raw)
    if len(text) <= ENCODED_LIMIT:
        yield from _percent(text, raw)
        yield from _hexadecimal(text, raw)
        yield b32encode(raw).decode().rstrip("=")
        yield from _wide(text)
        for shift in range(3):
            yield from _base64(_core(b64encode, raw, shift))


def _escaped(text: str) -> Iterator[str]:
    """JSON at every depth, `repr`, shells, HTML; most values have none of their characters."""
    if text.isascii() and text.isalnum():
        return
    yield from _json(text)
    yield repr(text)[1:-1]
    yield text.replace("\\", "\\\\").replace("'", "\\'")
    yield text.replace("'", "'\"'\"'")
    yield text.replace("'", "'\\''")
    yield "".join(char if char.isalnum() or char in "@%+=:,./-_" else "\\" + char for char in text)
    yield "".join("\\" + char if char in '\\"$`!' else char for char in text)
    yield html.escape(text)
    yield html.escape(text).replace("&#x27;", "&#39;")
    yield html.escape(text).replace("&#x27;", "&apos;")
    yield html.escape(text, quote=False)


def _json(text: str) -> Iterator[str]:
    """At each depth in every style, as who encodes a text again may be another one's encoder."""
    layer = [text]
    for _ in range(_JSON_DEPTHS):
        layer = list(dict.fromkeys([style(inner) for inner in layer for style in _JSON_STYLES]))
        yield from layer


_encode = json.JSONEncoder().encode
_encode_wide = json.JSONEncoder(ensure_ascii=False).encode
_LOWER_NUMBER = re.compile(r"\\u[0-9a-f]{4}")


def _ascii(part: str) -> str:
    return _encode(part)[1:-1]


def _utf8(part: str) -> str:
    return _encode_wide(part)[1:-1]


def _numbered(characters: str, number: str) -> dict[int, str]:
    """A translation of characters into `\\u` and their number, as inside of HTML."""
    return {ord(char): f"\\u{ord(char):{number}}" for char in characters}


_GO = _numbered("<>&", "04x")
_DOTNET = _numbered("<>&'+`", "04X")


def _dotnet(part: str) -> str:
    """As .NET's encoder writes it, which leaves little as it is."""
    plain = _ascii(part).replace('\\"', "\\u0022")
    if "\\u" in plain:
        plain = _LOWER_NUMBER.sub(lambda found: "\\u" + found[0][2:].upper(), plain)
    return plain.translate(_DOTNET)


_JSON_STYLES: tuple[Callable[[str], str], ...] = (
    _utf8,
    _ascii,
    lambda part: _ascii(part).replace("/", "\\/"),
    lambda part: _ascii(part).translate(_GO),
    _dotnet,
)


def _percent(text: str, raw: bytes) -> Iterator[str]:
    every = "".join([f"%{pair}" for pair in map(_UPPER.__getitem__, raw)])
    yield every
    yield every.lower()
    yield every.replace("%", "%25")
    if all(byte in _UNRESERVED for byte in raw):
        return
    for reserved in (quote(text, safe=""), quote(text), quote_plus(text)):
        yield reserved
        yield _lower_escapes(reserved)
        yield reserved.replace("%", "%25")


def _lower_escapes(text: str) -> str:
    first, *others = text.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in others)])


def _hexadecimal(text: str, raw: bytes) -> Iterator[str]:
    for plain in (raw.hex(), *(raw.hex(separator) for separator in ":- ")):
        yield plain
        yield plain.upper()
    escaped = "\\x" + raw.hex("x").replace("x", "\\x")
    yield escaped
    yield "\\x" + escaped[2:].upper().replace("\\X", "\\x")
    wide = text.encode("utf-16-be").hex("x", 2)
    yield "\\u" + wide.replace("x", "\\u")
    yield "\\u" + wide.upper().replace("X", "\\u")


def _wide(text: str) -> Iterator[str]:
    """UTF-16LE: read as if it had one byte for a character, and in Base64."""
    wide = text.encode("utf-16-le")
    if text.isascii():
        yield wide.decode("ascii")[:-1]
        yield json.dumps(wide.decode("ascii")[:-1])[1:-1]
    yield from _base64(wide)


def _base64(raw: bytes) -> Iterator[str]:
    """What is the same in the Base64 of any text that this is a part of, at each alignment."""
    for shift in range(3):
        core = _core(b64encode, raw, shift).decode()
        yield core
        if "+" in core or "/" in core:
            yield core.replace("+", "-").replace("/", "_")


def _core(encode: Callable[[bytes], bytes], raw: bytes, shift: int) -> bytes:
    """The characters that depend on `raw` alone, with `shift` bytes before it in its group."""
    first, last = -(-8 * shift // 6), 8 * (shift + len(raw)) // 6
    return encode(_PAD[:shift] + raw + _PAD)[first:last]


def beside_name(name: str, value: str) -> Iterable[tuple[str, int]]:
    """The texts in which a name stands before a value, with the length of what stands before it."""
    spellings = {
        spelling
        for base in (name, name.replace("_", "-"), name.replace("_", ""), _camel(name))
        for spelling in (base, base.lower(), base.upper())
    }
    for spelling in sorted(spellings):
        for between in _BETWEEN:
            yield spelling + between + value, len(spelling) + len(between)


_BETWEEN = (
    "=", '="', "='", " = ", ' = "', " = '", ":", ": ", ': "', ": '", '": "', '":"', "': '", '": ',
    '":', "': ", '\\": \\"', '\\":\\"', "=\\\"", " ", " is ",
)  # fmt: skip


def _camel(name: str) -> str:
    first, *others = name.lower().split("_")
    return first + "".join(part.title() for part in others)
