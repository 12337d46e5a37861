"""An image's bill of materials, as CycloneDX: a pure function of what is known of the image.

The same image has the same document, byte for byte: nothing in it is random, its time is the
build's, and its serial number is made from its content.

Source: CycloneDX 1.6 (ECMA-424); Package URL's types `pypi`, `deb`, `npm` and `generic`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, UUID, uuid5

from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.contact import OrganizationalEntity
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.model.lifecycle import LifecyclePhase, PredefinedLifecycle
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.spdx import fixup_id, is_expression
from packageurl import PackageURL

from .bundled import SDK, BundledCli
from .contents import Contents
from .debian import DebianPackage, Release
from .distributions import Distribution
from .labels import OWN_LICENCE, Facts, labels
from .lock import Installed, LockedFile
from .target import Target

CLI_TERMS_NAME = "Claude Code: Anthropic's terms, all rights reserved"
CLI_TERMS_URL = "https://code.claude.com/docs/en/legal-and-compliance"
"""Where the executable itself says that its terms stand."""

_NO_SERIAL = UUID(int=0)

License = DisjunctiveLicense | LicenseExpression


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is known of an image.

    Attributes:
        facts: Of its build.
        contents: What its files say is in it.
        locked: The lock's closure of what was installed; gives origins, hashes and needs.
        target: What the packages' files were chosen for.
        wheels: SHA-256 of our own wheels by distribution, which no lock has.
    """

    facts: Facts
    contents: Contents
    locked: tuple[Installed, ...] = ()
    target: Target
    wheels: Mapping[str, str] = field(default_factory=dict)


def document(subject: Subject) -> str:
    """The bill of materials as JSON, with a line feed at its end."""
    components = list(_components(subject))
    image = _image(subject.facts)
    bom = Bom(
        serial_number=_NO_SERIAL,
        metadata=BomMetaData(
            timestamp=datetime.fromtimestamp(subject.facts.created, UTC),
            component=image,
            lifecycles=[PredefinedLifecycle(LifecyclePhase.POST_BUILD)],
            tools=ToolRepository(components=[_tool(subject.facts)]),
        ),
        components=components,
    )
    _connect(bom, image, components, subject)
    bom.serial_number = uuid5(NAMESPACE_URL, hashlib.sha256(_json(bom).encode()).hexdigest())
    return _json(bom) + "\n"


def _json(bom: Bom) -> str:
    return JsonV1Dot6(bom).output_as_string(indent=2)


# --- what is in it ---------------------------------------------------------------------------


def _components(subject: Subject) -> Iterator[Component]:
    contents = subject.contents
    locked = {one.package.name: one for one in subject.locked}
    # The same at the same version may lie in several places; it is one component.
    once = {(one.name, one.version): one for one in contents.distributions}
    for found in once.values():
        yield _distribution(found, locked.get(found.name), subject)
    for package in contents.packages:
        yield _debian(package, contents.release)
    if contents.release.name:
        yield _system(contents.release)
    if contents.python:
        yield _python(contents.python)
    if contents.cli is not None:
        yield _cli(contents.cli)


def _image(facts: Facts) -> Component:
    return Component(
        bom_ref="image",
        type=ComponentType.CONTAINER,
        name=f"runner-shell/{facts.image}",
        version=facts.version,
        description=facts.description or None,
        licenses=_licences(OWN_LICENCE),
        properties=[Property(name=name, value=value) for name, value in labels(facts).items()],
    )


def _tool(facts: Facts) -> Component:
    return Component(
        type=ComponentType.APPLICATION,
        name="runner-shell",
        version=facts.version,
        bom_ref="tool",
        licenses=_licences(OWN_LICENCE),
    )


def _distribution(found: Distribution, locked: Installed | None, subject: Subject) -> Component:
    purl = PackageURL("pypi", None, found.name, found.version)
    return Component(
        bom_ref=purl.to_string(),
        name=found.name,
        version=found.version,
        description=found.summary or None,
        purl=purl,
        licenses=_licences(found.licence),
        hashes=_hashes(subject.wheels.get(found.name, "")),
        external_references=_origin(found, locked, subject.target),
    )


def _origin(
    found: Distribution, locked: Installed | None, target: Target
) -> list[ExternalReference]:
    """Where the installed file came from, with its hash; nothing where the lock does not say."""
    if locked is None or locked.package.version != found.version:
        return []
    file = target.file(locked.package)
    return [_distributed(file)] if file is not None else []


def _distributed(file: LockedFile) -> ExternalReference:
    return ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(file.url),
        hashes=_hashes(file.sha256),
    )


def _debian(package: DebianPackage, release: Release) -> Component:
    qualifiers = {"arch": package.architecture, "distro": str(release)}
    if (package.source, package.source_version) != (package.name, package.version):
        # Debian's notices name source packages; this is how scanners are told of them.
        qualifiers["upstream"] = f"{package.source}@{package.source_version}"
    purl = PackageURL(
        "deb",
        release.name or "debian",
        package.name,
        package.version,
        {name: value for name, value in qualifiers.items() if value},
    )
    return Component(
        bom_ref=purl.to_string(), name=package.name, version=package.version, purl=purl
    )


def _system(release: Release) -> Component:
    return Component(
        bom_ref=f"os:{release}",
        type=ComponentType.OPERATING_SYSTEM,
        name=release.name,
        version=release.version or None,
    )


def _python(version: str) -> Component:
    purl = PackageURL("generic", None, "python", version)
    return Component(
        bom_ref=purl.to_string(),
        type=ComponentType.PLATFORM,
        name="python",
        version=version,
        purl=purl,
        licenses=_licences("PSF-2.0"),
    )


def _cli(cli: BundledCli) -> Component:
    # The executable is not the npm package, but it is under that name that notices are published.
    purl = PackageURL("npm", "@anthropic-ai", "claude-code", cli.version)
    return Component(
        bom_ref=purl.to_string(),
        type=ComponentType.APPLICATION,
        group="@anthropic-ai",
        name="claude-code",
        version=cli.version,
        purl=purl,
        supplier=OrganizationalEntity(name="Anthropic, PBC"),
        licenses=[DisjunctiveLicense(name=CLI_TERMS_NAME, url=XsUri(CLI_TERMS_URL))],
        hashes=_hashes(cli.sha256),
    )


def _licences(text: str) -> list[License]:
    """An SPDX id or expression as such, anything else by its name."""
    if not text:
        return []
    if known := fixup_id(text):
        return [DisjunctiveLicense(id=known)]
    return [LicenseExpression(text) if is_expression(text) else DisjunctiveLicense(name=text)]


def _hashes(sha256: str) -> list[HashType]:
    return [HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else []


# --- what needs what -------------------------------------------------------------------------


def _connect(bom: Bom, image: Component, components: list[Component], subject: Subject) -> None:
    """Write down which distribution needs which; the image needs what no other one needs."""
    python = {one.name: one for one in components if one.purl and one.purl.type == "pypi"}
    cli = [one for one in components if one.purl and one.purl.type == "npm"]
    needed: set[Component] = set()
    for locked in subject.locked:
        if component := python.get(locked.package.name):
            needs = [python[name] for name in locked.needs if name in python]
            needs += cli if locked.package.name == SDK else []
            bom.register_dependency(component, needs)
            needed |= set(needs)
    bom.register_dependency(image, _without(components, needed))


def _without(components: Iterable[Component], needed: set[Component]) -> list[Component]:
    return [component for component in components if component not in needed]
