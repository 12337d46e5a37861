"""A runner reaches its gateway, name service, models and forges, and nothing else."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_access import Address, Labels, Manifest, Pod, accepts_anybody, may_reach
from rendered_manifests import OVERLAYS, PLATFORMS, ROOT, one, overlay, render, write_kustomization

METADATA = (
    "169.254.169.254",  # most clouds
    "169.254.170.2",  # a container service's credentials
    "169.254.170.23",  # a pod's identity
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "::ffff:169.254.169.254",
    "64:ff9b::169.254.169.254",
)
CLOSED = tuple(
    map(
        ip_network,
        (
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "224.0.0.0/4",
            "240.0.0.0/4",
            "::1/128",
            "fc00::/7",
            "fe80::/10",
            "ff00::/8",
        ),
    )
)
DNS = {
    "kubernetes": (
        Pod({"k8s-app": "kube-dns"}, {"kubernetes.io/metadata.name": "kube-system"}),
        53,
    ),
    "openshift": (
        Pod(
            {"dns.operator.openshift.io/daemonset-dns": "default"},
            {"kubernetes.io/metadata.name": "openshift-dns"},
        ),
        5353,
    ),
}
GATEWAY = Pod({"app.kubernetes.io/name": "runner-gateway"})
PORTS = st.sampled_from([53, 443, 5353, 8765]) | st.integers(1, 65535)
PROTOCOLS = st.sampled_from(["TCP", "UDP", "SCTP"])


def policies(name: str) -> list[Manifest]:
    """An overlay's policies."""
    return [each for each in overlay(name) if each["kind"] == "NetworkPolicy"]


def labels(name: str) -> Labels:
    """The labels of an overlay's pods."""
    found = one(overlay(name), "Job")["spec"]["template"]["metadata"]["labels"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", OVERLAYS)
def test_what_a_runner_needs_is_reached(name: str) -> None:
    """Name service, a gateway in the namespace, and any public address at 443."""
    dns, port = DNS[name.rpartition("-")[2]]
    allowed, runner = policies(name), labels(name)
    assert may_reach(allowed, runner, dns, port, "UDP")
    assert may_reach(allowed, runner, dns, port, "TCP")
    assert may_reach(allowed, runner, GATEWAY, 8765)
    for public in ("8.8.8.8", "140.82.112.3", "2606:4700::1111"):
        assert may_reach(allowed, runner, Address(public), 443)


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_gateway_that_is_dialled_unless_told_is_reached(name: str) -> None:
    """The session's default gateway is the service whose pods the policies open, at that port."""
    gateway = urlsplit(one(overlay(name), "ConfigMap")["data"]["RUNNER_GATEWAY"])
    pod = Pod({"app.kubernetes.io/name": gateway.hostname or ""})
    assert may_reach(policies(name), labels(name), pod, gateway.port or 0)


@pytest.mark.parametrize("name", OVERLAYS)
@pytest.mark.parametrize("address", METADATA)
def test_no_metadata_service_is_reached(name: str, address: str) -> None:
    """A cloud's metadata, which hands out the node's credentials, is closed at every port tried."""
    allowed, runner = policies(name), labels(name)
    for port in (53, 80, 443, 988, 5353, 8765, 32526):
        for protocol in ("TCP", "UDP"):
            assert not may_reach(allowed, runner, Address(address), port, protocol)


@settings(deadline=None)
@given(
    address=st.sampled_from(CLOSED).flatmap(lambda network: st.ip_addresses(network=network)),
    port=PORTS,
    protocol=PROTOCOLS,
)
def test_no_private_address_is_reached(
    address: IPv4Address | IPv6Address, port: int, protocol: str
) -> None:
    """No node, no service, no API server, no neighbour, no group of them: whatever the port."""
    for platform in PLATFORMS:
        name = f"claude-{platform}"
        assert not may_reach(policies(name), labels(name), Address(str(address)), port, protocol)


@settings(deadline=None)
@given(address=st.ip_addresses(), port=PORTS, protocol=PROTOCOLS)
def test_nothing_outside_is_reached_but_at_443(
    address: IPv4Address | IPv6Address, port: int, protocol: str
) -> None:
    """A public address is open for TCP at port 443 alone."""
    reached = may_reach(
        policies("claude-kubernetes"),
        labels("claude-kubernetes"),
        Address(str(address)),
        port,
        protocol,
    )
    assert not reached or (port, protocol) == (443, "TCP")


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_other_pod_is_reached_and_none_reaches_in(name: str) -> None:
    """Other pods are closed, also those elsewhere with the gateway's label; nothing comes in."""
    allowed, runner = policies(name), labels(name)
    elsewhere = {"kubernetes.io/metadata.name": "other"}
    strangers = [
        Pod({}),
        Pod(runner),
        Pod({}, elsewhere),
        GATEWAY._replace(namespace=elsewhere),
        DNS["kubernetes"][0]._replace(namespace=elsewhere),
    ]
    for stranger in strangers:
        for port in (53, 443, 5353, 6443, 8765):
            assert not may_reach(allowed, runner, stranger, port)
    assert not may_reach(allowed, runner, GATEWAY, 443)
    assert not accepts_anybody(allowed, runner)


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_hole_lies_within_its_block(name: str) -> None:
    """An API server refuses an exception that is not inside of what it is taken from."""
    blocks = [
        peer["ipBlock"]
        for policy in policies(name)
        for rule in policy["spec"].get("egress", ())
        for peer in rule["to"]
        if "ipBlock" in peer
    ]
    assert blocks
    for block in blocks:
        whole = ip_network(block["cidr"])
        for hole in map(ip_network, block["except"]):
            assert hole.version == whole.version
            assert hole.prefixlen > whole.prefixlen


@pytest.mark.parametrize("platform", PLATFORMS)
def test_policies_of_the_namespace_hold_for_every_session(platform: str) -> None:
    """Policies that are applied once are those that the complete overlay has."""
    alone = [
        each for each in render(ROOT / "namespaces" / platform) if each["kind"] == "NetworkPolicy"
    ]
    assert alone == policies(f"claude-{platform}")


def test_with_a_proxy_nothing_else_is_reached(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With the component for a proxy the Internet is closed, and the runner knows the proxy."""
    directory = write_kustomization(
        tmp_path_factory.mktemp("proxy"), ROOT / "overlays" / "claude-kubernetes", ["egress-proxy"]
    )
    manifests = render(directory)
    allowed = [each for each in manifests if each["kind"] == "NetworkPolicy"]
    runner = labels("claude-kubernetes")
    assert not may_reach(allowed, runner, Address("8.8.8.8"), 443)
    assert may_reach(allowed, runner, Pod({"app.kubernetes.io/name": "egress-proxy"}), 3128)
    assert may_reach(allowed, runner, GATEWAY, 8765)
    [container] = one(manifests, "Job")["spec"]["template"]["spec"]["containers"]
    told = {variable["name"]: variable["value"] for variable in container["env"]}
    assert told["HTTPS_PROXY"] == "http://egress-proxy:3128"
    assert told["NO_PROXY"] == "runner-gateway"
