"""OpenShift's security context constraint "restricted-v2", and whether a pod's template keeps it.

The constraint stands here as the platform ships it; what a template breaks is told by the name of
the constraint's field. User, group and SELinux label are numbers of the namespace, which nobody
knows who writes a manifest: so a template that sets one is refused, whatever the number.

Source: the restricted-v2 constraint of openshift/cluster-kube-apiserver-operator, and
"Managing security context constraints" of the OpenShift Container Platform's documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pod_security import SAFE_SYSCTLS, Template, containers, effective, settings

RESTRICTED_V2: dict[str, Any] = {
    "allowHostDirVolumePlugin": False,
    "allowHostIPC": False,
    "allowHostNetwork": False,
    "allowHostPID": False,
    "allowHostPorts": False,
    "allowPrivilegeEscalation": False,
    "allowPrivilegedContainer": False,
    "allowedCapabilities": ["NET_BIND_SERVICE"],
    "allowedUnsafeSysctls": [],
    "fsGroup": {"type": "MustRunAs"},
    "requiredDropCapabilities": ["ALL"],
    "runAsUser": {"type": "MustRunAsRange"},
    "seLinuxContext": {"type": "MustRunAs"},
    "seccompProfiles": ["runtime/default"],
    "supplementalGroups": {"type": "RunAsAny"},
    "volumes": [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ],
}

SECCOMP = {"RuntimeDefault": "runtime/default", "Unconfined": "unconfined"}


def refused(template: Template) -> dict[str, list[str]]:
    """The fields of the constraint that a pod's template breaks, each with the places."""
    found = {field: list(broken(template)) for field, broken in CHECKS.items()}
    return {field: places for field, places in found.items() if places}


def _host(name: str) -> Callable[[Template], Iterator[str]]:
    return lambda template: (n for n in (name,) if template["spec"].get(n))


def _is_true(name: str) -> Callable[[Template], Iterator[str]]:
    return lambda template: (place for place, value in settings(template, name) if value)


def _is_set(*names: str) -> Callable[[Template], Iterator[str]]:
    return lambda template: (place for place, _ in settings(template, *names))


def _ports(template: Template) -> Iterator[str]:
    for place, container in containers(template):
        yield from (place for port in container.get("ports", ()) if port.get("hostPort"))


def _volume_types(template: Template) -> Iterator[str]:
    for volume in template["spec"].get("volumes", ()):
        yield from (key for key in volume if key not in ("name", *RESTRICTED_V2["volumes"]))


def _host_directories(template: Template) -> Iterator[str]:
    return (v["name"] for v in template["spec"].get("volumes", ()) if "hostPath" in v)


def _added(template: Template) -> Iterator[str]:
    for place, added in settings(template, "capabilities", "add", pod=False):
        if set(added) - set(RESTRICTED_V2["allowedCapabilities"]):
            yield place


def _kept(template: Template) -> Iterator[str]:
    """Where something is dropped, and not all: where nothing is, the platform drops it all."""
    for place, dropped in settings(template, "capabilities", "drop", pod=False):
        if not set(RESTRICTED_V2["requiredDropCapabilities"]) <= set(dropped):
            yield place


def _seccomp(template: Template) -> Iterator[str]:
    for place, profile in effective(template, "seccompProfile", "type"):
        said = SECCOMP.get(profile, profile)
        if said is not None and said not in RESTRICTED_V2["seccompProfiles"]:
            yield place


def _sysctls(template: Template) -> Iterator[str]:
    for _, sysctls in settings(template, "sysctls"):
        yield from (one["name"] for one in sysctls if one["name"] not in SAFE_SYSCTLS)


CHECKS: dict[str, Callable[[Template], Iterator[str]]] = {
    "allowHostDirVolumePlugin": _host_directories,
    "allowHostIPC": _host("hostIPC"),
    "allowHostNetwork": _host("hostNetwork"),
    "allowHostPID": _host("hostPID"),
    "allowHostPorts": _ports,
    "allowPrivilegeEscalation": _is_true("allowPrivilegeEscalation"),
    "allowPrivilegedContainer": _is_true("privileged"),
    "allowedCapabilities": _added,
    "allowedUnsafeSysctls": _sysctls,
    "fsGroup": _is_set("fsGroup"),
    "requiredDropCapabilities": _kept,
    "runAsUser": _is_set("runAsUser"),
    "seLinuxContext": _is_set("seLinuxOptions"),
    "seccompProfiles": _seccomp,
    "volumes": _volume_types,
}
"""By field of the constraint; `supplementalGroups` allows everything."""
