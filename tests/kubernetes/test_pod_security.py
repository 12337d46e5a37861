"""Pod Security "restricted" and OpenShift's "restricted-v2" admit the pods, and nothing wider."""

from __future__ import annotations

from typing import Any

import openshift_constraints
import pod_security
import pytest
from rendered_manifests import OVERLAYS, changed, job

CONTEXT = "spec/containers/0/securityContext"
POD_CONTEXT = "spec/securityContext"

# Which control refuses what: one row breaks one thing.
POD_SECURITY_BREAKAGES: list[tuple[str, str, Any]] = [
    ("HostProcess", f"{POD_CONTEXT}/windowsOptions/hostProcess", True),
    ("HostProcess", f"{CONTEXT}/windowsOptions/hostProcess", True),
    ("Host Namespaces", "spec/hostNetwork", True),
    ("Host Namespaces", "spec/hostPID", True),
    ("Host Namespaces", "spec/hostIPC", True),
    ("Privileged Containers", f"{CONTEXT}/privileged", True),
    ("Capabilities (baseline)", f"{CONTEXT}/capabilities/add", ["SYS_ADMIN"]),
    ("HostPath Volumes", "spec/volumes/-", {"name": "host", "hostPath": {"path": "/"}}),
    ("Host Ports", "spec/containers/0/ports", [{"containerPort": 80, "hostPort": 80}]),
    ("Host Probes / Lifecycle Hooks", "spec/containers/0/livenessProbe/httpGet/host", "10.0.0.1"),
    (
        "Host Probes / Lifecycle Hooks",
        "spec/containers/0/lifecycle/preStop/tcpSocket/host",
        "10.0.0.1",
    ),
    ("AppArmor", f"{POD_CONTEXT}/appArmorProfile/type", "Unconfined"),
    (
        "AppArmor",
        "metadata/annotations",
        {"container.apparmor.security.beta.kubernetes.io/runner": "unconfined"},
    ),
    ("SELinux", f"{CONTEXT}/seLinuxOptions/type", "spc_t"),
    ("SELinux", f"{POD_CONTEXT}/seLinuxOptions/user", "system_u"),
    ("SELinux", f"{POD_CONTEXT}/seLinuxOptions/role", "system_r"),
    ("/proc Mount Type", f"{CONTEXT}/procMount", "Unmasked"),
    ("Seccomp (baseline)", f"{CONTEXT}/seccompProfile/type", "Unconfined"),
    ("Sysctls", f"{POD_CONTEXT}/sysctls", [{"name": "kernel.msgmax", "value": "1"}]),
    ("Volume Types", "spec/volumes/-", {"name": "far", "nfs": {"server": "a", "path": "/"}}),
    ("Privilege Escalation", f"{CONTEXT}/allowPrivilegeEscalation", None),
    ("Privilege Escalation", f"{CONTEXT}/allowPrivilegeEscalation", True),
    ("Running as Non-root", f"{POD_CONTEXT}/runAsNonRoot", None),
    ("Running as Non-root", f"{CONTEXT}/runAsNonRoot", False),
    ("Running as Non-root user", f"{POD_CONTEXT}/runAsUser", 0),
    ("Running as Non-root user", f"{CONTEXT}/runAsUser", 0),
    ("Seccomp (restricted)", f"{POD_CONTEXT}/seccompProfile", None),
    ("Capabilities (restricted)", f"{CONTEXT}/capabilities", None),
    ("Capabilities (restricted)", f"{CONTEXT}/capabilities/drop", ["NET_RAW"]),
    ("Capabilities (restricted)", f"{CONTEXT}/capabilities/add", ["CHOWN"]),
    # A container that somebody adds is held to the same.
    ("Capabilities (restricted)", "spec/initContainers", [{"name": "first"}]),
    ("Privilege Escalation", "spec/ephemeralContainers", [{"name": "debug"}]),
]

OPENSHIFT_BREAKAGES: list[tuple[str, str, Any]] = [
    ("allowHostDirVolumePlugin", "spec/volumes/-", {"name": "host", "hostPath": {"path": "/"}}),
    ("allowHostIPC", "spec/hostIPC", True),
    ("allowHostNetwork", "spec/hostNetwork", True),
    ("allowHostPID", "spec/hostPID", True),
    ("allowHostPorts", "spec/containers/0/ports", [{"containerPort": 80, "hostPort": 80}]),
    ("allowPrivilegeEscalation", f"{CONTEXT}/allowPrivilegeEscalation", True),
    ("allowPrivilegedContainer", f"{CONTEXT}/privileged", True),
    ("allowedCapabilities", f"{CONTEXT}/capabilities/add", ["CHOWN"]),
    ("allowedUnsafeSysctls", f"{POD_CONTEXT}/sysctls", [{"name": "kernel.msgmax", "value": "1"}]),
    ("fsGroup", f"{POD_CONTEXT}/fsGroup", 10001),
    ("requiredDropCapabilities", f"{CONTEXT}/capabilities/drop", ["NET_RAW"]),
    ("runAsUser", f"{POD_CONTEXT}/runAsUser", 10001),
    ("runAsUser", f"{CONTEXT}/runAsUser", 10001),
    ("seLinuxContext", f"{POD_CONTEXT}/seLinuxOptions/level", "s0:c1,c2"),
    ("seccompProfiles", f"{POD_CONTEXT}/seccompProfile/type", "Unconfined"),
    ("seccompProfiles", f"{CONTEXT}/seccompProfile/type", "Localhost"),
    ("volumes", "spec/volumes/-", {"name": "far", "nfs": {"server": "a", "path": "/"}}),
]


def template(name: str) -> pod_security.Template:
    """An overlay's pod."""
    found = job(name)["spec"]["template"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", OVERLAYS)
def test_restricted_admits_the_pod(name: str) -> None:
    """Pod Security "restricted" has nothing against a pod, on either platform."""
    assert pod_security.refused(template(name)) == {}


@pytest.mark.parametrize(("control", "path", "value"), POD_SECURITY_BREAKAGES)
def test_restricted_refuses_what_breaks_a_control(control: str, path: str, value: Any) -> None:
    """A pod that breaks one control of "restricted" is refused, and by that control."""
    broken = changed(template("claude-kubernetes"), path, value)
    assert control in pod_security.refused(broken)


def test_each_control_is_broken_once() -> None:
    """No control of the table is there without a pod that shows it to work."""
    names = [control.name for control in pod_security.CONTROLS]
    assert {control for control, _, _ in POD_SECURITY_BREAKAGES} == set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", [name for name in OVERLAYS if name.endswith("openshift")])
def test_restricted_v2_admits_the_pod(name: str) -> None:
    """OpenShift's "restricted-v2" admits a pod, and no wider constraint is taken for it."""
    pod = template(name)
    assert openshift_constraints.refused(pod) == {}
    assert pod["metadata"]["annotations"]["openshift.io/required-scc"] == "restricted-v2"


@pytest.mark.parametrize(("field", "path", "value"), OPENSHIFT_BREAKAGES)
def test_restricted_v2_refuses_what_breaks_a_field(field: str, path: str, value: Any) -> None:
    """A pod that breaks one field of "restricted-v2" is refused, and by that field."""
    assert field in openshift_constraints.refused(
        changed(template("claude-openshift"), path, value)
    )


def test_each_field_is_broken_once() -> None:
    """Every field of the constraint that restricts something is checked, and shown to be."""
    free = {
        name
        for name, value in openshift_constraints.RESTRICTED_V2.items()
        if value == {"type": "RunAsAny"}
    }
    restricting = set(openshift_constraints.RESTRICTED_V2) - free
    assert {field for field, _, _ in OPENSHIFT_BREAKAGES} == restricting
    assert set(openshift_constraints.CHECKS) == restricting


@pytest.mark.parametrize("image", ["claude", "langgraph"])
def test_numeric_ids_stand_where_the_platform_sets_none(image: str) -> None:
    """Plain Kubernetes is told the image's user; OpenShift is told no number at all."""
    ids = ("runAsUser", "runAsGroup", "fsGroup", "supplementalGroups", "seLinuxOptions")
    said = {
        platform: {
            name: value
            for name in ids
            for _, value in pod_security.settings(template(f"{image}-{platform}"), name)
        }
        for platform in ("kubernetes", "openshift")
    }
    assert said["kubernetes"] == {"runAsUser": 10001, "runAsGroup": 0, "fsGroup": 10001}
    assert said["openshift"] == {}
