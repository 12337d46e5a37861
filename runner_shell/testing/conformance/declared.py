"""What an adapter says of itself, without a session: name, capabilities, settings, entry point."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...adapter import discovery
from ...adapter.contract import Adapter, Capabilities
from ...adapter.settings import AdapterSettings
from ...errors import ConfigurationError
from ...protocol.catalogue import COMMANDS, RESERVED_COMMANDS
from ..order import Finding
from .findings import wrong_capabilities

_NAME = re.compile(r"[a-z][a-z0-9_-]*")


def check_name(adapter: Any) -> list[Finding]:  # not what the types say, if it is wrong
    """`name` is a lower-case word."""
    name = getattr(adapter, "name", None)
    if isinstance(name, str) and _NAME.fullmatch(name):
        return []
    return [
        Finding(
            rule="name",
            contract="`name` is a lower-case word of letters, digits, `-` and `_`",
            happened=f"it is {name!r}",
            fix='set `name: ClassVar[str] = "my-framework"` in the class',
        )
    ]


def check_capabilities(adapter: Any) -> list[Finding]:
    """`capabilities` are some, and every command they claim is one that exists."""
    capabilities = adapter.capabilities
    if not isinstance(capabilities, Capabilities):
        return [wrong_capabilities(f"it is {type(capabilities).__name__}")]
    if unknown := capabilities.commands - {*COMMANDS, *RESERVED_COMMANDS}:
        return [wrong_capabilities(f"no commands: {', '.join(sorted(unknown))}")]
    return []


def check_settings(adapter: Any, environment: Mapping[str, str]) -> list[Finding]:
    """`Settings` is a subclass of `AdapterSettings`, and the environment fills it."""
    settings = adapter.Settings
    if not (isinstance(settings, type) and issubclass(settings, AdapterSettings)):
        happened = f"it is {settings!r}"
    else:
        try:
            settings.from_environment(environment)
        except ConfigurationError as error:
            happened = f"the suite's `environment` does not fill it: {error}"
        else:
            return []
    return [
        Finding(
            rule="settings",
            contract="`Settings` subclasses `AdapterSettings`, filled from variables",
            happened=happened,
            fix="declare the fields there, and give the suite what they need",
        )
    ]


def check_entry_point(adapter: Adapter, name: str) -> list[Finding]:
    """The name leads to the adapter's class."""
    try:
        found = discovery.load(name)
    except ConfigurationError as error:
        happened = str(error)
    else:
        if isinstance(adapter, found):
            return []
        happened = f"{name!r} is {found.__module__}.{found.__qualname__}"
    return [
        Finding(
            rule="entry_point",
            contract=f"adapters are found by the entry-point group {discovery.GROUP!r}",
            happened=happened,
            fix=f'add `{name} = "package.module:Class"` to the group and install again',
        )
    ]
