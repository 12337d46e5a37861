"""Whether NetworkPolicies let a pod out to a destination, as an enforcing network would decide.

Source: "Network Policies" in Kubernetes' documentation: policies add up, a pod that none selects is
free, and a peer matches by namespace and pod labels or by address.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

Manifest = dict[str, Any]
Labels = dict[str, str]


class Pod(NamedTuple):
    """A destination in the cluster.

    Attributes:
        labels: Its own.
        namespace: Its namespace's labels; None for the namespace of the policies.
    """

    labels: Labels
    namespace: Labels | None = None


class Address(NamedTuple):
    """A destination outside of the cluster.

    Attributes:
        text: Its IP address.
    """

    text: str


def may_reach(
    policies: list[Manifest],
    labels: Labels,
    to: Pod | Address,
    port: int,
    protocol: str = "TCP",
) -> bool:
    """Whether a pod with these labels may open a connection."""
    egress = _applying(policies, labels, "Egress")
    if not egress:
        return True
    rules = [rule for policy in egress for rule in policy["spec"].get("egress", ())]
    return any(_port_matches(rule, port, protocol) and _peer_matches(rule, to) for rule in rules)


def accepts_anybody(policies: list[Manifest], labels: Labels) -> bool:
    """Whether anything at all may open a connection to a pod with these labels."""
    ingress = _applying(policies, labels, "Ingress")
    return not ingress or any(policy["spec"].get("ingress") for policy in ingress)


def _applying(policies: list[Manifest], labels: Labels, direction: str) -> list[Manifest]:
    return [
        policy
        for policy in policies
        if direction in policy["spec"]["policyTypes"]
        and _selects(policy["spec"]["podSelector"], labels)
    ]


def _selects(selector: Manifest, labels: Labels) -> bool:
    assert set(selector) <= {"matchLabels"}, "expressions are not understood here"
    wanted: Labels = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()


def _port_matches(rule: Manifest, port: int, protocol: str) -> bool:
    ports = rule.get("ports")
    if not ports:
        return True
    return any(
        (one.get("port", port), one.get("protocol", "TCP")) == (port, protocol) for one in ports
    )


def _peer_matches(rule: Manifest, to: Pod | Address) -> bool:
    peers = rule.get("to")
    if not peers:
        return True
    if isinstance(to, Address):
        return any("ipBlock" in peer and _within(peer["ipBlock"], to.text) for peer in peers)
    return any("ipBlock" not in peer and _is(peer, to) for peer in peers)


def _within(block: Manifest, text: str) -> bool:
    address = ip_address(text)
    return address in ip_network(block["cidr"]) and not any(
        address in ip_network(hole) for hole in block.get("except", ())
    )


def _is(peer: Manifest, pod: Pod) -> bool:
    if "namespaceSelector" in peer:
        here = _selects(peer["namespaceSelector"], pod.namespace or {})
    else:
        here = pod.namespace is None
    return here and _selects(peer.get("podSelector", {}), pod.labels)
