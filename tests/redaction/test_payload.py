"""Values: keys too, at any depth; below sensitive keys everything; ids by known secrets only."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner_shell.errors import ConfigurationError
from runner_shell.protocol.events import JSON
from runner_shell.redaction import Redactor, SecretRegistry
from runner_shell.redaction.keys import is_sensitive

SECRET = "q7w8e9r0t1"
TOKEN = "ghp_" + "aB3x" * 9

trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(f"a{SECRET}b"),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(st.text(max_size=4) | st.just(SECRET), below, max_size=3)
    ),
)


def redactor(*off: str) -> Redactor:
    return Redactor(
        SecretRegistry({"THE_SECRET": SECRET, "NUMBER": "314159265358", "MY_PIN": "1234"}), off=off
    )


@given(trees)
def test_no_secret_is_left_anywhere_in_a_value(tree: JSON) -> None:
    """And a value without one keeps its shape."""
    shown = json.dumps(redactor().payload(tree))
    assert SECRET not in shown
    if SECRET not in json.dumps(tree):
        assert json.loads(shown) == tree


names = st.lists(
    st.sampled_from(["pass", "word", "_token", "MY_PIN", "#2", "a", SECRET, TOKEN, "1234"]),
    min_size=1,
    max_size=4,
).map("".join)


@given(
    st.recursive(
        names | st.sampled_from([None, True, 1234, 314159265358, ""]),
        lambda below: st.lists(below, max_size=3) | st.dictionaries(names, below, max_size=4),
    )
)
def test_a_second_time_changes_no_value(tree: JSON) -> None:
    """Whatever its keys are made of: secrets, sensitive words and names of secrets."""
    made = redactor()
    once = made.payload(tree)
    assert made.payload(once) == once


def test_keys_that_become_alike_keep_their_values() -> None:
    """They are told apart by a number."""
    value: JSON = {f"x{SECRET}": 1, "x[REDACTED:THE_SECRET]": 2, f"x{SECRET}#2": 3}
    assert list(redactor().payload(value).values()) == [1, 2, 3]


def test_below_a_sensitive_key_everything_is_replaced() -> None:
    """Texts, numbers and lists of them; objects are walked; nothing, yes and no stay."""
    value: JSON = {
        "db_password": "anything",
        "apiKey": [12, "x", {"name": "kept", "token": "y"}],
        "client-secret": None,
        "has_password": True,
        "Authorization": "",
    }
    assert redactor().payload(value) == {
        "db_password": "[REDACTED:DB_PASSWORD]",
        "apiKey": [
            "[REDACTED:APIKEY]",
            "[REDACTED:APIKEY]",
            {"name": "kept", "token": "[REDACTED:TOKEN]"},
        ],
        "client-secret": None,
        "has_password": True,
        "Authorization": "",
    }  # fmt: skip


def test_below_a_secret_s_name_everything_is_replaced() -> None:
    """Also where its value is too short to be found anywhere else."""
    assert redactor().payload({"myPin": 1234, "other": 1234}) == {
        "myPin": "[REDACTED:MYPIN]",
        "other": 1234,
    }


def test_a_key_that_was_harmless_can_become_a_secret_s_name() -> None:
    """What is remembered of keys is forgotten when a secret is added, one by one or prepared."""
    made = redactor()
    value: JSON = {"payload": {"session": "s-1", "region": "x"}}
    assert made.payload(value) == value == made.payload(value)
    made.registry.add("REGION", "eu-private-7")
    assert made.payload(value) == {"payload": {"session": "s-1", "region": "[REDACTED:REGION]"}}
    made.admit(made.prepare([("SESSION", "s-private-8")])[0])
    assert made.payload(value) == {
        "payload": {"session": "[REDACTED:SESSION]", "region": "[REDACTED:REGION]"}
    }


def test_a_remembered_key_is_told_apart_too() -> None:
    """A key that stays as it is does not overwrite one that was redacted to the same."""
    made = redactor()
    made.payload({"[REDACTED:THE_SECRET]": 1})
    value: JSON = {SECRET: 1, "[REDACTED:THE_SECRET]": 2}
    assert list(made.payload(value).values()) == [1, 2]


def test_a_number_is_compared_as_text() -> None:
    """A known secret may be one."""
    assert redactor().payload([314159265358, 7]) == ["[REDACTED:NUMBER]", 7]


def test_a_number_that_was_prepared_is_one_too() -> None:
    """However a secret becomes known."""
    made = Redactor(SecretRegistry())
    assert made.payload([271828182845]) == [271828182845]
    made.admit(made.prepare([("NUMBER", "271828182845")])[0])
    assert made.payload([271828182845]) == ["[REDACTED:NUMBER]"]


@pytest.mark.parametrize(
    ("key", "sensitive"),
    [
        ("password", True), ("dbPassword", True), ("GITHUB_TOKEN", True), ("x-api-key", True),
        ("accessToken", True), ("client_secret", True), ("max_tokens", False), ("tokens", False),
        ("next_page_token", False), ("tokenizer", False), ("key", False), ("author", False),
        ("secretary", False), ("monkey", False),
    ],
)  # fmt: skip
def test_which_keys_are_sensitive(key: str, sensitive: bool) -> None:
    """Spelling does not matter; counts of tokens and marks of pages are none."""
    assert is_sensitive(key) is sensitive


# --- ids, and what is switched off ---------------------------------------------------------------


def test_an_id_is_redacted_by_known_secrets_only() -> None:
    """A rule could make two ids alike."""
    assert redactor().identifier(f"{TOKEN} {SECRET}") == f"{TOKEN} [REDACTED:THE_SECRET]"


def test_a_rule_can_be_off_by_name() -> None:
    """Known secrets never are."""
    made = redactor("github-token", "sensitive-key")
    assert made.text(f"{TOKEN} {SECRET}") == f"{TOKEN} [REDACTED:THE_SECRET]"
    assert made.payload({"token": "abc", "password": SECRET}) == {
        "token": "abc",
        "password": "[REDACTED:THE_SECRET]",
    }


def test_rules_can_be_off_by_path() -> None:
    """Below it, and only there; in streams too."""
    made = redactor("tool.finished.output", "custom.data.*.token")
    assert made.payload({"output": [TOKEN, SECRET], "input": TOKEN}, "tool.finished") == {
        "output": [TOKEN, "[REDACTED:THE_SECRET]"],
        "input": "[REDACTED:GITHUB_TOKEN]",
    }
    assert made.payload({"a": {"token": "x"}, "token": "x"}, "custom.data") == {
        "a": {"token": "x"},
        "token": "[REDACTED:TOKEN]",
    }
    stream = made.stream("tool.finished.output")
    assert stream.feed(f"{TOKEN} {SECRET}.") + stream.finish() == f"{TOKEN} [REDACTED:THE_SECRET]."


def test_switching_off_what_there_is_not_is_an_error() -> None:
    """A misspelled name would leave the rule on, unnoticed."""
    with pytest.raises(ConfigurationError, match="no redaction rule is called 'github-tokn'"):
        redactor("github-tokn")


# --- the last look -------------------------------------------------------------------------------


def test_the_backstop_finds_a_known_secret_in_a_frame() -> None:
    """In any form; and nothing in a frame that passed the redactor."""
    made = redactor()
    value: JSON = {"text": f"see {SECRET}", SECRET: json.dumps([SECRET])}
    assert made.backstop(json.dumps(value).encode()) == "[REDACTED:THE_SECRET]"
    assert made.backstop(SECRET.encode().hex().encode()) == "[REDACTED:THE_SECRET]"
    assert made.backstop(json.dumps(made.payload(value)).encode()) == ""
    assert made.backstop(b"\xff\xfe") == ""
