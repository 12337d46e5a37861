"""Adapters that are installed for one test, as a distribution of their own."""

from __future__ import annotations

from pathlib import Path

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"


def install(directory: Path, name: str, code: str, attribute: str = "Plugin") -> Path:
    """Write a module and its entry point; put the returned directory on PYTHONPATH."""
    site = directory / "site"
    metadata = site / f"{name}-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(METADATA.format(name=name))
    points = f"[runner_shell.adapters]\n{name} = {name}_plugin:{attribute}\n"
    (metadata / "entry_points.txt").write_text(points)
    (site / f"{name}_plugin.py").write_text(code)
    return site
