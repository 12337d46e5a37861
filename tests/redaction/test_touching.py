"""Secrets with no character between them: each is found as if the others were placeholders."""

from __future__ import annotations

import pytest

from runner_shell.redaction import Redactor, Rule, SecretRegistry
from runner_shell.redaction.rules import DEFAULT_RULES

KNOWN = "q7w8e9r0t1y2u3i4o5p6"
SHORT = "hq3x7z"  # six characters: redacted as a whole word only
GOOGLE = "AIza" + "aB3-" * 8 + "cD-"  # ends in no letter, so that another key may follow

CLOSED = [
    pytest.param(rule.placeholder, next(iter(rule.examples)), id=rule.name)
    for rule in DEFAULT_RULES
    if rule.closed
]


def redactor() -> Redactor:
    return Redactor(SecretRegistry({"KNOWN": KNOWN, "SHORT": SHORT}))


def however_cut(text: str) -> str:
    """What comes out, which is the same for every cut in two and for single characters."""
    made = redactor()
    whole = made.text(text)
    for cut in range(len(text) + 1):
        stream = made.stream()
        assert stream.feed(text[:cut]) + stream.feed(text[cut:]) + stream.finish() == whole
    stream = made.stream()
    assert "".join(map(stream.feed, text)) + stream.finish() == whole
    assert made.text(whole) == whole
    return whole


@pytest.mark.parametrize(("placeholder", "example"), CLOSED)
def test_a_key_ends_where_a_known_secret_begins(placeholder: str, example: str) -> None:
    """Of every format that a letter behind it undoes."""
    assert however_cut(f"{example}{KNOWN} end").endswith(f"{placeholder}[REDACTED:KNOWN] end")


@pytest.mark.parametrize(("placeholder", "example"), CLOSED)
def test_a_key_that_a_letter_follows_is_a_longer_word(placeholder: str, example: str) -> None:
    """A known secret further behind does not change that."""
    assert placeholder not in however_cut(f"{example}Zz {KNOWN}")
    assert placeholder not in however_cut(f"{example}Zz{KNOWN[:9]} end")


def test_a_key_of_several_lengths_ends_there_too() -> None:
    """Where less than the longest is needed, and where it would go on through the secret."""
    key = "LTAI5tBcDeFgHiJk"
    assert however_cut(key + KNOWN) == "[REDACTED:ALIBABA_ACCESS_KEY_ID][REDACTED:KNOWN]"
    made = Redactor(SecretRegistry({"DIGITS": "8264-90317-5520"}))
    assert made.text("dapi" + "3f9a0c7e" * 4 + "-8264-90317-5520x") == (
        "[REDACTED:DATABRICKS_TOKEN][REDACTED:DIGITS]x"
    )


def test_a_short_value_ends_where_a_known_secret_begins() -> None:
    """It is no longer word either."""
    assert however_cut(f"a {SHORT}{KNOWN}") == "a [REDACTED:SHORT][REDACTED:KNOWN]"
    assert however_cut(f"a {SHORT}{KNOWN[:-1]}, b") == f"a {SHORT}{KNOWN[:-1]}, b"


def test_a_key_ends_where_the_text_breaks_off_in_a_known_secret() -> None:
    """Half of it is enough, as everywhere at a text's end; less is not."""
    key = "AKIAABCDEFGHIJKLMNOP"
    assert however_cut(key + KNOWN[:10]) == "[REDACTED:AWS_ACCESS_KEY_ID][REDACTED:KNOWN]"
    assert however_cut(key + KNOWN[:9]) == key + KNOWN[:9]


def test_a_chain_of_keys_is_found_from_its_beginning() -> None:
    """Each ends where the next one's beginning stands; nobody looks further ahead than that."""
    made = redactor()
    stream = made.stream()
    shown, most = "", 0
    for character in GOOGLE * 3_000:
        shown += stream.feed(character)
        most = max(most, stream.held)
    assert shown + stream.finish() == "[REDACTED:GOOGLE_API_KEY]" * 3_000
    assert most <= len(GOOGLE) + len("AIza")


def test_a_key_is_held_no_longer_than_the_secret_behind_it_may_be() -> None:
    """The key and the longest that is known."""
    made, key = redactor(), "AKIAABCDEFGHIJKLMNOP"
    longest = max(len(one.text) for layer in made.layers() for one in layer.patterns)
    stream, most = made.stream(), 0
    for character in (key + KNOWN[:-1]) * 200:
        stream.feed(character)
        most = max(most, stream.held)
    assert len(key) + len(KNOWN) - 2 <= most < len(key) + longest


def test_a_secret_that_begins_further_behind_does_not_count_before_it_does() -> None:
    """What stands between a rule's anchor and its password is judged by what stands before it."""
    made = Redactor(SecretRegistry({"HOST": "https://ab", "SHORT": "user12"}))
    whole = made.text("https://abuser12:passw0rd@x")
    assert whole == "[REDACTED:HOST][REDACTED:SHORT]:[REDACTED:URL_PASSWORD]@x"
    assert made.text(whole) == whole
    stream = made.stream()
    assert "".join(map(stream.feed, "https://abuser12:passw0rd@x")) + stream.finish() == whole


PAIR = Rule(
    name="pair",
    vendor="Acme",
    anchors=("id=",),
    then=r"[A-Z]{20}(?P<secret>[a-z0-9]{20})",
    source="https://acme.example/keys",
    examples=("id=ABCDEFGHIJKLMNOPQRSTq7w8e9r0t1y2u3i4o5p6",),
)


def test_a_key_ends_where_the_part_of_a_match_begins_that_is_redacted() -> None:
    """That becomes a placeholder as well."""
    made = Redactor(SecretRegistry(), (*DEFAULT_RULES, PAIR))
    whole = made.text(f"id=AKIAABCDEFGHIJKLMNOPz9{KNOWN[2:]} end")
    assert whole == "id=[REDACTED:AWS_ACCESS_KEY_ID][REDACTED:PAIR] end"
    assert made.text(whole) == whole


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"git clone https://{KNOWN}@h/x", "git clone https://[REDACTED:KNOWN]@h/x"),
        (f"https://ghp_{'aB3x' * 9}@h/x", "https://[REDACTED:GITHUB_TOKEN]@h/x"),
        (
            "Cookie: a=abcdefghijklmnopqrstuvwx;zxcvbnmasdf",
            "Cookie: a=abcdefghijklmnopqrstuvwx;[REDACTED:S3]",
        ),
    ],
)
def test_no_rule_takes_a_placeholder_for_what_it_looks_for(text: str, expected: str) -> None:
    """Neither its colon for a URL's, nor its digit for a token's."""
    made = Redactor(SecretRegistry({"KNOWN": KNOWN, "S3": "zxcvbnmasdf"}))
    assert made.text(text) == expected
    assert made.text(expected) == expected
