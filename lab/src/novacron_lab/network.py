"""The lab's network: a namespace with a bridge, the switch, and one for each host, cabled to it. Hosts and guests share one segment.

On this machine itself there is only the end of one cable; it goes with the switch's namespace, also when nobody takes the lab down.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from novacron_lab.running import LabError, run

NAMESPACES = Path("/run/netns")
"""Where `ip netns` keeps the named network namespaces."""
IPV6 = Path("/proc/sys/net/ipv6")
"""It exists where the kernel has IPv6."""
MIGRATION_PORTS = "49152:49215"
"""The ports at which QEMU accepts the memory and disks of migrating VMs, libvirt's default."""
Way = Literal["requests", "answers", "both ways"]
"""Which packets of a service are lost: those of its clients, its own, or both."""
SWITCH_BRIDGE = "switch"
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


def make_switch(switch: str, link: str, subnet: int) -> None:
    """Make the switch's namespace with its bridge (address .2), cabled to this machine by `link` (address .1)."""
    run("ip", "netns", "add", switch)
    inside = ("ip", "-n", switch)
    run(*inside, "link", "set", "lo", "up")
    _make_bridge(switch, SWITCH_BRIDGE, f"10.231.{subnet}.2")
    run(*inside, "link", "set", SWITCH_BRIDGE, "up")
    run("ip", "link", "add", link, "type", "veth", "peer", "name", "uplink", "netns", switch)
    run(*inside, "link", "set", "uplink", "master", SWITCH_BRIDGE, "up")
    run("ip", "address", "add", f"10.231.{subnet}.1/24", "dev", link)
    run("ip", "link", "set", link, "up")


def make_host(namespace: str, switch: str, port: str, address: str, peers: Sequence[str]) -> None:
    """Make a host's namespace with its guest bridge, cabled to a port of the switch.

    QEMU does not authenticate who connects to its migration ports, so only the hosts of the lab (`peers`) may connect. QEMU listens on IPv4
    and IPv6, and the hosts use IPv4. Nobody may connect over IPv6, where everybody on the wire has a link-local address.
    """
    run("ip", "netns", "add", namespace)
    run("ip", "-n", switch, "link", "add", port, "type", "veth", "peer", "name", "uplink", "netns", namespace)
    run("ip", "-n", switch, "link", "set", port, "master", SWITCH_BRIDGE, "up")
    inside = ("ip", "-n", namespace)
    run(*inside, "link", "set", "lo", "up")
    _make_bridge(namespace, GUEST_BRIDGE, address)
    run(*inside, "link", "set", "uplink", "master", GUEST_BRIDGE, "up")
    run(*inside, "link", "set", GUEST_BRIDGE, "up")
    enter = ("ip", "netns", "exec", namespace)
    rule = ("--wait", "-A", "INPUT", "-p", "tcp", "--dport", MIGRATION_PORTS)
    for peer in peers:
        run(*enter, "iptables", *rule, "-s", peer, "-j", "ACCEPT")
    for family in ("iptables", "ip6tables") if IPV6.exists() else ("iptables",):
        run(*enter, family, *rule, "-j", "REJECT", "--reject-with", "tcp-reset")


def _make_bridge(namespace: str, name: str, address: str) -> None:
    """Make a bridge with a MAC address of its own. Otherwise it takes the lowest of its ports', and a new port can change it: then
    neighbours that know the old one get no answer until they ask for it again."""
    mac = ":".join(f"{number:02x}" for number in (2, 0, *map(int, address.split("."))))
    run("ip", "-n", namespace, "link", "add", name, "address", mac, "type", "bridge")
    run("ip", "-n", namespace, "address", "add", f"{address}/24", "dev", name)


def set_link(switch: str, port: str, *, up: bool) -> None:
    """Plug or unplug a host's cable."""
    run("ip", "-n", switch, "link", "set", port, "up" if up else "down")


def cut_service(namespace: str, port: int, way: Way, *, client: bool = False) -> None:
    """Drop the packets between a TCP service and its clients, in one direction or both. Nobody is told: connections stay open.

    Args:
        namespace: the namespace of the service, or of a client.
        port: the service's port.
        way: which packets are lost.
        client: whether the namespace is a client's.
    """
    for rule in _rules(port, way, client):
        run("ip", "netns", "exec", namespace, "iptables", "--wait", "-I", *rule)


def mend_service(namespace: str, port: int) -> None:
    """End all that `cut_service` did to a service in a namespace."""
    for client in (False, True):
        for rule in _rules(port, "both ways", client):
            while run("ip", "netns", "exec", namespace, "iptables", "--wait", "-D", *rule, check=False).returncode == 0:
                pass


def _rules(port: int, way: Way, client: bool) -> list[list[str]]:
    inward, outward = ("--sport", "--dport") if client else ("--dport", "--sport")
    rules = {"INPUT": inward, "OUTPUT": outward}
    requests = "OUTPUT" if client else "INPUT"
    chosen = [chain for chain in rules if way == "both ways" or (chain == requests) == (way == "requests")]
    return [[chain, "-p", "tcp", rules[chain], str(port), "-j", "DROP"] for chain in chosen]


def processes(namespace: str) -> list[int]:
    """Return the pids of all processes in a network namespace; none when there is no such namespace."""
    try:
        wanted = os.stat(NAMESPACES / namespace)
    except FileNotFoundError:
        return []
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                own = os.stat(f"/proc/{entry}/ns/net")
            except OSError:
                continue  # it has ended
            if (own.st_dev, own.st_ino) == (wanted.st_dev, wanted.st_ino):
                found.append(int(entry))
    return found


def remove_host(namespace: str) -> None:
    """Remove a host's namespace and its cable; nothing happens when it is gone."""
    run("ip", "netns", "delete", namespace, check=False)


def remove_switch(switch: str, link: str) -> None:
    """Remove the switch's namespace and the cable to it; nothing happens when they are gone."""
    run("ip", "link", "delete", link, check=False)
    run("ip", "netns", "delete", switch, check=False)


__all__ = [
    "GUEST_BRIDGE",
    "SWITCH_BRIDGE",
    "Way",
    "cut_service",
    "free_subnet",
    "make_host",
    "make_switch",
    "mend_service",
    "processes",
    "remove_host",
    "remove_switch",
    "set_link",
]
