"""Measured from outside: an independent pack of rules, and clean text."""

from __future__ import annotations

import warnings
from pathlib import Path

import oracle
from bench import redaction_corpus

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_what_an_independent_pack_finds_beyond_ours_is_listed() -> None:
    """In the documentation, by name; run `make docs-gaps` when rules change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # its expressions are Rust's
        _, missed = oracle.compare()
    listed = (DOCS / "reference/redaction-gaps.md").read_text("utf-8")
    assert {name for name in missed if f"`{name.partition('.')[2]}`" not in listed} == set()


def test_clean_text_stays() -> None:
    """At most one false secret a megabyte of sources; by formats alone a tenth of that.

    All of it, for a part's count would go by which files a machine's paths put into it.
    """
    found = redaction_corpus.scan()
    assert found.megabytes > 2
    assert found.per_megabyte <= 1, found.where
    assert found.formats_per_megabyte <= 0.1, found.where
