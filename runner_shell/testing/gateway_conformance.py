"""The fault-free part of the protocol, played against any gateway at a URL.

For gateways in any language: each rule is one sentence of the protocol, dialled and tried.

```python
findings = await check_gateway("https://gateway.example", admin_token)
```

It needs `POST /sessions`, `DELETE /sessions/{id}`, `GET /sessions/{id}/events` and
`POST /sessions/{id}/commands` of the REST API, and deletes every session that it made.

Source: docs/reference/protocol.md.
"""

from __future__ import annotations

import asyncio

import httpx
from websockets.exceptions import WebSocketException

from ..errors import ConfigurationError
from .gateway_peer import BrokenRule, Peer
from .gateway_rules import RULES, Rule
from .order import Finding

__all__ = ["RULES", "Finding", "Rule", "check_gateway"]

SECONDS = 30.0
AT_A_TIME = 4


async def check_gateway(
    url: str, token: str, *, seconds: float = SECONDS, rules: tuple[str, ...] = ()
) -> list[Finding]:
    """Try every rule, each in a session of its own.

    Args:
        url: The gateway's base URL.
        token: Of an admin.
        seconds: How long anything may take before it counts as not done.
        rules: Only these; all unless given.

    Returns:
        A finding for each broken rule; none from a gateway that conforms.

    Raises:
        ConfigurationError: The gateway cannot be reached, or there is no such rule.
    """
    if unknown := set(rules) - RULES.keys():
        raise ConfigurationError(f"there is no rule {', '.join(sorted(unknown))}")
    await _demand_reachable(url)
    gate = asyncio.Semaphore(AT_A_TIME)

    async def tried(rule: Rule) -> Finding | None:
        async with gate:
            return await _tried(rule, url, token, seconds)

    chosen = [rule for name, rule in RULES.items() if not rules or name in rules]
    found = await asyncio.gather(*map(tried, chosen))
    return [finding for finding in found if finding is not None]


async def _tried(rule: Rule, url: str, token: str, seconds: float) -> Finding | None:
    try:
        async with Peer(url, token, seconds) as peer:
            await rule.play(peer)
    except BrokenRule as broken:
        happened = str(broken)
    except (httpx.HTTPError, WebSocketException, OSError, TimeoutError, LookupError) as error:
        happened = f"{type(error).__name__}: {error}"
    else:
        return None
    return Finding(rule=rule.name, contract=rule.must, happened=happened, fix=rule.fix)


async def _demand_reachable(url: str) -> None:
    try:
        async with httpx.AsyncClient(timeout=SECONDS) as client:
            await client.get(url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ConfigurationError(
            f"the gateway {url} cannot be reached: {str(error) or type(error).__name__}"
        ) from error
