"""What an API server refuses of a Job though its schema allows it, and what it does after an exit.

Source: the descriptions of batch/v1's fields in Kubernetes' API reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Manifest = dict[str, Any]

MAX_RULES, MAX_VALUES = 20, 255
ACTIONS = ("FailJob", "Ignore", "Count")
MEMORY_UNITS = {"Mi": 2**20, "Gi": 2**30}


def refusals(job: Manifest) -> list[str]:
    """One sentence for each thing that an API server would refuse."""
    spec = job["spec"]
    pod = spec["template"]["spec"]
    return [*_of_failure_policy(spec, pod), *_of_volumes(pod), *_of_resources(pod)]


def action_after(job: Manifest, exit_code: int, *conditions: str) -> str:
    """What becomes of a Job when its pod has failed: `FailJob`, `Ignore` or `Count`.

    Args:
        job: The Job.
        exit_code: What its container exited with.
        conditions: The pod's conditions that are true.
    """
    for rule in job["spec"]["podFailurePolicy"]["rules"]:
        codes, patterns = rule.get("onExitCodes"), rule.get("onPodConditions", ())
        if codes and (exit_code in codes["values"]) == (codes["operator"] == "In"):
            return str(rule["action"])
        if any(one["type"] in conditions and one["status"] == "True" for one in patterns):
            return str(rule["action"])
    return "Count"  # "When no rule matches the Pod failure, the default handling applies"


def quantity(text: str) -> int:
    """Bytes of a quantity such as `512Mi`."""
    return int(text[:-2]) * MEMORY_UNITS[text[-2:]]


def _of_failure_policy(spec: Manifest, pod: Manifest) -> Iterator[str]:
    rules = spec["podFailurePolicy"]["rules"]
    if pod["restartPolicy"] != "Never":
        yield "podFailurePolicy demands restartPolicy Never"
    if spec.get("podReplacementPolicy", "Failed") != "Failed":
        yield "podFailurePolicy allows no podReplacementPolicy but Failed"
    if len(rules) > MAX_RULES:
        yield f"there are more than {MAX_RULES} rules"
    names = {container["name"] for container in pod["containers"]}
    for rule in rules:
        if rule["action"] not in ACTIONS:
            yield f"there is no action {rule['action']} for a Job without an index"
        if ("onExitCodes" in rule) == ("onPodConditions" in rule):
            yield "a rule has either onExitCodes or onPodConditions"
        yield from _of_exit_codes(rule.get("onExitCodes"), names)


def _of_exit_codes(codes: Manifest | None, names: set[str]) -> Iterator[str]:
    if codes is None:
        return
    values = codes["values"]
    if codes["operator"] not in ("In", "NotIn"):
        yield f"there is no operator {codes['operator']}"
    if values != sorted(set(values)) or not 0 < len(values) <= MAX_VALUES:
        yield "exit codes are ordered, without repetition, 1 to 255 of them"
    if codes["operator"] == "In" and 0 in values:
        yield "0 is no failure"
    if codes.get("containerName", next(iter(names))) not in names:
        yield f"there is no container {codes['containerName']}"


def _of_volumes(pod: Manifest) -> Iterator[str]:
    volumes = [volume["name"] for volume in pod["volumes"]]
    if len(volumes) != len(set(volumes)):
        yield "two volumes have one name"
    for container in pod["containers"]:
        paths = [mount["mountPath"] for mount in container["volumeMounts"]]
        if len(paths) != len(set(paths)):
            yield "two volumes are mounted at one place"
        for mount in container["volumeMounts"]:
            if mount["name"] not in volumes:
                yield f"there is no volume {mount['name']}"
            if {"", ".."} & set(mount.get("subPath", "-").split("/")):
                yield "a subPath is relative and stays inside"


def _of_resources(pod: Manifest) -> Iterator[str]:
    for container in pod["containers"]:
        limits = container["resources"]["limits"]
        for name, requested in container["resources"]["requests"].items():
            if name in limits and quantity(requested) > quantity(limits[name]):
                yield f"more {name} is requested than allowed"
