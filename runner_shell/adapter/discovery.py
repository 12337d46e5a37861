"""Installed adapters, found by the entry-point group `runner_shell.adapters`."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from ..errors import ConfigurationError
from .contract import Adapter

GROUP = "runner_shell.adapters"


def installed() -> dict[str, EntryPoint]:
    """Entry points by name, without importing one."""
    return {point.name: point for point in sorted(entry_points(group=GROUP))}


def load(name: str) -> type[Adapter]:
    """Import an adapter's class.

    Raises:
        ConfigurationError: Not installed (the known ones are listed), not importable, or not an
            adapter.
    """
    points = installed()
    if name not in points:
        known = ", ".join(points) or "none"
        raise ConfigurationError(
            f"no adapter is called {name!r}; installed: {known}. Install the package that brings "
            "it, or name one of these"
        )
    try:
        found = points[name].load()
    except Exception as error:
        raise ConfigurationError(
            f"the adapter {name!r} ({points[name].value}) cannot be imported: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Adapter)):
        raise ConfigurationError(
            f"the adapter {name!r} ({points[name].value}) is not a subclass of runner_shell.Adapter"
        )
    return found
