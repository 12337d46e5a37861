"""Which values are looked for, how far, in which forms, and what they are called."""

from __future__ import annotations

import html
import json
from base64 import b32encode, b64encode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner_shell.redaction import Reach, Redactor, SecretRegistry
from runner_shell.redaction.reach import reach_of

SECRET = "q7\"w8\\e9/r0 <t1>&'z+ü%"

values = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=8).filter(
    lambda text: reach_of(text) is Reach.EVERYWHERE
)


def redactor(value: str, name: str = "S") -> Redactor:
    return Redactor(SecretRegistry({name: value}), ())


def code_units(text: str) -> list[int]:
    """UTF-16."""
    raw = text.encode("utf-16-be")
    return [int.from_bytes(raw[at : at + 2]) for at in range(0, len(raw), 2)]


def dotnet(value: str) -> str:
    """What .NET's encoder makes of it: ASCII, and upper case."""
    unsafe = "\"<>&'+`"
    return "".join(
        "\\" * 2 if char == "\\"
        else {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char)
        or (
            "".join(f"\\u{unit:04X}" for unit in code_units(char))
            if char in unsafe or not " " <= char <= "~"
            else char
        )
        for char in value
    )  # fmt: skip


FORMS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "JSON": lambda s: json.dumps(s)[1:-1],
    "JSON, not escaped": lambda s: json.dumps(s, ensure_ascii=False)[1:-1],
    "JSON in JSON": lambda s: json.dumps(json.dumps(s))[3:-3],
    "JSON in JSON in JSON": lambda s: json.dumps(json.dumps(json.dumps(s)))[7:-7],
    "JSON with escaped slashes": lambda s: json.dumps(s)[1:-1].replace("/", "\\/"),
    "JSON of Go": lambda s: (
        json.dumps(s)[1:-1].replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    ),
    "JSON of .NET": dotnet,
    "JSON, not escaped, in JSON": lambda s: json.dumps(json.dumps(s, ensure_ascii=False))[3:-3],
    "JSON of .NET in JSON": lambda s: json.dumps(dotnet(s))[1:-1],
    "repr": lambda s: repr(s)[1:-1],
    "shell": lambda s: s.replace("'", "'\"'\"'"),
    "percent": lambda s: quote(s, safe=""),
    "percent, slashes kept": quote,
    "percent, plus": quote_plus,
    "percent, every byte": lambda s: "".join(f"%{byte:02x}" for byte in s.encode()),
    "percent, twice": lambda s: quote(quote(s, safe=""), safe=""),
    "HTML": html.escape,
    "hexadecimal": lambda s: s.encode().hex(),
    "hexadecimal, upper": lambda s: s.encode().hex().upper(),
    "hexadecimal with colons": lambda s: s.encode().hex(":"),
    "bytes": lambda s: "".join(f"\\x{byte:02x}" for byte in s.encode()),
    "code units": lambda s: "".join(f"\\u{unit:04x}" for unit in code_units(s)),
    "Base32": lambda s: b32encode(s.encode()).decode().rstrip("="),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_found_in_every_form(form: str) -> None:
    """With all the characters that somebody escapes, and among other text."""
    written = FORMS[form](SECRET)
    assert redactor(SECRET).text(f"a{written}b") == "a[REDACTED:S]b"


@given(values, st.sampled_from(sorted(FORMS)))
def test_any_secret_is_found_in_every_form(value: str, form: str) -> None:
    """Whatever its characters are; all of Unicode's letters, digits and signs."""
    written = FORMS[form](value)
    assert written not in redactor(value).text(f"[{written}]")


@given(values, st.binary(max_size=7), st.binary(max_size=7), st.booleans())
def test_base64_is_found_whatever_surrounds_it(
    value: str, before: bytes, behind: bytes, url_safe: bool
) -> None:
    """The characters that depend on the secret alone do not show: at any alignment, and twice."""
    encode = urlsafe_b64encode if url_safe else b64encode
    made = redactor(value)
    for raw in (value.encode(), value.encode("utf-16-le")):
        start, end = -(-8 * len(before) // 6), 8 * (len(before) + len(raw)) // 6
        written = encode(before + raw + behind).decode()
        assert written[start:end] not in made.text(written)
    start, end = -(-8 * len(before) // 6), 8 * (len(before) + len(value.encode())) // 6
    twice = b64encode(b64encode(before + value.encode() + behind)).decode()
    assert twice[-(-8 * start // 6) : 8 * end // 6] not in made.text(twice)


@pytest.mark.parametrize(
    ("form", "found"),
    [("raw", True), ("JSON in JSON", True), ("Base64", True), ("hexadecimal", False)],
)
def test_of_a_large_value_fewer_forms_are_looked_for(form: str, found: bool) -> None:
    """Beyond 16 KB: as it is, escaped, and in Base64; the others would cost too much memory."""
    value = SECRET + "".join(f"{number:04}." for number in range(3500))
    write = {**FORMS, "Base64": lambda s: b64encode(s.encode()).decode()}[form]
    assert (redactor(value).text(write(value)) != write(value)) is found


def test_a_secret_of_several_lines_is_found_line_by_line() -> None:
    """With either line ending, and each longer line alone; what every key has is left."""
    lines = ["-----BEGIN X-----", "q7w8e9r0t1y2u3i4", "a5s6d7f8g9h0j1k2", "}", "-----END X-----"]
    made = redactor("\n".join(lines))
    assert made.text("\n".join(lines)) == "[REDACTED:S]"
    assert made.text("\r\n".join(lines)) == "[REDACTED:S]"
    assert made.text("> a5s6d7f8g9h0j1k2") == "> [REDACTED:S]"
    assert made.text("-----BEGIN X----- }") == "-----BEGIN X----- }"


def test_white_space_around_a_secret_is_no_part_of_it() -> None:
    """Files end in a newline."""
    assert redactor("abcdefgh\n").text("abcdefgh abcdefgh\n") == "[REDACTED:S] [REDACTED:S]\n"


# --- short values --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "reach"),
    [
        ("abcdefgh", Reach.EVERYWHERE),
        ("31415926", Reach.EVERYWHERE),
        ("abcdefg", Reach.WHOLE_WORD),
        ("3141592", Reach.BESIDE_NAME),
        ("abcde", Reach.BESIDE_NAME),
        ("Password123", Reach.BESIDE_NAME),
        ("--------", Reach.BESIDE_NAME),
        ("  \n", Reach.IGNORED),
        ("REDACTED", Reach.IGNORED),
        ("ED:SECRET", Reach.IGNORED),
        ("Withheld", Reach.BESIDE_NAME),
    ],
)
def test_how_far_a_value_is_looked_for(value: str, reach: Reach) -> None:
    """Short and ordinary values would shred every text; who adds one is told, without the value."""
    admission = SecretRegistry().add("MY_PIN", value)
    assert admission.reach is reach
    assert ("MY_PIN" in admission.warning) is (reach is not Reach.EVERYWHERE)
    assert not value.strip() or value not in admission.warning


def test_a_secret_called_test_does_not_shred_the_transcript() -> None:
    """It is found beside its name, however that is spelled, and nowhere else."""
    made = redactor("test", "DB_PASSWORD")
    text = "pytest runs the test in tests/test_x.py"
    assert made.text(text) == text
    for written in (
        "DB_PASSWORD=test", 'db_password: "test"', '{"dbPassword":"test"}', "db-password = 'test'",
    ):  # fmt: skip
        assert made.text(written) == written.replace("test", "[REDACTED:DB_PASSWORD]")
    assert made.text("DB_PASSWORD=tester") == "DB_PASSWORD=tester"


def test_a_value_of_seven_characters_is_a_whole_word() -> None:
    """Not the part of a longer one, however the text is cut."""
    made = redactor("q7w8e9r")
    text = "q7w8e9r, xq7w8e9r q7w8e9rx (q7w8e9r)"
    expected = "[REDACTED:S], xq7w8e9r q7w8e9rx ([REDACTED:S])"
    assert made.text(text) == expected
    stream = made.stream()
    assert "".join(map(stream.feed, text)) + stream.finish() == expected


# --- names ---------------------------------------------------------------------------------------


def test_names_are_made_fit_for_a_placeholder() -> None:
    """Anything but letters, digits and `_` is replaced."""
    assert redactor("abcdefgh", "my secret/1").text("abcdefgh") == "[REDACTED:my_secret_1]"


def test_no_placeholder_shows_a_value() -> None:
    """A value that is a rule's name, a key's, or a part of one: theirs say `SECRET`."""
    registry = SecretRegistry({"NAME": "GITHUB_TOKEN"})
    made = Redactor(registry)
    shown = made.text(f"see ghp_{'aB3x' * 9}, sk-ant-api03-{'aB3x' * 20}")
    assert shown == "see [REDACTED:SECRET], [REDACTED:ANTHROPIC_KEY]"
    sealed = made.payload({"github_token": "abc"})
    assert sealed == {"github_token": "[REDACTED:SECRET]"}
    assert made.text(shown) == shown
    assert made.payload(sealed) == sealed
    registry.add("LATE", "ED:ANTHROPIC")
    assert made.text(f"sk-ant-api03-{'aB3x' * 20}") == "[REDACTED:SECRET]"


def test_a_placeholder_never_holds_a_secret() -> None:
    """A name that holds a value is not shown; not even that of one that is added later."""
    registry = SecretRegistry({"token_q7w8e9r0t1": "q7w8e9r0t1"})
    made = Redactor(registry)
    assert made.text("q7w8e9r0t1") == "[REDACTED:SECRET]"
    registry.add("OTHER_zxcvbnm1", "other-value-1")
    assert made.text("other-value-1") == "[REDACTED:OTHER_zxcvbnm1]"
    registry.add("LATE", "zxcvbnm1")
    assert made.text("other-value-1 zxcvbnm1") == "[REDACTED:SECRET] [REDACTED:LATE]"


def test_a_prepared_name_never_holds_a_secret_that_is_known_already() -> None:
    """Where it is prepared nobody knows what else is secret."""
    made = Redactor(SecretRegistry({"S": "q7w8e9r0t1"}))
    made.admit(made.prepare([("X_q7w8e9r0t1", "another-secret-1")])[0])
    assert made.text("another-secret-1 q7w8e9r0t1") == "[REDACTED:SECRET] [REDACTED:S]"


def test_a_value_that_is_another_s_name_and_value_is_found_anywhere() -> None:
    """Not only where the short one would be, as a whole word, with its beginning shown."""
    made = Redactor(SecretRegistry({"PIN": "1234", "CONNECTION": "PIN=1234"}))
    assert made.text("xPIN=1234y") == "x[REDACTED:CONNECTION]y"
    assert made.text("PIN: 1234") == "PIN: [REDACTED:PIN]"


def test_known_beats_rule_and_longer_beats_shorter() -> None:
    """Where secrets overlap one placeholder stands for all of it."""
    token = "ghp_" + "aB3x" * 9
    made = Redactor(SecretRegistry({"SHORT": "B3xaB3xa", "MINE": token}))
    assert made.text(token + "aa.") == "[REDACTED:MINE]."
    made = Redactor(SecretRegistry({"ONE": "abcdefgh", "TWO": "efghijklmn"}), ())
    assert made.text("xabcdefghijklmnx") == "x[REDACTED:TWO]x"
