"""Files made from the code: written into a folder, or checked to be what the code says."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def write(files: Mapping[str, str], folder: Path) -> None:
    """Write every file into the folder, which is made if need be.

    Args:
        files: Each file's text by its name.
        folder: Where they go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def outdated(files: Mapping[str, str], folder: Path) -> list[str]:
    """Names of the files that are missing in the folder or differ."""
    return [
        name
        for name, text in files.items()
        if not (folder / name).is_file() or (folder / name).read_bytes() != text.encode()
    ]


def main(files: Mapping[str, str], description: str, arguments: Sequence[str] | None = None) -> int:
    """The command line `[--check] FOLDER`; returns the exit code."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing, name what differs")
    options = parser.parse_args(arguments)
    if not options.check:
        write(files, options.folder)
        return 0
    different = outdated(files, options.folder)
    for name in different:
        print(f"{options.folder / name} is not what the code says", file=sys.stderr)
    if different:
        print("run `make docs-reference`", file=sys.stderr)
    return 1 if different else 0
