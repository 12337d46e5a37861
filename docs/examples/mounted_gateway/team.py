"""What a team brings to the gateway: who holds a token, and how much they may keep."""

from __future__ import annotations

from runner_shell.gateway.app import Gateway
from runner_shell.gateway.quotas import Quotas
from runner_shell.gateway.store import Store
from runner_shell.gateway.tokens import Principal, Role, StaticTokens, StoreAuthenticator

BACKEND = Principal(name="backend", role=Role.ADMIN, tenant="team")


class TeamAccounts:
    """An `Authenticator`: the team's own accounts first, then the runners' tokens in the store."""

    def __init__(self, accounts: StaticTokens, runners: StoreAuthenticator) -> None:
        self._accounts = accounts
        self._runners = runners

    async def authenticate(self, token: str) -> Principal | None:
        """Who holds the token. Verify an OIDC token or ask TokenReview here."""
        return await self._accounts.authenticate(token) or await self._runners.authenticate(token)


def gateway_over(store: Store, admin_token: str) -> Gateway:
    """The gateway as the team runs it; enter it in your lifespan, behind the store."""
    accounts = StaticTokens({admin_token: BACKEND})
    return Gateway(
        store=store,
        authenticator=TeamAccounts(accounts, StoreAuthenticator(store)),
        quotas=Quotas(tenant_sessions=1000, session_bytes=100 * 1024 * 1024),
        allowed_hosts=["127.0.0.1", "agents.example"],
    )
