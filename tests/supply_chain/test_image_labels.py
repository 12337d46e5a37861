"""An image's labels."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner_shell.errors import ConfigurationError
from runner_shell.images.labels import Facts, labels, problems, read

from .support import FACTS

TEXT = st.text("abc/.:@-0123", max_size=20)


def test_what_a_claude_image_says() -> None:
    """Every fact has the label that OCI's specification names, or one of ours."""
    assert labels(replace(FACTS, cli="2.1.332", python="3.13.5", source="https://example.org")) == {
        "org.opencontainers.image.base.digest": f"sha256:{'b' * 64}",
        "org.opencontainers.image.base.name": "docker.io/library/python:3.13-slim",
        "org.opencontainers.image.created": "2025-12-01T00:00:00Z",
        "org.opencontainers.image.description": "runner-shell with Claude Code",
        "org.opencontainers.image.licenses": "Apache-2.0 AND LicenseRef-Claude-Code",
        "org.opencontainers.image.revision": "a" * 40,
        "org.opencontainers.image.source": "https://example.org",
        "org.opencontainers.image.title": "runner-shell/claude",
        "org.opencontainers.image.version": "0.1.0",
        "runner-shell.adapter": "runner-shell-claude 0.1.0",
        "runner-shell.cli": "2.1.332",
        "runner-shell.framework": "claude-agent-sdk 0.2.189",
        "runner-shell.python": "3.13.5",
    }


def test_what_is_not_known_is_not_said() -> None:
    """A fact that is missing gives no label, rather than an empty one."""
    assert labels(Facts(image="base", version="1", created=0)) == {
        "org.opencontainers.image.created": "1970-01-01T00:00:00Z",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.title": "runner-shell/base",
        "org.opencontainers.image.version": "1",
    }


def test_the_vendor_s_terms_are_named_where_the_sdk_is() -> None:
    """The SDK alone, whose CLI's version is not known before the build, names the terms too."""
    assert labels(FACTS)["org.opencontainers.image.licenses"].endswith("LicenseRef-Claude-Code")


@given(
    st.builds(
        Facts,
        image=TEXT,
        version=TEXT,
        created=st.integers(0, 4_000_000_000),
        description=TEXT,
        revision=TEXT,
        source=TEXT,
        base_name=TEXT,
        base_digest=TEXT,
        adapter=TEXT,
        framework=TEXT,
        cli=TEXT,
        python=TEXT,
    )
)
def test_labels_tell_the_facts_again(facts: Facts) -> None:
    """Reading what was written gives the same facts, whatever they are."""
    assert read(labels(facts)) == facts


def test_an_image_without_a_time_is_told() -> None:
    """Labels that say no time of the build cannot be read, and that is said."""
    with pytest.raises(ConfigurationError, match="created is no time: ''"):
        read({})


def test_good_labels_have_no_problem() -> None:
    """What `labels` makes is in order, and equal to itself."""
    assert problems(labels(FACTS), labels(FACTS)) == []
    assert problems(labels(replace(FACTS, revision="a" * 40 + "-dirty"))) == []


def test_every_problem_is_told() -> None:
    """Missing, malformed and differing labels are told one by one."""
    found = labels(FACTS) | {
        "org.opencontainers.image.created": "yesterday",
        "org.opencontainers.image.base.digest": "latest",
        "org.opencontainers.image.revision": "main",
    }
    del found["org.opencontainers.image.version"]
    said = problems(found, {"runner-shell.adapter": "another 1"})
    assert [line.split(" is ")[0] for line in said] == [
        "org.opencontainers.image.version",
        "org.opencontainers.image.created",
        "org.opencontainers.image.base.digest",
        "org.opencontainers.image.revision",
        "runner-shell.adapter",
    ]
