"""The page on Kubernetes shows what the manifests are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import job_rules
import kubernetes_validate
import yaml
from network_access import Address, may_reach
from rendered_manifests import (
    OVERLAYS,
    ROOT,
    container,
    job,
    one,
    overlay,
    render,
    write_kustomization,
)
from test_network_policies import METADATA, labels, policies
from test_schemas import VERSIONS

PAGE = (ROOT.parents[1] / "docs" / "how-to" / "run-on-kubernetes.md").read_text()
YAML = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    """What stands under a heading."""
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its head."""
    table = re.findall(r"^\|(.+)\|$", section(title), re.MULTILINE)
    return [[cell.strip() for cell in row.split(" | ")] for row in table[2:]]


def block(kind: str) -> Any:
    """The page's manifest of a kind."""
    [found] = [read for text in YAML if (read := yaml.safe_load(text)).get("kind") == kind]
    return found


def test_the_example_is_the_one_in_the_tree() -> None:
    """The kustomization on the page is the file that the tests render."""
    assert (ROOT / "example" / "kustomization.yaml").read_text() in YAML


def test_a_patch_and_a_component_do_what_they_say(tmp_path: Path) -> None:
    """What the page shows to put into one's own kustomization changes the Job so."""
    pieces: dict[str, Any] = {}
    for text in YAML:
        read = yaml.safe_load(text)
        if "kind" not in read:
            pieces |= read
    assert set(pieces) == {"patches", "components"}
    write_kustomization(tmp_path, ROOT / "sessions" / "claude-openshift", ["scratch"])
    file = tmp_path / "kustomization.yaml"
    written = yaml.safe_load(file.read_text())
    assert [Path(path).name for path in written["components"]] == ["scratch"]
    assert pieces["components"] == ["../components/scratch"]
    file.write_text(yaml.safe_dump(written | {"patches": pieces["patches"]}))
    manifests = render(tmp_path)
    told = {each["name"]: each["value"] for each in container(one(manifests, "Job"))["env"]}
    assert one(manifests, "Job")["spec"]["activeDeadlineSeconds"] == 28800
    assert told["TIMEOUT"] == "28400"
    assert told["RUNNER_STATE_DIR"] == "/state/runner"
    assert one(manifests, "Job")["spec"]["backoffLimit"] == 0


def test_every_directory_that_is_named_is_there() -> None:
    """Whatever the page says to apply can be applied."""
    named = re.findall(r"images/kubernetes/([\w/-]+)", PAGE)
    assert len(named) >= 3
    assert [path for path in named if not (ROOT / path / "kustomization.yaml").is_file()] == []
    components = re.findall(r"component `([\w-]+)`", PAGE)
    assert set(components) == {"scratch", "egress-proxy"}
    assert [name for name in components if not (ROOT / "components" / name).is_dir()] == []


def test_the_table_of_exits_is_the_policy() -> None:
    """Each row says what the Job really does after these codes."""
    actions = {"complete": "", "failed": "FailJob", "a next pod, not counted": "Ignore"}
    told = {}
    for codes, action, _ in rows("What becomes of a pod that ends"):
        for code in re.findall(r"\d+", codes):
            told[int(code)] = actions.get(action, "Count")
        if codes.startswith("any"):
            assert job_rules.action_after(job(OVERLAYS[0]), 137, "DisruptionTarget") == "Ignore"
    assert told.pop(0) == ""
    assert told == {code: job_rules.action_after(job(OVERLAYS[0]), code) for code in told}
    assert set(told) == {1, 2, 70, 75, 124, 130, 137, 143}


def test_the_numbers_are_the_manifests() -> None:
    """Grace, time-outs, tries and memory on the page are those in the Job."""
    spec = job("claude-kubernetes")["spec"]
    pod = spec["template"]["spec"]
    told = {each["name"]: each["value"] for each in container(job("claude-kubernetes"))["env"]}
    for sentence in (
        f"`RUNNER_GRACE_SECONDS` ({told['RUNNER_GRACE_SECONDS']})",
        f"`terminationGracePeriodSeconds` ({pod['terminationGracePeriodSeconds']})",
        f"`TIMEOUT` ({told['TIMEOUT']}, for one process)",
        f"`activeDeadlineSeconds` ({spec['activeDeadlineSeconds']}, for all pods",
        f"`backoffLimit`: {spec['backoffLimit']}",
        f"which is `{told['RUNNER_STATE_DIR']}`",
    ):
        assert sentence in " ".join(PAGE.split()), sentence
    for image, request, limit in rows("Resources"):
        resources = container(job(f"{image.lower()}-kubernetes"))["resources"]
        assert request == f"{resources['requests']['memory'][:-2]} MiB, 0.25 CPU"
        assert limit == f"{resources['limits']['memory'][:-2]} GiB"
        assert resources["requests"]["cpu"] == "250m"


def test_the_table_of_mounts_is_the_pod_s() -> None:
    """Each mount that can be written is in the table, with its directory on the volume."""
    mounts = {
        f"`{each['mountPath']}`": each.get("subPath")
        for each in container(job("langgraph-openshift"))["volumeMounts"]
        if not each.get("readOnly")
    }
    told = {mount: directory.strip("`") for mount, directory, _ in rows("Volumes")}
    assert told.pop("`/tmp`") == "none, 1 GiB"
    assert mounts.pop("`/tmp`") is None
    assert told == mounts


def test_the_table_of_policies_is_complete() -> None:
    """Every policy that allows something is in the table, and every metadata address is named."""
    allowing = {
        each["metadata"]["name"]
        for each in policies("claude-openshift")
        if "egress" in each["spec"]
    }
    assert {name.strip("`") for name, _ in rows("The network")} == allowing
    plain = [address for address in METADATA if not address.startswith(("::ffff", "64:ff9b"))]
    page = section("The network").replace(
        "`169.254.170.2` and\n`.23`", "169.254.170.2 169.254.170.23"
    )
    assert [address for address in plain if address not in page] == ["fd00:ec2::23"]


def test_a_policy_more_does_what_it_says() -> None:
    """The page's policy opens its one address for the runner's pods, and nothing beside it."""
    policy = block("NetworkPolicy")
    for version in VERSIONS:
        kubernetes_validate.validate(policy, version, strict=True)
    name = "claude-kubernetes"
    together = [*policies(name), policy]
    assert may_reach(together, labels(name), Address("10.20.30.40"), 443)
    assert not may_reach(policies(name), labels(name), Address("10.20.30.40"), 443)
    assert not may_reach(together, labels(name), Address("10.20.30.41"), 443)


def test_the_versions_are_those_that_are_tried() -> None:
    """The page and the manifests' own page name the versions whose schemas are used."""
    *first, last = VERSIONS
    assert f"schemas of Kubernetes {', '.join(first)} and {last}" in " ".join(PAGE.split())
    for page in (PAGE, (ROOT / "README.md").read_text()):
        assert f"Kubernetes {VERSIONS[0]}" in " ".join(page.split())


def test_the_keys_secret_is_the_one_the_pod_reads() -> None:
    """The Secret that the page makes is the one whose keys become variables, present or not."""
    [secret] = [
        each["secretRef"] for each in container(job(OVERLAYS[0]))["envFrom"] if "secretRef" in each
    ]
    assert secret == {"name": "runner-keys", "optional": True}
    assert "create secret generic runner-keys" in PAGE
    assert not [each for each in overlay(OVERLAYS[0]) if each["kind"] == "Secret"]
