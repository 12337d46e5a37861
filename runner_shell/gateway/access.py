"""Who may do what, and how much of it at once."""

from __future__ import annotations

from .errors import ForbiddenError, InvalidInputError
from .tokens import Action, Principal, allowed

MAX_PAGE = 1000
"""What a page of anything has at most."""


def demand(principal: Principal, action: Action, session_id: str | None = None) -> None:
    """See that the principal may do this, in this session where one is named.

    Raises:
        ForbiddenError: It may not.
    """
    if not allowed(principal, action, session_id):
        where = "" if session_id is None else f" in session {session_id!r}"
        raise ForbiddenError(f"a {principal.role.value} token may not {action.value}{where}")


def page_size(limit: int) -> int:
    """How many a page has where this many were asked for."""
    return max(1, min(limit, MAX_PAGE))


def request_cursor(after: str) -> tuple[str, int]:
    """Session and number of the last request of the page before; the lowest for an empty one.

    Raises:
        InvalidInputError: It is no cursor of an earlier page.
    """
    session, colon, seq = after.rpartition(":")
    if not after:
        return "", 0
    if not (colon and seq.isascii() and seq.isdigit() and len(seq) <= 18):
        raise InvalidInputError("`after` is the `next` of an earlier page")
    return session, int(seq)
