"""Saved images are read without being run, in each form they are saved in."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from runner_shell.errors import ConfigurationError
from runner_shell.images.archive import ImageArchive
from runner_shell.images.bundled import BundledCli
from runner_shell.images.contents import contents_of

from .support import SITE, docker_archive, image_files, metadata, oci_archive, tar

Save = Callable[..., Path]
FORMS = (docker_archive, oci_archive, partial(oci_archive, nested=True))


@pytest.mark.parametrize("save", FORMS, ids=("docker", "oci", "oci-nested"))
def test_every_form_says_the_same(save: Save, tmp_path: Path) -> None:
    """Configuration, layers' digests and contents are read alike from each form."""
    path = save(tmp_path / "image.tar", [image_files(), {"tmp/x": b"1"}])
    with ImageArchive(path) as image:
        assert image.config["architecture"] == "amd64"
        assert len(image.layers) == 2
        assert all(digest.startswith("sha256:") for digest in image.layers)
        with image.layer(1) as layer:
            assert layer.getnames() == ["tmp/x"]
        contents = contents_of(image)
    assert str(contents.release) == "debian-13"
    assert contents.python == "3.13.5"
    assert [one.name for one in contents.packages] == ["libc6", "libpam0g"]
    assert [(one.name, one.version, one.licence, one.place) for one in contents.distributions] == [
        ("claude-agent-sdk", "0.2.189", "MIT", SITE),
        ("runner-shell", "0.1.0", "Apache-2.0", SITE),
    ]
    assert contents.cli == BundledCli("2.1.332", hashlib.sha256(b"\x7fELF").hexdigest())


def test_the_topmost_layer_counts(tmp_path: Path) -> None:
    """What a later layer replaces or deletes, alone or with its folder, is not in the image."""
    old = f"{SITE}/old-1.dist-info/METADATA"
    gone = f"{SITE}/gone-1.dist-info/METADATA"
    layers = [
        {**image_files(), old: metadata("old", "1"), gone: metadata("gone", "1")},
        {
            f"{SITE}/.wh.gone-1.dist-info": b"",
            f"{SITE}/.wh.old-1.dist-info": b"",
            f"{SITE}/old-2.dist-info/METADATA": metadata("old", "2"),
            "var/lib/dpkg/status": b"Package: only\nVersion: 3\nArchitecture: all\n",
        },
    ]
    with ImageArchive(docker_archive(tmp_path / "image.tar", layers)) as image:
        contents = contents_of(image)
    assert [one.name for one in contents.packages] == ["only"]
    assert [(one.name, one.version) for one in contents.distributions] == [
        ("claude-agent-sdk", "0.2.189"),
        ("old", "2"),
        ("runner-shell", "0.1.0"),
    ]


def test_an_opaque_folder_hides_what_is_below(tmp_path: Path) -> None:
    """A folder marked opaque has only what its own layer puts there, in whatever order it comes."""
    layers = [
        image_files(),
        {
            f"{SITE}/new-1.dist-info/METADATA": metadata("new", "1"),
            f"{SITE}/.wh..wh..opq": b"",
        },
    ]
    with ImageArchive(docker_archive(tmp_path / "image.tar", layers)) as image:
        contents = contents_of(image)
    assert [one.name for one in contents.distributions] == ["new"]
    assert contents.cli is None


def test_names_may_begin_with_a_dot(tmp_path: Path) -> None:
    """A layer whose names begin with `./` or `/` is read like one whose names do not."""
    files = image_files()
    layers = [
        {f"./{name}": content for name, content in files.items()},
        {f"/{SITE}/.wh.runner_shell-0.1.0.dist-info": b""},
    ]
    with ImageArchive(docker_archive(tmp_path / "image.tar", layers)) as image:
        contents = contents_of(image)
    assert [one.name for one in contents.distributions] == ["claude-agent-sdk"]
    assert len(contents.packages) == 2


def test_what_is_no_image_is_told(tmp_path: Path) -> None:
    """No archive, an archive of something else, and a missing file are told apart."""
    text = tmp_path / "text"
    text.write_text("no archive")
    other = tmp_path / "other.tar"
    other.write_bytes(tar({"a": b"b"}))
    for path, said in (
        (text, "cannot be read"),
        (other, "no saved image"),
        (tmp_path / "-", "No such"),
    ):
        with pytest.raises(ConfigurationError, match=said), ImageArchive(path):
            pass


def test_several_images_are_refused(tmp_path: Path) -> None:
    """An archive with two images does not say which is meant, and is refused."""
    path = tmp_path / "two.tar"
    path.write_bytes(tar({"manifest.json": json.dumps([{}, {}]).encode()}))
    with pytest.raises(ConfigurationError, match="holds 2 images"), ImageArchive(path):
        pass


def test_a_layer_in_zstd_is_told(tmp_path: Path) -> None:
    """A layer that cannot be read here is an error that says how to save the image instead."""
    path = docker_archive(tmp_path / "image.tar", [{}])
    with tarfile.open(path) as archive:
        kept = {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr]
    kept["0/layer.tar"] = b"\x28\xb5\x2f\xfd rest"
    path.write_bytes(tar(kept))
    with ImageArchive(path) as image, pytest.raises(ConfigurationError, match="docker-archive"):
        image.layer(0)


def test_a_truncated_archive_is_told(tmp_path: Path) -> None:
    """A manifest that names what is not there is told, with the name."""
    path = tmp_path / "short.tar"
    manifest = [{"Config": "config.json", "Layers": []}]
    path.write_bytes(tar({"manifest.json": json.dumps(manifest).encode()}))
    with pytest.raises(ConfigurationError, match=r"lacks config\.json"), ImageArchive(path):
        pass
