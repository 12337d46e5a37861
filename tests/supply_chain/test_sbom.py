"""An image's bill of materials."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from runner_shell.images.contents import contents
from runner_shell.images.sbom import document

from .support import (
    EXECUTABLE,
    LOCK,
    SITE,
    WHEEL_HASH,
    image_contents,
    image_files,
    metadata,
    subject,
)


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(document(subject()))
    return made


def component(bill: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (one for one in bill["components"] if one["name"] == name)
    made: dict[str, Any] = found
    return made


def test_it_is_valid_against_the_official_schema() -> None:
    """The document keeps CycloneDX 1.6's JSON schema, read strictly."""
    text = document(subject())
    assert json.loads(text)["specVersion"] == "1.6"
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    broken = text.replace('"type": "container"', '"type": "nothing"')
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(broken) is not None


@settings(deadline=None, max_examples=20)
@given(st.randoms())
def test_the_order_of_files_changes_nothing(random: Any) -> None:
    """The same files have the same document, byte for byte, in whatever order they were read."""
    files = list(image_files(**{EXECUTABLE: b"d" * 64}).items())
    random.shuffle(files)
    small = replace(subject(), locked=(), contents=contents(dict(files)))
    assert document(small) == document(replace(small, contents=image_contents()))


def test_nothing_in_it_is_random() -> None:
    """Two processes that hash differently write the same document."""
    code = (
        "from supply_chain.support import subject; "
        "from runner_shell.images.sbom import document; print(document(subject()))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(LOCK.parent / "tests")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1


def test_the_serial_number_is_made_from_the_content() -> None:
    """Another content has another serial number; the same has the same."""
    more = {f"{SITE}/more-1.dist-info/METADATA": metadata("more", "1")}
    numbers = [json.loads(document(subject(**files)))["serialNumber"] for files in ({}, {}, more)]
    assert numbers[0] == numbers[1]
    assert numbers[0] != numbers[2]
    assert numbers[0].startswith("urn:uuid:")


def test_the_time_is_the_build_s(bill: dict[str, Any]) -> None:
    """The document bears the time that the image does, not that of its writing."""
    assert bill["metadata"]["timestamp"] == "2025-12-01T00:00:00+00:00"


def test_the_image_is_what_it_is_about(bill: dict[str, Any]) -> None:
    """The image stands at the top, with its labels."""
    image = bill["metadata"]["component"]
    assert (image["type"], image["name"], image["version"]) == (
        "container",
        "runner-shell/claude",
        "0.1.0",
    )
    labels = {one["name"]: one["value"] for one in image["properties"]}
    assert labels["org.opencontainers.image.revision"] == "a" * 40


def test_a_python_package_has_its_origin(bill: dict[str, Any]) -> None:
    """A package has its purl, its licence, and the address and hash of the file it came from."""
    sdk = component(bill, "claude-agent-sdk")
    assert sdk["purl"] == "pkg:pypi/claude-agent-sdk@0.2.189"
    assert sdk["licenses"] == [{"license": {"id": "MIT"}}]
    (origin,) = sdk["externalReferences"]
    assert origin["url"].endswith("manylinux_2_17_x86_64.whl")
    assert len(origin["hashes"][0]["content"]) == 64


def test_our_own_wheel_has_the_hash_it_was_built_with(bill: dict[str, Any]) -> None:
    """What is in no index has the hash of the wheel, and no origin."""
    own = component(bill, "runner-shell")
    assert own["hashes"] == [{"alg": "SHA-256", "content": WHEEL_HASH}]
    assert "externalReferences" not in own


def test_what_the_lock_does_not_know_is_listed_all_the_same() -> None:
    """A package that was installed besides, or at another version, is listed without an origin."""
    other = {f"{SITE}/attrs-1.dist-info/METADATA": metadata("attrs", "1")}
    listed = component(json.loads(document(subject(**other))), "attrs")
    assert listed["purl"] == "pkg:pypi/attrs@1"
    assert "externalReferences" not in listed


def test_the_same_package_in_two_places_is_one_component() -> None:
    """Two copies at one version are one component; its reference is unique."""
    twice = {"usr/lib/python3.13/site-packages/a-1.dist-info/METADATA": metadata("A", "1")}
    twice[f"{SITE}/a-1.dist-info/METADATA"] = metadata("a", "1", "Summary: another build of it")
    bill = json.loads(document(subject(**twice)))
    assert component(bill, "a")["purl"] == "pkg:pypi/a@1"


def test_debian_packages_name_their_sources(bill: dict[str, Any]) -> None:
    """A Debian package's purl has architecture, release and, where it differs, the source."""
    assert component(bill, "libc6")["purl"] == (
        "pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=debian-13&upstream=glibc%402.41-12"
    )
    assert (component(bill, "debian")["type"], component(bill, "debian")["version"]) == (
        "operating-system",
        "13",
    )


def test_the_cli_is_a_component_of_its_own(bill: dict[str, Any]) -> None:
    """The bundled CLI has its version, its hash, and the vendor's terms, not the SDK's licence."""
    cli = component(bill, "claude-code")
    assert cli["version"] == "2.1.332"
    assert cli["purl"] == "pkg:npm/%40anthropic-ai/claude-code@2.1.332"
    assert len(cli["hashes"][0]["content"]) == 64
    assert cli["licenses"][0]["license"]["url"].endswith("legal-and-compliance")
    needs = {one["ref"]: one.get("dependsOn", []) for one in bill["dependencies"]}
    assert cli["bom-ref"] in needs["pkg:pypi/claude-agent-sdk@0.2.189"]


def test_without_a_cli_there_is_none() -> None:
    """An image without the SDK lists no CLI."""
    files = {name: one for name, one in image_files().items() if "claude_agent_sdk" not in name}
    bill = json.loads(document(replace(subject(), contents=contents(files))))
    assert not [one for one in bill["components"] if one["name"] == "claude-code"]


def test_everything_is_needed_by_something(bill: dict[str, Any]) -> None:
    """The graph of needs reaches every component from the image, and no other."""
    needs = {one["ref"]: one.get("dependsOn", []) for one in bill["dependencies"]}
    reached, queue = set(), ["image"]
    while queue:
        ref = queue.pop()
        if ref not in reached:
            reached.add(ref)
            queue += needs[ref]
    assert reached == {"image", *(one["bom-ref"] for one in bill["components"])}


@pytest.mark.parametrize(
    ("lines", "licence"),
    [
        (["License-Expression: MIT OR Apache-2.0"], {"expression": "MIT OR Apache-2.0"}),
        (["License: MIT License"], {"license": {"id": "MIT"}}),
        (["License: " + "long text " * 20, "Classifier: License :: OSI Approved :: BSD License"],
         {"license": {"name": "BSD License"}}),
        (["License: UNKNOWN", "Classifier: License :: OSI Approved",
          "Classifier: License :: OSI Approved :: ISC License (ISCL)"], {"license": {"id": "ISC"}}),
        (["License: Something Own"], {"license": {"name": "Something Own"}}),
    ],
)  # fmt: skip
def test_licences_are_spdx_s_where_they_can_be(lines: list[str], licence: object) -> None:
    """An SPDX id or expression is one in the document; any other name stays the name it is."""
    files = {f"{SITE}/x-1.dist-info/METADATA": metadata("x", "1", *lines)}
    assert component(json.loads(document(subject(**files))), "x")["licenses"] == [licence]


def test_a_package_without_a_licence() -> None:
    """Metadata without a licence gives a component without one, not with an invented one."""
    files = {f"{SITE}/x-1.dist-info/METADATA": metadata("x", "1")}
    assert "licenses" not in component(json.loads(document(subject(**files))), "x")
