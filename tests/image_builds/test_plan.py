"""Which builds are made, and with which command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runner_shell import ConfigurationError
from runner_shell.images import debian_base
from runner_shell.images.catalogue import IMAGES, chosen
from runner_shell.images.engine import Building, Engine, find_engine
from runner_shell.images.plan import Build, plan
from runner_shell.images.project import EARLIEST, Project, read_project

ROOT = Path(__file__).resolve().parents[2]

PROJECT = Project(
    root=Path("/checkout"), version="1.2", revision="abc", epoch=1_700_000_000, output=Path("/out")
)


def planned(*names: str, base_image: str = "") -> tuple[Build, ...]:
    """The plan for some images."""
    return plan(
        PROJECT,
        chosen(names),
        tag="1.2",
        labels=lambda image: {"title": image.title},
        base_image=base_image,
    )


def test_every_build_comes_after_what_it_stands_on() -> None:
    """The base first, in its two stages; each adapter's image names both."""
    builds = planned()
    assert [one.tags[0] for one in builds] == [
        "runner-shell/build:1.2",
        "runner-shell/base:1.2",
        "runner-shell/claude:1.2",
        "runner-shell/langgraph:1.2",
    ]
    assert [one.target for one in builds] == ["build", "", "", ""]
    for one in builds[2:]:
        assert one.arguments == {
            "RUNNER_BASE": "runner-shell/base:1.2",
            "RUNNER_BUILD": "runner-shell/build:1.2",
        }


def test_the_base_stands_on_what_was_asked_for() -> None:
    """`BASE_IMAGE` is given only where somebody chose one."""
    dated = {"SOURCE_DATE_EPOCH": "1700000000"}
    assert planned("base")[1].arguments == dated
    assert [one.arguments for one in planned("base", base_image="mine:1")] == [
        {"BASE_IMAGE": "mine:1", **dated},
        {"BASE_IMAGE": "mine:1", **dated},
    ]


def test_no_layer_of_another_time_is_taken() -> None:
    """The time is an argument of the base's first stage, before its commands: caches heed that."""
    stage = (ROOT / "images/base/Containerfile").read_text().partition(" AS system\n")[2]
    assert "\nARG SOURCE_DATE_EPOCH\n" in stage.partition("\nRUN ")[0]


def test_an_unknown_image_is_named_with_those_that_there_are() -> None:
    """A name that is wrong is told, before anything is built."""
    with pytest.raises(ConfigurationError, match="no image 'bse': base, claude, langgraph"):
        chosen(["bse"])


def command(name: str, how: Building) -> list[str]:
    """The command that builds Claude's image."""
    return Engine(name, f"/usr/bin/{name}").build(planned("claude")[0], how)


@pytest.mark.parametrize("name", ["podman", "buildah"])
def test_podman_and_buildah_date_every_file(name: str) -> None:
    """One time for all files and the image, and a format that has a place for a health command."""
    said = command(name, Building())
    assert said[:2] == [f"/usr/bin/{name}", "build"]
    assert said[said.index("--timestamp") + 1] == "1700000000"
    assert said[said.index("--format") + 1] == "docker"
    assert said[-1] == "/out/claude/context"
    assert "--no-cache" not in said
    assert "--secret" not in said


def test_docker_is_told_the_time_by_an_argument() -> None:
    """BuildKit, which is named, has neither podman's options nor their names."""
    said = command("docker", Building())
    assert said[:3] == ["/usr/bin/docker", "buildx", "build"]
    assert "SOURCE_DATE_EPOCH=1700000000" in said
    assert not {"--timestamp", "--format", "--layers"} & set(said)


def test_how_it_is_built_is_passed_on() -> None:
    """No cache, certificates as a secret, options as they are, before the context."""
    how = Building(cached=False, ca_file=Path("/ca.pem"), options=("--network=host",))
    said = command("podman", how)
    assert said[said.index("--secret") + 1] == "id=ca,src=/ca.pem"
    assert said[-3:] == ["--no-cache", "--network=host", "/out/claude/context"]


def installed(*names: str) -> Callable[[str], str | None]:
    """A system on which these programs are."""
    return lambda name: f"/bin/{name}" if name in names else None


@pytest.mark.parametrize(
    ("there", "wanted", "found"),
    [
        (("docker", "buildah", "podman"), "", "podman"),
        (("docker", "buildah"), "", "buildah"),
        (("docker",), "", "docker"),
        (("docker", "podman"), "docker", "docker"),
    ],
)
def test_the_engine_that_is_there(there: tuple[str, ...], wanted: str, found: str) -> None:
    """podman before buildah before docker, unless one is asked for."""
    assert find_engine(wanted, installed(*there)).name == found


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [("", "none of podman, buildah, docker"), ("podman", "podman is not"), ("lxc", "no engine")],
)
def test_a_missing_engine_is_told(wanted: str, problem: str) -> None:
    """What is missing, and what there could be."""
    with pytest.raises(ConfigurationError, match=problem):
        find_engine(wanted, installed())


def test_buildah_only_builds() -> None:
    """Running and importing are refused with what can do it."""
    buildah = Engine("buildah", "buildah")
    with pytest.raises(ConfigurationError, match="podman or docker"):
        buildah.run(["image"])
    with pytest.raises(ConfigurationError, match="podman or docker"):
        buildah.adopt(Path("root.tar"), "base")


def test_a_base_from_debian_is_a_slim_python() -> None:
    """Python, certificates, time zones; no manuals, no translations, no trace of the machine."""
    said = debian_base.command(Path("root.tar"), mirror="http://mirror.example/debian")
    assert said[-3:] == ["trixie", "root.tar", "http://mirror.example/debian"]
    (included,) = [one for one in said if one.startswith("--include=")]
    assert {"python3", "ca-certificates", "tzdata"} <= set(included[10:].split(","))
    assert "--dpkgopt=path-exclude=/usr/share/man/*" in said
    assert any("resolv.conf" in one for one in said)


def test_every_containerfile_is_of_this_shape() -> None:
    """Several stages, no front end to fetch, a base by its digest; nothing is run as root."""
    texts = {image.name: (ROOT / "images" / image.name / "Containerfile") for image in IMAGES}
    for name, path in texts.items():
        lines = path.read_text().splitlines()
        assert sum(line.startswith("FROM ") for line in lines) >= 2, name
        assert not [line for line in lines if line.startswith("# syntax")], name
    base = texts["base"].read_text()
    assert "@sha256:" in base.partition("FROM")[0]
    assert "\nUSER 10001:0\n" in base


def test_the_time_can_be_given_and_is_one_that_wheels_can_bear() -> None:
    """`SOURCE_DATE_EPOCH` counts; before 1980 there is none in a zip; a word is told."""
    assert read_project(ROOT, {"SOURCE_DATE_EPOCH": "1700000000"}).epoch == 1_700_000_000
    assert read_project(ROOT, {"SOURCE_DATE_EPOCH": "0"}).epoch == EARLIEST
    with pytest.raises(ConfigurationError, match="SOURCE_DATE_EPOCH is 'today'"):
        read_project(ROOT, {"SOURCE_DATE_EPOCH": "today"})


def test_elsewhere_than_in_a_checkout_is_told(tmp_path: Path) -> None:
    """Images are built from a checkout; what is missing is named, and the option."""
    with pytest.raises(ConfigurationError, match=r"has no pyproject\.toml.*--project"):
        read_project(tmp_path, {})
