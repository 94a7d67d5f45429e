"""Describes what a host has as a lab, so that it can be kept in a file, applied again, or applied elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from novacron.handles.changes import configuration_of
from novacron.labs.differences import LAB

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle


def describe(host: HostHandle, vms: Iterable[VMHandle] | None = None, *, name: str = "lab") -> dict[str, Any]:
    """Return a lab with VMs of a host and the networks and storage pools that they use, as plain values.

    Applied to the same host, it changes nothing. Applied to another, it creates VMs with empty disks of the same sizes.

    Args:
        host: the host.
        vms: VMs of the host; all VMs, networks and storage pools when None.
        name: the name of the lab.

    Example:
        >>> import novacron
        >>> host = novacron.connect("sim://described?vms=1")
        >>> describe(host)["vms"]["vm-00001"]["vcpus"]
        2
    """
    chosen = [vm.refresh() for vm in vms] if vms is not None else list(host.vms.list(detail="full"))
    networks = {nic.network for vm in chosen for nic in vm.record.nics or () if nic.type == "network"}
    pools = {disk.pool for vm in chosen for disk in vm.record.disks or () if disk.pool}
    found: dict[str, Any] = {"name": name}
    if host.supports("pool_list"):
        found["pools"] = {
            pool.name: {"type": pool.type, "path": pool.path}
            for pool in host.pools.list()
            if (vms is None or pool.name in pools) and pool.type == "dir"
        }
    if host.supports("network_list"):
        found["networks"] = {
            network.name: _network(network) for network in host.networks.list() if vms is None or network.name in networks
        }
    found["vms"] = {vm.name: _vm(vm) for vm in sorted(chosen, key=lambda vm: vm.name)}
    return {key: value for key, value in found.items() if value}


def _network(network: Any) -> dict[str, Any]:
    first, last = network.dhcp_ranges[0] if network.dhcp_ranges else (None, None)
    fields = {
        "type": network.type,
        "bridge": network.bridge if network.type == "bridged" else None,
        "device": network.native.get("device") if network.type == "macvtap" else None,
        "cidr": network.cidrs[0] if network.cidrs else None,
        "dhcp_start": first,
        "dhcp_end": last,
        "dhcp_hosts": [dict(each) for each in network.dhcp_hosts],
        "dns_hosts": [dict(each) for each in network.dns_hosts],
        "domain": network.domain,
    }
    return {name: value for name, value in fields.items() if value}


def _vm(vm: VMHandle) -> dict[str, Any]:
    from novacron.specs import VMSpec

    found: dict[str, Any] = {}
    for name, value in configuration_of(vm).fields.items():
        field = VMSpec.model_fields.get(name)
        if field is None or value in (None, [], {}, ""):
            continue
        default = field.get_default(call_default_factory=True)
        plain = default.model_dump(mode="json") if hasattr(default, "model_dump") else default
        if name in ("vcpus", "memory") or (value != plain and value != default):
            found[name] = value
    if found.get("vcpus_max") == found["vcpus"]:
        del found["vcpus_max"]
    metadata = {key: value for key, value in (found.pop("metadata", None) or {}).items() if key != LAB}
    found |= {"metadata": metadata} if metadata else {}
    if vm.record.firmware not in (None, "bios"):
        found["firmware"] = vm.record.firmware
    found["disks"] = [_disk(disk) for disk in vm.record.disks or () if disk.device == "disk" and disk.size_bytes]
    found["nics"] = [_nic(nic) for nic in vm.record.nics or () if nic.type == "network" and nic.network]
    found["running"] = vm.status == "running"
    return {name: value for name, value in found.items() if value != []}


def _disk(disk: Any) -> dict[str, Any]:
    fields = {"size": disk.size_bytes, "pool": disk.pool, "bus": disk.bus, "boot_order": disk.boot_order}
    return {name: value for name, value in fields.items() if value}


def _nic(nic: Any) -> dict[str, Any]:
    fields = {"network": nic.network, "mac": nic.mac, "model": nic.model, "vlan": nic.vlan, "filter": nic.filter}
    return {name: value for name, value in fields.items() if value}


__all__ = ["describe"]
