"""Finds a VM's IP addresses: by the driver's own list, or else by the NICs' records, DHCP leases and the guest agent."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Literal

import msgspec

from novacron.errors import GuestAgentError, InvalidStateError, NotFoundError, UnsupportedOperationError
from novacron.threads import fan_out

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle
    from novacron.records.nics import NICAddress
    from novacron.records.vm import VM

PATIENCE, AT_ONCE = 5.0, 16
"""Seconds that a VM of a list may take to tell its addresses, and how many VMs are asked at the same time."""
LONGEST = 30.0
"""Seconds after which no more VMs of a list are asked: guest agents that hang would delay a list of 1,000 VMs by minutes."""
Source = Literal["hypervisor", "lease", "agent", "arp", "tools"]


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """An IP address of a VM. `mac` is the NIC's, None where the source does not know it."""

    address: str
    source: Source
    version: int
    mac: str | None = None

    def as_dict(self) -> dict[str, object]:
        """Return plain values."""
        return msgspec.structs.asdict(self)


def addresses_of(vm: VMHandle, *, version: int | None = None) -> list[Address]:
    """Return the addresses of a VM, each once, from the most certain source.

    A driver with `address_list` combines its sources itself and lists only addresses of the VM's own NICs. With other drivers these are
    asked in turn: the NICs' records, DHCP leases, the guest agent. The agent comes last because it also reports bridges within the guest.
    Loopback, link-local and multicast addresses are left out.

    Args:
        vm: The VM.
        version: 4 or 6 for one kind only.
    """
    found = (
        list(_listed(vm))
        if vm.host.supports("address_list")
        else list(_reported(vm)) or list(_leased(vm)) or list(_from_agent(vm))
    )
    return list({each.address: each for each in found if version in (None, each.version)}.values())


def with_addresses(host: HostHandle, records: Sequence[VM], *, seconds: float = PATIENCE, longest: float = LONGEST) -> list[VM]:
    """Return full records of VMs of a host with the addresses of their NICs.

    If a driver does not read addresses with the list, each running VM is asked. One that does not answer in time keeps none.

    Args:
        host: The host of all of them.
        records: Records with NICs; others are returned as they are.
        seconds: How long one VM may take.
        longest: After how many seconds no more VMs are asked; those keep no addresses.

    Example:
        >>> import novacron
        >>> host = novacron.connect("sim://with-addresses")
        >>> vm = host.vms.create(name="web1", nics=[{"network": "default"}], start=True)
        >>> [len(nic.addresses) for nic in with_addresses(host, [vm.record])[0].nics]
        [1]
    """
    read = any(nic.addresses for record in records for nic in record.nics or ())
    asked = [] if read else [record for record in records if record.status == "running" and record.nics]
    if not asked or not host.supports("address_list"):
        return list(records)
    until = time.monotonic() + longest

    def ask(record: VM) -> Sequence[NICAddress]:
        found: Sequence[NICAddress] = () if time.monotonic() > until else host.invoke("address_list", vm=record.id, source=None)
        return found

    answers = fan_out(
        asked,
        ask,
        seconds=seconds,
        limit=AT_ONCE,
        name="novacron-addresses",
    )
    told = {
        record.id: answer.result()
        for record, answer in zip(asked, answers, strict=True)
        if answer.done() and answer.exception() is None
    }
    return [_filled(record, told.get(record.id, ())) for record in records]


def whole_record(vm: VMHandle, *, seconds: float = PATIENCE) -> VM:
    """Return all of a VM: its record with the addresses of its NICs. A record of a listing without details is read again.

    Args:
        vm: The VM.
        seconds: How long the VM may take to tell its addresses.

    Example:
        >>> import novacron
        >>> host = novacron.connect("sim://whole-record")
        >>> _ = host.vms.create(name="web1", nics=[{"network": "default"}], start=True)
        >>> len(whole_record(host.vms["web1"]).nics[0].addresses)
        1
    """
    record = vm.record if vm.record.nics is not None else vm.host.invoke("vm_get", vm=vm.id)
    return with_addresses(vm.host, [record], seconds=seconds)[0]


def _filled(record: VM, found: Sequence[NICAddress]) -> VM:
    """Return a record whose NICs have these addresses."""
    if not found:
        return record
    nics = tuple(
        nic.replace(addresses=tuple(each.address for each in found if each.mac == nic.mac.lower())) for nic in record.nics or ()
    )
    filled: VM = record.replace(nics=nics)
    return filled


def _listed(vm: VMHandle) -> Iterable[Address]:
    records: list[NICAddress] = vm.host.invoke("address_list", vm=vm.id, source=None)
    for record in records:
        version = 4 if record.family == "ipv4" else 6
        yield Address(address=record.address, source=record.source, version=version, mac=record.mac)


def _reported(vm: VMHandle) -> Iterable[Address]:
    for nic in vm.nics:
        yield from _usable(nic.record.addresses, "hypervisor", nic.record.mac)


def _leased(vm: VMHandle) -> Iterable[Address]:
    if not vm.host.supports("lease_list"):
        return
    macs = {nic.record.mac.lower(): nic.record.network for nic in vm.nics}
    for network in sorted({name for name in macs.values() if name}):
        try:
            leases = vm.host.networks.leases(network)
        except (NotFoundError, InvalidStateError, UnsupportedOperationError):
            continue
        for lease in leases:
            if lease.mac.lower() in macs:
                yield from _usable([lease.address], "lease", lease.mac.lower())


def _from_agent(vm: VMHandle) -> Iterable[Address]:
    if not vm.host.supports("guest_info"):
        return
    try:
        yield from _usable(vm.guest.info().addresses, "agent", None)
    except (GuestAgentError, InvalidStateError):
        return


def _usable(addresses: Sequence[str], source: Source, mac: str | None) -> Iterable[Address]:
    for text in addresses:
        address = ip_address(text.partition("/")[0].partition("%")[0])
        if not (address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified):
            yield Address(address=str(address), source=source, version=address.version, mac=mac)


__all__ = ["Address", "addresses_of", "whole_record", "with_addresses"]
