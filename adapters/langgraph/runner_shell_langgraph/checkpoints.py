"""Where a graph's thread is kept, and what may be read back from there.

A graph's own checkpointer wins; one without gets SQLite in the runner's private state directory,
or what `CHECKPOINTER` says.

Only the types that the graph's schemas name, and those that LangGraph holds to be harmless, are
built when a checkpoint is read: whoever can write into the database must not run code here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.event_hooks import SerdeEvent, register_serde_event_listener
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.pregel import Pregel
from pydantic import SecretStr

from runner_shell import ConfigurationError

from .schema_types import named_types, types_of
from .settings import LangGraphSettings

FILE = "checkpoints.sqlite"

Saver = BaseCheckpointSaver[Any]


def serializer(
    settings: LangGraphSettings, graph: Pregel[Any, Any, Any, Any]
) -> SerializerProtocol:
    """What writes and reads checkpoints: strict, and encrypting where there is a key.

    Raises:
        ConfigurationError: The key has the wrong length or its library is missing; a type is
            written wrongly.
    """
    allowed = types_of(graph) | named_types(settings.langgraph_checkpoint_types)
    strict = JsonPlusSerializer(allowed_msgpack_modules=sorted(allowed))
    if settings.langgraph_aes_key is None:
        return strict
    return _encrypting(strict, settings.langgraph_aes_key)


async def open_durable(
    settings: LangGraphSettings, serde: SerializerProtocol, directory: Path, stack: AsyncExitStack
) -> Saver:
    """Open the database that `CHECKPOINTER` names.

    Args:
        settings: Which, and where.
        serde: What writes and reads.
        directory: The runner's private directory, for SQLite.
        stack: Closes it.

    Raises:
        ConfigurationError: The database cannot be opened, or its library is missing.
    """
    if settings.checkpointer == "postgres":
        return await _postgres(settings.checkpointer_url, serde, stack)
    return await _sqlite(directory / FILE, serde, stack)


async def _sqlite(file: Path, serde: SerializerProtocol, stack: AsyncExitStack) -> Saver:
    import aiosqlite
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = await stack.enter_async_context(aiosqlite.connect(file))
        saver = AsyncSqliteSaver(connection, serde=serde)
        await saver.setup()
    except (sqlite3.Error, OSError) as error:
        raise ConfigurationError(
            f"the checkpoints in {file} cannot be opened: {error}; is RUNNER_STATE_DIR writable?"
        ) from error
    return saver


async def _postgres(
    url: SecretStr | None, serde: SerializerProtocol, stack: AsyncExitStack
) -> Saver:
    if url is None:
        raise ConfigurationError(
            "CHECKPOINTER=postgres needs CHECKPOINTER_URL, such as postgresql://host/database"
        )
    try:
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
        from psycopg import Error
    except ImportError as error:
        raise ConfigurationError(
            "CHECKPOINTER=postgres needs the extra: pip install runner-shell-langgraph[postgres]"
        ) from error
    opening = AsyncPostgresSaver.from_conn_string(url.get_secret_value(), serde=serde)
    try:
        saver = await stack.enter_async_context(opening)
        await saver.setup()
    except Error as error:  # its text names host and database, never the password
        raise ConfigurationError(f"CHECKPOINTER_URL: {str(error).strip()}") from error
    return saver


def _encrypting(strict: JsonPlusSerializer, key: SecretStr) -> EncryptedSerializer:
    secret = key.get_secret_value().encode()
    if len(secret) not in (16, 24, 32):
        raise ConfigurationError(
            f"LANGGRAPH_AES_KEY must be 16, 24 or 32 bytes long, it has {len(secret)}"
        )
    try:
        return EncryptedSerializer.from_pycryptodome_aes(strict, key=secret)
    except ImportError as error:
        raise ConfigurationError(
            "LANGGRAPH_AES_KEY needs the extra: pip install runner-shell-langgraph[encryption]"
        ) from error


def watch_blocked(tell: Callable[[str], None]) -> Callable[[], None]:
    """Call with each type that a checkpoint held and that was not built; returns how to stop."""

    def listen(event: SerdeEvent) -> None:
        if event["kind"].endswith("_blocked"):
            tell(f"{event['module']}:{event['name']}")

    return register_serde_event_listener(listen)
