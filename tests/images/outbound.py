"""How often anything in this network namespace wanted to send where no way leads.

`python outbound.py` prints it. The kernel counts a connection or a datagram that finds no route.
"""

from __future__ import annotations

from pathlib import Path


def unreachable() -> int:
    """Tries so far, of both versions of the protocol."""
    lines = Path("/proc/net/snmp").read_text().splitlines()
    names, values = (line.split()[1:] for line in lines if line.startswith("Ip:"))
    counted = int(dict(zip(names, values, strict=True))["OutNoRoutes"])
    for line in Path("/proc/net/snmp6").read_text().splitlines():
        name, value = line.split()
        counted += int(value) if name == "Ip6OutNoRoutes" else 0
    return counted


if __name__ == "__main__":
    print(unreachable())
