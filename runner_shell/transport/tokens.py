"""When a token is worth reading again: what a JWT says of its own end. Pure.

Nothing is verified here, that is the gateway's to do; and nothing of a token is ever logged.

Source: RFC 7519, section 4.1.4, "exp".
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode

import msgspec

MARGIN_SECONDS = 60.0
"""How long before its end a token is looked for anew; kubelets replace theirs at 80 % of it."""

MARGIN_SHARE = 0.2
"""Of what is left of a token's life, where that is less."""


class _Claims(msgspec.Struct):
    exp: float | None = None


_claims = msgspec.json.Decoder(_Claims)


def expires_at(token: str) -> float | None:
    """When a JWT ends, in seconds since 1970; None where it does not say, or is no JWT."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        end = _claims.decode(claims).exp
    except (binascii.Error, ValueError, RecursionError, msgspec.DecodeError):
        return None
    return end if end is not None and 0 < end < 1e12 else None


def seconds_until_renewal(expires: float, now: float) -> float:
    """How long to go on with a token before a newer one is looked for; never negative."""
    left = max(0.0, expires - now)
    return left - min(MARGIN_SECONDS, left * MARGIN_SHARE)
