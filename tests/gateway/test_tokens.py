"""Roles, tokens and principals."""

from __future__ import annotations

import itertools

import pytest

from runner_shell.gateway.sqlite import SqliteStore
from runner_shell.gateway.tokens import (
    Action,
    Principal,
    Role,
    StoreAuthenticator,
    action_of,
    allowed,
    hash_token,
    issue,
)
from runner_shell.protocol.catalogue import COMMANDS

RIGHTS = {
    Role.RUNNER: {Action.RUN},
    Role.VIEWER: {Action.READ},
    Role.OPERATOR: {Action.READ, Action.OPERATE},
    Role.APPROVER: {Action.READ, Action.OPERATE, Action.APPROVE},
    Role.ADMIN: {Action.READ, Action.OPERATE, Action.APPROVE, Action.CREATE},
}


@pytest.mark.parametrize(("role", "action"), list(itertools.product(Role, Action)))
def test_each_role_has_its_rights_and_no_others(role: Role, action: Action) -> None:
    """Every pair of role and action is as written here, in the token's own session."""
    principal = Principal(name="n", role=role, tenant="t", session="mine")
    assert allowed(principal, action, "mine") is (action in RIGHTS[role])


@pytest.mark.parametrize(("role", "action"), list(itertools.product(Role, Action)))
def test_a_bound_token_has_no_rights_elsewhere(role: Role, action: Action) -> None:
    """A token bound to a session may do nothing in another one, nor what concerns them all."""
    principal = Principal(name="n", role=role, tenant="t", session="mine")
    assert not allowed(principal, action, "other")
    assert not allowed(principal, action)


@pytest.mark.parametrize("action", list(Action))
def test_a_runner_without_a_session_may_do_nothing(action: Action) -> None:
    """A runner is never a runner of every session."""
    principal = Principal(name="n", role=Role.RUNNER, tenant="t")
    assert not allowed(principal, action, "s")
    assert not allowed(principal, action)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.RUNNER])
def test_an_unbound_token_is_good_for_every_session(role: Role) -> None:
    """Without a session in it, a token's rights hold in all of its tenant's."""
    principal = Principal(name="n", role=role, tenant="t")
    assert {action for action in Action if allowed(principal, action, "any")} == RIGHTS[role]


def test_only_what_cannot_widen_rights_is_operation() -> None:
    """Answers, settings, an adapter's extras and unknown commands need an approver."""
    operations = {kind for kind in COMMANDS if action_of(kind) is Action.OPERATE}
    assert operations == {"turn.start", "turn.interrupt", "session.end", "session.stop"}
    assert action_of("secret.add") is Action.OPERATE
    assert action_of("something.new") is Action.APPROVE


def test_a_token_is_stored_as_its_hash_only() -> None:
    """The record holds the digest, never the token; two tokens are never the same."""
    token, record = issue(Role.VIEWER, "t")
    assert record.hash == hash_token(token)
    assert token not in repr(record)
    assert token != issue(Role.VIEWER, "t")[0]


def test_a_runner_token_needs_a_session() -> None:
    """Issuing one for no session is refused."""
    with pytest.raises(ValueError, match="session"):
        issue(Role.RUNNER, "t")


async def test_the_store_tells_who_holds_a_token() -> None:
    """A stored token stands for its principal, any other string for nobody."""
    async with SqliteStore(":memory:") as store:
        token, record = issue(Role.OPERATOR, "t", "s", name="bob")
        await store.put_token(record)
        known = StoreAuthenticator(store)
        expected = Principal(name="bob", role=Role.OPERATOR, tenant="t", session="s")
        assert await known.authenticate(token) == expected
        assert await known.authenticate(token + "x") is None
        assert await known.authenticate(record.hash) is None


async def test_an_extra_token_lives_only_in_memory() -> None:
    """A token given to the authenticator is good there, and is not in the store."""
    async with SqliteStore(":memory:") as store:
        token, record = issue(Role.ADMIN, "t")
        with_it = StoreAuthenticator(store, extra=[record])
        assert await with_it.authenticate(token) == record.principal()
        assert await StoreAuthenticator(store).authenticate(token) is None
