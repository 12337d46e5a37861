"""What a backend, a script or a person talks to a gateway with, typed and asynchronous.

```python
async with GatewayClient("https://gateway.example", token) as gateway:
    created = await gateway.create_session(metadata={"team": "search"})
    session = gateway.session(created.id)
    await session.start_turn("Summarise the open incidents.")
    async for event in session.follow():
        ...
```

Rooms: `gateway` (`GatewayClient`), `session` (`SessionClient`), `follow` (live events through a
gateway's restarts), `http` (requests and their errors), `sse` (the event stream's syntax, pure),
`model` (what answers hold). httpx is imported with the first request.
"""

from __future__ import annotations

from ..errors import CommandRefused, RequestRefused, SessionLost
from .gateway import GatewayClient
from .model import (
    CommandReceipt,
    CommandState,
    CreatedSession,
    OpenRequest,
    ReceivedEvent,
    SessionInfo,
    WhoAmI,
)
from .session import SessionClient

__all__ = [
    "CommandReceipt",
    "CommandRefused",
    "CommandState",
    "CreatedSession",
    "GatewayClient",
    "OpenRequest",
    "ReceivedEvent",
    "RequestRefused",
    "SessionClient",
    "SessionInfo",
    "SessionLost",
    "WhoAmI",
]
