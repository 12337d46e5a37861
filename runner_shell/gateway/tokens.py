"""Who may do what: roles, tokens, principals.

A token is a random string that is shown once; stored is its SHA-256. It has 256 random bits, so a
plain digest cannot be searched, and no salt or slow hash is needed.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from .store import Store


class Role(StrEnum):
    """What a token is for; each of them is a row in the table of actions."""

    RUNNER = "runner"
    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


class Action(StrEnum):
    """What can be asked of the gateway.

    Attributes:
        RUN: Emit a session's events and take its commands.
        READ: See sessions, their events, commands and state.
        OPERATE: Begin, interrupt and end work.
        APPROVE: Answer requests, and change what a runner is allowed to do.
        CREATE: Create and delete sessions, and make tokens for them.
    """

    RUN = "run"
    READ = "read"
    OPERATE = "operate"
    APPROVE = "approve"
    CREATE = "create"


ACTIONS: dict[Role, frozenset[Action]] = {
    Role.RUNNER: frozenset({Action.RUN}),
    Role.VIEWER: frozenset({Action.READ}),
    Role.OPERATOR: frozenset({Action.READ, Action.OPERATE}),
    Role.APPROVER: frozenset({Action.READ, Action.OPERATE, Action.APPROVE}),
    Role.ADMIN: frozenset({Action.READ, Action.OPERATE, Action.APPROVE, Action.CREATE}),
}
"""The one table of rights. A runner's token takes part in a session, and can ask for nothing."""

_OPERATIONS = frozenset(
    {"turn.start", "turn.interrupt", "session.end", "session.stop", "secret.add"}
)


class Principal(Struct, frozen=True, kw_only=True):
    """Whom a token was found to belong to.

    Attributes:
        name: Goes into `by` of commands and answers.
        role: What it may do.
        tenant: Whose rows it may do it to.
        session: The one session it may do it in, or None for all of the tenant's.
    """

    name: str
    role: Role
    tenant: str
    session: str | None = None


class TokenRecord(Struct, frozen=True, kw_only=True):
    """What is stored of a token.

    Attributes:
        hash: Its SHA-256, in hex.
        role: Its role.
        tenant: Its tenant.
        session: The one session it is good for, or None.
        name: The name of the principal who holds it.
    """

    hash: str
    role: Role
    tenant: str
    session: str | None
    name: str

    def principal(self) -> Principal:
        """Whom it stands for."""
        return Principal(name=self.name, role=self.role, tenant=self.tenant, session=self.session)


class Authenticator(Protocol):
    """Tells who holds a token; a team brings its own to use its own accounts."""

    async def authenticate(self, token: str) -> Principal | None:
        """The principal, or None for a token that is not good (any more)."""


class StaticTokens:
    """Knows the tokens that it is given, by their hashes; the tokens themselves are not kept.

    Args:
        principals: Whom each token stands for.
    """

    def __init__(self, principals: Mapping[str, Principal]) -> None:
        self._by_hash = {hash_token(token): found for token, found in principals.items()}

    async def authenticate(self, token: str) -> Principal | None:
        """See `Authenticator.authenticate`."""
        digest = hash_token(token)
        # Every one is compared, so that time tells nothing of which was right.
        matching = [
            found for known, found in self._by_hash.items() if hmac.compare_digest(known, digest)
        ]
        return matching[0] if matching else None


class StoreAuthenticator:
    """Knows the tokens whose hashes are in the store.

    Args:
        store: Where they are.
        extra: More of them, which live only as long as this object.
    """

    def __init__(self, store: Store, extra: Iterable[TokenRecord] = ()) -> None:
        self._store = store
        self._extra = tuple(extra)

    async def authenticate(self, token: str) -> Principal | None:
        """See `Authenticator.authenticate`."""
        digest = hash_token(token)
        # Every one is compared, so that time tells nothing of which was right.
        matching = [row for row in self._extra if hmac.compare_digest(row.hash, digest)]
        record = matching[0] if matching else await self._store.find_token(digest)
        if record is None or not hmac.compare_digest(record.hash, digest):
            return None
        return record.principal()


def issue(
    role: Role, tenant: str, session: str | None = None, *, name: str = ""
) -> tuple[str, TokenRecord]:
    """Make a token, and the record to store; the token itself is nowhere else.

    Args:
        role: What it is for.
        tenant: Whose it is.
        session: The one session it is good for; a runner's must have one.
        name: The name of its holder; without one it is made of role and session.

    Raises:
        ValueError: A runner's token without a session.
    """
    if role is Role.RUNNER and session is None:
        raise ValueError("a runner's token is good for one session: name it")
    token = f"rs_{secrets.token_urlsafe(32)}"
    holder = name or (f"{role.value}:{session}" if session else role.value)
    record = TokenRecord(
        hash=hash_token(token), role=role, tenant=tenant, session=session, name=holder
    )
    return token, record


def hash_token(token: str) -> str:
    """The digest under which a token is stored."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def action_of(command_type: str) -> Action:
    """The action that submitting a command of this type is.

    What could widen a runner's rights (answers, settings, an adapter's extras, whatever is not
    known yet) is approval; only what is known to be harmless in this respect is operation.
    """
    return Action.OPERATE if command_type in _OPERATIONS else Action.APPROVE


def allowed(principal: Principal, action: Action, session: str | None = None) -> bool:
    """Whether the principal may do this in its own tenant.

    Args:
        principal: Who asks.
        action: What for.
        session: In which session; None for what concerns no single one, which a token that is bound
            to a session never may.
    """
    if action not in ACTIONS[principal.role]:
        return False
    if principal.session is None:
        return principal.role is not Role.RUNNER
    return session == principal.session
