"""A saved image: what `podman save`, `docker save` or `buildah push` writes into one file."""

from __future__ import annotations

import json
import tarfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

from ..errors import ConfigurationError

Document = dict[str, Any]

_ZSTD = b"\x28\xb5\x2f\xfd"


class ImageArchive:
    """An image in an archive, of OCI's or docker's format; use it as a context manager.

    Args:
        path: The archive.

    Attributes:
        config: The image's configuration: `config`, `history`, `rootfs`.

    Raises:
        ConfigurationError: When entered: it cannot be read, is no saved image, or holds several.
    """

    config: Document

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        try:
            self._archive = tarfile.open(self._path)
        except (OSError, tarfile.TarError) as error:
            raise ConfigurationError(
                f"{self._path} cannot be read as a saved image: {error}"
            ) from error
        with ExitStack() as stack:
            stack.enter_context(self._archive)
            self._read()
            stack.pop_all()  # read: it stays open until the block ends
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
        return list(self.config["rootfs"]["diff_ids"])

    def layer(self, number: int) -> tarfile.TarFile:
        """One layer's files, to be read and closed.

        Args:
            number: Which, from the bottom, counted from 0.

        Raises:
            ConfigurationError: It is compressed with zstd.
        """
        stream = self._open(self._members[number])
        if stream.read(len(_ZSTD)) == _ZSTD:
            raise ConfigurationError(
                f"{self._path}: layer {number} is compressed with zstd; save the image without "
                "compression, as `podman save --format docker-archive` does"
            )
        stream.seek(0)
        return tarfile.open(fileobj=stream)

    def _read(self) -> None:
        self._names = set(self._archive.getnames())
        if "index.json" in self._names:
            manifest = self._manifest(self._json("index.json"))
            self.config = self._json(_blob(manifest["config"]))
            self._members = [_blob(layer) for layer in manifest["layers"]]
        elif "manifest.json" in self._names:
            manifest = self._one(json.load(self._open("manifest.json")))
            self.config = self._json(manifest["Config"])
            self._members = list(manifest["Layers"])
        else:
            raise ConfigurationError(
                f"{self._path} is no saved image: it has neither index.json nor manifest.json"
            )

    def _manifest(self, index: Document) -> Document:
        """The manifest of the one image; an index may stand around it."""
        there = [one for one in index["manifests"] if _blob(one) in self._names]
        document = self._json(_blob(self._one(there)))
        return self._manifest(document) if "manifests" in document else document

    def _one(self, images: list[Document]) -> Document:
        if len(images) != 1:
            raise ConfigurationError(f"{self._path} holds {len(images)} images; save a single one")
        return images[0]

    def _json(self, member: str) -> Document:
        return cast("Document", json.load(self._open(member)))

    def _open(self, member: str) -> IO[bytes]:
        try:
            stream = self._archive.extractfile(member)
        except KeyError:
            stream = None
        if stream is None:
            raise ConfigurationError(f"{self._path} lacks {member}")
        return stream


def _blob(descriptor: Document) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"
