"""Secrets by the names they are kept under."""

from __future__ import annotations

import json

import pytest

from runner_shell.redaction.sources import environment_secrets, file_secrets


@pytest.mark.parametrize(
    "name",
    ["TOKEN", "BOT_TOKEN", "ANTHROPIC_API_KEY", "DB_PASSWORD", "PGPASSWORD", "client_secret",
     "GOOGLE_CREDENTIALS", "GITHUB_PAT", "SSH_PASSPHRASE", "github_token", "CLIENT_SECRET",
     "DB_PASSWD", "AWS_CREDENTIALS", "AZURE_PAT"],
)  # fmt: skip
def test_a_variable_s_name_says_that_it_is_secret(name: str) -> None:
    """Whatever its case."""
    assert environment_secrets({name: "value"}) == [(name, "value")]


@pytest.mark.parametrize("name", ["PATH", "KEYBOARD", "TOKENIZER", "SSH_PUBLIC_KEY", "AUTHOR"])
def test_other_variables_are_no_secrets(name: str) -> None:
    """Nor are blank values."""
    assert environment_secrets({name: "value", "A_TOKEN": " "}) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BOT_TOKEN_FILE", "/run/secrets/token"),
        ("DATABASE_URL", "postgres://localhost/name"),
        ("DATABASE_URL", "postgres://postgres@localhost/name"),
        ("DOCS_URL", "https://example.org/a:password@b"),
    ],
)
def test_what_only_looks_like_a_secret_is_none(name: str, value: str) -> None:
    """Paths of secrets, and addresses without a password."""
    assert environment_secrets({name: value}) == []


@pytest.mark.parametrize("name", ["MONGO_URI", "SENTRY_DSN", "HTTP_PROXY"])
def test_every_kind_of_address_gives_its_password(name: str) -> None:
    """Up to the last `@` of the authority."""
    found = environment_secrets({name: "https://user:p@ssword@host:80/path?q=a@b"})
    assert found == [(name, "p@ssword")]


def test_more_names_can_be_told() -> None:
    """By patterns, whatever their case; their values are secrets as a whole."""
    environment = {"ACME_LICENSE": "one", "acme_url": "https://u:p@h", "OTHER": "two"}
    assert environment_secrets(environment, ["acme_*"]) == [
        ("ACME_LICENSE", "one"),
        ("acme_url", "https://u:p@h"),
    ]


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
