"""The Pod Security Standard "restricted", as a table: each control a row.

What a pod's template breaks is told by the control's name. Where "baseline" and "restricted" both
have a row on one field, both stand here.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/, with the rows that
Kubernetes 1.34 has; "Host Probes / Lifecycle Hooks" by KEP-4940.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from typing import Any, NamedTuple

Template = dict[str, Any]
Values = Iterator[tuple[str, Any]]

BASELINE_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)
SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
    }
)
VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")


class Control(NamedTuple):
    """One row of the standard.

    Attributes:
        name: As the standard calls it.
        broken: Gives each place in a pod's template that breaks it.
    """

    name: str
    broken: Callable[[Template], Iterator[str]]


def refused(template: Template) -> dict[str, list[str]]:
    """The controls that a pod's template breaks, each with the places."""
    found = {control.name: list(control.broken(template)) for control in CONTROLS}
    return {name: places for name, places in found.items() if places}


def containers(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every container, of whatever kind, with its place."""
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for number, container in enumerate(template["spec"].get(kind, ())):
            yield f"{kind}[{number}]", container


def settings(template: Template, *names: str, pod: bool = True) -> Values:
    """A field of the security contexts, wherever it is set.

    Args:
        template: The pod's template.
        names: The way to it within a security context.
        pod: Whether the pod's own has it too.
    """
    holders = [("spec", template["spec"])] if pod else []
    for place, holder in [*holders, *containers(template)]:
        value: Any = holder.get("securityContext")
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            yield f"{place}.securityContext.{'.'.join(names)}", value


def effective(template: Template, *names: str) -> Values:
    """A field of each container, by its own word or else by the pod's; None where nobody says."""
    own = dict(settings(template, *names))
    suffix = f"securityContext.{'.'.join(names)}"
    for place, _ in containers(template):
        yield place, own.get(f"{place}.{suffix}", own.get(f"spec.{suffix}"))


def _not_in(values: Values, allowed: Container[Any]) -> Iterator[str]:
    return (place for place, value in values if value not in allowed)


def _each(template: Template, name: str) -> Values:
    for place, container in containers(template):
        yield place, container.get("securityContext", {}).get(name)


def _host_namespaces(template: Template) -> Iterator[str]:
    return (n for n in ("hostNetwork", "hostPID", "hostIPC") if template["spec"].get(n))


def _added(template: Template) -> Values:
    for place, added in settings(template, "capabilities", "add", pod=False):
        yield from ((place, capability) for capability in added)


def _volumes(template: Template) -> Iterator[str]:
    for volume in template["spec"].get("volumes", ()):
        yield from (key for key in volume if key != "name")


def _host_ports(template: Template) -> Iterator[str]:
    for place, container in containers(template):
        yield from (place for port in container.get("ports", ()) if port.get("hostPort"))


def _host_probes(template: Template) -> Iterator[str]:
    for place, container in containers(template):
        handlers = [container.get(f"{kind}Probe") for kind in ("liveness", "readiness", "startup")]
        handlers += container.get("lifecycle", {}).values()
        for handler in filter(None, handlers):
            if any(handler.get(way, {}).get("host") for way in ("httpGet", "tcpSocket")):
                yield place


def _app_armor(template: Template) -> Iterator[str]:
    for name, value in template["metadata"].get("annotations", {}).items():
        if name.startswith("container.apparmor.security.beta.kubernetes.io/") and not (
            value == "runtime/default" or value.startswith("localhost/")
        ):
            yield name
    profiles = settings(template, "appArmorProfile", "type")
    yield from _not_in(profiles, ("RuntimeDefault", "Localhost"))


def _selinux(template: Template) -> Iterator[str]:
    yield from _not_in(settings(template, "seLinuxOptions", "type"), SELINUX_TYPES)
    for name in ("user", "role"):
        yield from _not_in(settings(template, "seLinuxOptions", name), ("",))


def _sysctls(template: Template) -> Iterator[str]:
    for _, sysctls in settings(template, "sysctls"):
        yield from (one["name"] for one in sysctls if one["name"] not in SAFE_SYSCTLS)


def _drops_all(template: Template) -> Iterator[str]:
    for place, container in containers(template):
        capabilities = container.get("securityContext", {}).get("capabilities", {})
        if "ALL" not in capabilities.get("drop", ()):
            yield place
        if set(capabilities.get("add", ())) - {"NET_BIND_SERVICE"}:
            yield place


CONTROLS: tuple[Control, ...] = (
    # Of the level "baseline"
    Control(
        "HostProcess",
        lambda t: _not_in(settings(t, "windowsOptions", "hostProcess"), (False,)),
    ),
    Control("Host Namespaces", _host_namespaces),
    Control(
        "Privileged Containers", lambda t: _not_in(settings(t, "privileged", pod=False), (False,))
    ),
    Control("Capabilities (baseline)", lambda t: _not_in(_added(t), BASELINE_CAPABILITIES)),
    Control("HostPath Volumes", lambda t: (key for key in _volumes(t) if key == "hostPath")),
    Control("Host Ports", _host_ports),
    Control("Host Probes / Lifecycle Hooks", _host_probes),
    Control("AppArmor", _app_armor),
    Control("SELinux", _selinux),
    Control(
        "/proc Mount Type", lambda t: _not_in(settings(t, "procMount", pod=False), ("Default",))
    ),
    Control(
        "Seccomp (baseline)",
        lambda t: _not_in(settings(t, "seccompProfile", "type"), ("RuntimeDefault", "Localhost")),
    ),
    Control("Sysctls", _sysctls),
    # Of the level "restricted"
    Control("Volume Types", lambda t: (key for key in _volumes(t) if key not in VOLUMES)),
    Control(
        "Privilege Escalation",
        lambda t: _not_in(_each(t, "allowPrivilegeEscalation"), (False,)),
    ),
    Control("Running as Non-root", lambda t: _not_in(effective(t, "runAsNonRoot"), (True,))),
    Control(
        "Running as Non-root user",
        lambda t: (place for place, user in settings(t, "runAsUser") if user == 0),
    ),
    Control(
        "Seccomp (restricted)",
        lambda t: _not_in(effective(t, "seccompProfile", "type"), ("RuntimeDefault", "Localhost")),
    ),
    Control("Capabilities (restricted)", _drops_all),
)
