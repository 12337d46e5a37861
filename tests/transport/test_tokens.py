"""When a token ends, by what it says itself."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner_shell.transport import tokens


def jwt(**claims: Any) -> str:
    """A token with these claims; nobody has signed it."""
    parts = [{"alg": "none"}, claims]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    return b".".join([*encoded, b"c2lnbmF0dXJl"]).decode()


def test_a_jwt_says_when_it_ends() -> None:
    """`exp` counts, whatever else the token claims."""
    assert tokens.expires_at(jwt(exp=1_900_000_000, sub="runner", aud=["a"])) == 1_900_000_000
    assert tokens.expires_at(jwt(exp=1_900_000_000.5)) == 1_900_000_000.5


@pytest.mark.parametrize(
    "token",
    [
        "an-opaque-token",
        "a.b",
        "a.!.c",
        "a.bm90IGpzb24.c",
        "a.W10.c",
        jwt(sub="runner"),
        jwt(exp="tomorrow"),
        jwt(exp=None),
        jwt(exp=-5),
        jwt(exp=1e300),
        "",
    ],
)
def test_any_other_token_never_ends(token: str) -> None:
    """A token that is no JWT, or does not say when it ends, is no error."""
    assert tokens.expires_at(token) is None


@given(st.text())
def test_no_token_is_an_error(token: str) -> None:
    """Whatever stands in a token file, looking for its end raises nothing."""
    tokens.expires_at(token)


@pytest.mark.parametrize(
    ("left", "wait"), [(3600, 3540), (300, 240), (100, 80), (10, 8), (0, 0), (-50, 0)]
)
def test_it_is_looked_for_shortly_before(left: float, wait: float) -> None:
    """A minute before its end, or at four fifths of what is left of a short life; never late."""
    assert tokens.seconds_until_renewal(1000.0 + left, 1000.0) == pytest.approx(wait)
