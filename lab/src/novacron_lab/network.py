"""The lab's network: one bridge, a network namespace with a veth pair for each host. Hosts and guests share one segment."""

from __future__ import annotations

import json

from novacron_lab.running import LabError, run

GUEST_BRIDGE = "guests"
"""The bridge inside each host, to which its guests attach; it carries the host's own address too."""


def free_subnet() -> int:
    """Return the first N for which 10.231.N.0/24 is used by no interface of this machine. Raises LabError."""
    used = {
        info["local"].split(".")[2]
        for link in json.loads(run("ip", "-j", "-4", "address").stdout or "[]")
        for info in link.get("addr_info", [])
        if info["local"].startswith("10.231.")
    }
    number = next((n for n in range(256) if str(n) not in used), None)
    if number is None:
        raise LabError("all of 10.231.0.0/16 is in use", hint="take a lab down")
    return number


def make_bridge(bridge: str, subnet: int) -> None:
    """Make the lab's bridge; it has the address .1."""
    run("ip", "link", "add", bridge, "type", "bridge")
    run("ip", "address", "add", f"10.231.{subnet}.1/24", "dev", bridge)
    run("ip", "link", "set", bridge, "up")


def make_host(namespace: str, bridge: str, link: str, address: str) -> None:
    """Make a host's namespace with its guest bridge, joined to the lab's bridge by `link`."""
    run("ip", "netns", "add", namespace)
    run("ip", "link", "add", link, "type", "veth", "peer", "name", "uplink", "netns", namespace)
    run("ip", "link", "set", link, "master", bridge, "up")
    inside = ("ip", "-n", namespace)
    run(*inside, "link", "set", "lo", "up")
    run(*inside, "link", "add", GUEST_BRIDGE, "type", "bridge")
    run(*inside, "link", "set", "uplink", "master", GUEST_BRIDGE, "up")
    run(*inside, "address", "add", f"{address}/24", "dev", GUEST_BRIDGE)
    run(*inside, "link", "set", GUEST_BRIDGE, "up")


def set_link(link: str, *, up: bool) -> None:
    """Plug or unplug a host's cable."""
    run("ip", "link", "set", link, "up" if up else "down")


def remove_host(namespace: str, link: str) -> None:
    """Remove a host's namespace; nothing happens when it is gone."""
    run("ip", "link", "delete", link, check=False)
    run("ip", "netns", "delete", namespace, check=False)


def remove_bridge(bridge: str) -> None:
    """Remove the lab's bridge; nothing happens when it is gone."""
    run("ip", "link", "delete", bridge, check=False)


__all__ = ["GUEST_BRIDGE", "free_subnet", "make_bridge", "make_host", "remove_bridge", "remove_host", "set_link"]
