"""Secrets by the names they are kept under."""

from __future__ import annotations

import json

import pytest

from runner_shell.redaction.sources import environment_secrets, file_secrets


@pytest.mark.parametrize(
    "name",
    ["TOKEN", "BOT_TOKEN", "ANTHROPIC_API_KEY", "DB_PASSWORD", "PGPASSWORD", "client_secret",
     "GOOGLE_CREDENTIALS", "GITHUB_PAT", "SSH_PASSPHRASE"],
)  # fmt: skip
def test_a_variable_s_name_says_that_it_is_secret(name: str) -> None:
    """Whatever its case."""
    assert environment_secrets({name: "value"}) == [(name, "value")]


@pytest.mark.parametrize("name", ["PATH", "KEYBOARD", "TOKENIZER", "SSH_PUBLIC_KEY", "AUTHOR"])
def test_other_variables_are_no_secrets(name: str) -> None:
    """Nor are blank values."""
    assert environment_secrets({name: "value", "A_TOKEN": " "}) == []


def test_a_list_of_tokens_gives_each() -> None:
    """With its index."""
    assert environment_secrets({"API_TOKENS": "one, two"}) == [
        ("API_TOKENS[0]", "one"),
        ("API_TOKENS[1]", "two"),
    ]


def test_an_address_gives_its_password() -> None:
    """As it stands, and decoded."""
    assert environment_secrets({"DATABASE_URL": "postgres://u:p%40ss@h/db?x=@", "A_URL": "x"}) == [
        ("DATABASE_URL", "p%40ss"),
        ("DATABASE_URL[decoded]", "p@ss"),
    ]


def test_a_mounted_file_is_a_secret_as_a_whole() -> None:
    """By its name."""
    assert file_secrets({"/run/secrets/bot-token": "value\n", "/run/secrets/empty": "\n"}) == [
        ("BOT_TOKEN", "value")
    ]


def test_a_mounted_object_gives_what_its_keys_say() -> None:
    """At any depth; a service account's private key, and not its project."""
    account = {"project_id": "p", "private_key": "k", "auth": {"client_secret": "c"}}
    assert file_secrets({"sa.json": json.dumps(account)}) == [
        ("SA_JSON_PRIVATE_KEY", "k"),
        ("SA_JSON_CLIENT_SECRET", "c"),
    ]
    assert file_secrets({"odd.json": "{no object"}) == [("ODD_JSON", "{no object")]


def test_a_mounted_list_of_variables_gives_those_that_are_secret() -> None:
    """Quotes, comments and `export` are no part of them."""
    text = "# ours\nexport A_TOKEN='one'\nLEVEL=debug\n\nB_SECRET=two\n"
    assert file_secrets({".env": text}) == [("A_TOKEN", "one"), ("B_SECRET", "two")]
