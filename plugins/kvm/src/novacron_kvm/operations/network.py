"""Networks and DHCP leases."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from novacron.plugins import hookimpl
from novacron.records.network import DHCPLease, Network
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.xml.parsing import parse, text_of


class KVMNetwork:
    """Reads networks; creating and changing them is not here yet."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def network_list(self) -> list[Network]:
        """List all networks."""
        with translated("network_list"):
            return sorted((self._record(n) for n in self._connection.read.listAllNetworks(0)), key=lambda n: n.name)

    @hookimpl
    def network_get(self, network: str) -> Network:
        """Return one."""
        with translated("network_get", network):
            return self._record(self._connection.read.networkLookupByName(network))

    @hookimpl
    def lease_list(self, network: str) -> list[DHCPLease]:
        """List the leases that libvirt's own DHCP server gave."""
        with translated("lease_list", network):
            leases = self._connection.read.networkLookupByName(network).DHCPLeases()
        found = [
            DHCPLease(
                network=network, mac=lease["mac"], address=lease["ipaddr"], hostname=lease.get("hostname"),
                expires_at=datetime.fromtimestamp(lease["expirytime"], UTC).isoformat() if lease.get("expirytime") else None,
            )
            for lease in leases
        ]  # fmt: skip
        return sorted(found, key=lambda lease: lease.address)

    def _record(self, network: Any) -> Network:
        root = parse(network.XMLDesc(0))
        mode = text_of(root, "forward/@mode")
        kinds = {None: "isolated", "route": "routed", "bridge": "bridged", "private": "macvtap", "passthrough": "macvtap"}
        return Network(
            name=network.name(), host=self._connection.name, active=bool(network.isActive()), id=network.UUIDString(),
            type=("nat" if root.find("forward") is not None and mode is None else kinds.get(mode, mode)) or "isolated",
            bridge=text_of(root, "bridge/@name"), autostart=bool(network.autostart()),
            cidrs=tuple(f"{ip.get('address')}/{ip.get('prefix') or ip.get('netmask')}" for ip in root.iterfind("ip")),
            portgroups=tuple(p.get("name") for p in root.iterfind("portgroup")),
        )  # fmt: skip


__all__ = ["KVMNetwork"]
