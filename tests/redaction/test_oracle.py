"""Measured from outside: an independent pack of rules, and clean text."""

from __future__ import annotations

import warnings
from pathlib import Path

import oracle
import pytest
import realistic
from bench import redaction_corpus
from expressions import beginnings, value_of

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_what_an_independent_pack_finds_beyond_ours_is_listed_by_its_kind() -> None:
    """In the documentation, each in its section; run `make docs-gaps` when rules change.

    What begins like a token of ours was looked at: a token as it is issued stands in `realistic`,
    or the beginning is known to be another vendor's as well.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # its expressions are Rust's
        _, missed = oracle.compare()
    listed = (DOCS / "reference/redaction-gaps.md").read_text("utf-8").splitlines()
    assert {gap.id for gap in missed if oracle.row(gap) not in listed} == set()
    unseen = {gap.id for gap in missed if gap.kind == "unknown" and gap.alike}
    assert unseen <= realistic.OTHERS


@pytest.mark.parametrize("id", realistic.TOKENS)
def test_where_ours_asks_more_a_token_as_it_is_issued_is_found(id: str) -> None:
    """To its end, so that a gap of this kind is none in practice."""
    token = realistic.TOKENS[id].strip()
    assert oracle.found_by(token)
    assert token[-8:] not in oracle.REDACTOR.text(f"value = {token} \n")


@pytest.mark.parametrize(
    ("pattern", "begins"),
    [
        (r"\b(lip_[A-Za-z0-9_]{16,60})", ["lip_"]),
        (
            r"\b((?:sk|rk)_(?:test|live)_[a-z]{9})\b",
            ["sk_test_", "sk_live_", "rk_test_", "rk_live_"],
        ),
        (r"xox[os]-\d+", ["xoxo-", "xoxs-"]),
        (r"(?i)-----BEGIN[ A-Z]{0,100}KEY-----\d", ["-----BEGIN"]),
        (r"(?i)(?:acme)(?:[ \t\w.-]{0,20})(?:=|:)['\"]{0,5}(ac-[a-z0-9]{20})(?:;|$)", ["ac-"]),
        (r"(?i)(?:acme)(?:[ \t\w.-]{0,20})(?:=|:)['\"]{0,5}([a-z0-9]{20})(?:;|$)", [""]),
        (r"(?:^|[^a-z])(\$aact_(?:prod|hmlg)_[a-z]{9})", ["$aact_prod_", "$aact_hmlg_"]),
        (r"\b([A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk)", [""]),
    ],
)
def test_what_a_value_begins_with_is_read_from_the_expression(
    pattern: str, begins: list[str]
) -> None:
    """Not the vendor's name before it, and not what is behind a part that varies."""
    assert sorted(beginnings(value_of(pattern))) == sorted(begins)


def test_clean_text_stays() -> None:
    """At most one false secret a megabyte of sources; by formats alone a tenth of that.

    All of it, for a part's count would go by which files a machine's paths put into it.
    """
    found = redaction_corpus.scan()
    assert found.megabytes > 2
    assert found.per_megabyte <= 1, found.where
    assert found.formats_per_megabyte <= 0.1, found.where
