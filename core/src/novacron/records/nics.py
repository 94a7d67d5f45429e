"""NICs of a VM, and MAC addresses that several NICs have."""

from __future__ import annotations

from novacron.records.record import Record


class NIC(Record, frozen=True):
    """A network interface of a VM, named by its MAC address. A trunk carries the VLANs of `vlan_trunk`; its `vlan` is None."""

    mac: str
    type: str = "network"
    network: str | None = None
    model: str | None = None
    target: str | None = None
    link_up: bool = True
    mtu: int | None = None
    vlan: int | None = None
    vlan_trunk: tuple[int, ...] = ()
    portgroup: str | None = None
    filter: str | None = None
    isolated: bool = False
    inbound_bytes_per_second: int | None = None
    outbound_bytes_per_second: int | None = None
    addresses: tuple[str, ...] = ()


class MACClash(Record, frozen=True):
    """A MAC address that several NICs of a fleet have; `vms` are their VMs as "host/name", one for each NIC."""

    mac: str
    vms: tuple[str, ...]


__all__ = ["MACClash", "NIC"]
