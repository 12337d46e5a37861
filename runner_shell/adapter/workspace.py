"""The directory the agent works in."""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path

from ..protocol.events import ArtifactCreated


class Workspace:
    """The agent's working directory.

    Args:
        path: The directory; it exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def artifact(self, path: str | Path) -> ArtifactCreated:
        """Describe a file as a result; emit what this returns.

        Args:
            path: Absolute, or relative to the workspace.

        Raises:
            ValueError: The file lies outside of the workspace, a symbolic link included.
            OSError: The file cannot be read.
        """
        root = self.path.resolve()
        file = (root / path).resolve()
        if not file.is_relative_to(root):
            raise ValueError(f"the artifact {str(path)!r} lies outside of the workspace")
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256")
            size = opened.tell()
        return ArtifactCreated(
            path=file.relative_to(root).as_posix(),
            bytes=size,
            sha256=digest.hexdigest(),
            media_type=_media_type(file.name),
        )


def _media_type(name: str) -> str:
    if name.endswith(".md"):  # missing in Python 3.11 on some systems
        return "text/markdown"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
