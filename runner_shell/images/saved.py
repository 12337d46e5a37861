"""A saved image, read: its configuration, its layers, and the files in them.

The format is Docker's archive, a tar of layers with a `manifest.json`, which podman, buildah and
docker all write.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self


class Entry(NamedTuple):
    """One file of one layer.

    Attributes:
        layer: Which layer, from the bottom, counted from 0.
        path: Its absolute path.
        info: What the archive says of it: kind, size, owner, mode.
    """

    layer: int
    path: str
    info: tarfile.TarInfo


class SavedImage:
    """An image in a file; use it as a context manager.

    Args:
        path: The archive.

    Attributes:
        config: The image's configuration: `config`, `history`, `rootfs`.
    """

    config: dict[str, Any]

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        self._archive = tarfile.open(self._path)
        (manifest,) = json.loads(self._content("manifest.json"))
        self.config = json.loads(self._content(manifest["Config"]))
        self._layers: list[str] = manifest["Layers"]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._archive.close()

    @property
    def layers(self) -> list[str]:
        """The digest of each layer's content, from the bottom."""
        digests: list[str] = self.config["rootfs"]["diff_ids"]
        return digests

    def entries(self) -> Iterator[Entry]:
        """Every file of every layer, those that a later layer hides included."""
        for number in range(len(self._layers)):
            with self.layer(number) as layer:
                for info in layer:
                    yield Entry(number, f"/{info.name.removeprefix('./').lstrip('/')}", info)

    def layer(self, number: int) -> tarfile.TarFile:
        """One layer as an archive, to be closed."""
        return tarfile.open(fileobj=self._archive.extractfile(self._layers[number]))

    def texts(self, wanted: Any) -> dict[str, str]:
        """The content of the files whose path is wanted, as the topmost layer has them.

        Args:
            wanted: Says of a path whether it is.
        """
        found: dict[str, str] = {}
        for number in range(len(self._layers)):
            with self.layer(number) as layer:
                for info in layer:
                    path = f"/{info.name.removeprefix('./').lstrip('/')}"
                    if info.isreg() and wanted(path):
                        file = layer.extractfile(info)
                        assert file is not None, "a regular file has content"
                        found[path] = file.read().decode(errors="replace")
        return found

    def _content(self, name: str) -> bytes:
        file = self._archive.extractfile(name)
        assert file is not None, f"{name} is a file"
        return file.read()
