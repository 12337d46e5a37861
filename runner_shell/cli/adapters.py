"""`runner-shell adapters`."""

from __future__ import annotations

import json

import typer

from ..adapter.discovery import installed


def list_adapters(*, json_lines: bool) -> None:
    """Print name, package and class of each installed adapter; nothing is imported."""
    rows = [
        {
            "name": point.name,
            "class": point.value,
            "package": point.dist.name if point.dist is not None else "",
            "version": point.dist.version if point.dist is not None else "",
        }
        for point in installed().values()
    ]
    if json_lines:
        for row in rows:
            typer.echo(json.dumps(row))
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        typer.echo(f"{row['name']:<{width}}  {row['package']} {row['version']}  {row['class']}")
