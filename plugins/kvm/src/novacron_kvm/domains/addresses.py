"""The IP addresses of a VM's NICs, from the guest agent, libvirt's DHCP servers and the host's neighbour table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import libvirt

from novacron.errors import GuestAgentError, NovaCronError, UnsupportedOperationError, either
from novacron.records.nics import AddressSource, NICAddress
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.xml.parsing import parse

SOURCES: dict[AddressSource, int] = {
    "agent": libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT,
    "lease": libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE,
    "arp": libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP,
}
"""libvirt's sources, the most reliable one first."""


def list_addresses(connection: KVMConnection, vm: str, source: str | None) -> list[NICAddress]:
    """Return the addresses of a VM's NICs, in the order of the NICs, IPv4 before IPv6.

    Raises:
        VMNotFoundError: there is no such VM.
        GuestAgentUnavailableError: only the agent is asked, and it does not answer.
        UnsupportedOperationError: `source` is none of libvirt's.
    """
    found: dict[tuple[str, str], NICAddress] = {}
    with connection.dedicated() as conn, translated(resource=vm):  # the agent may take its time to answer
        domain = connection.domain(vm, conn)
        if source is not None and source not in SOURCES:
            raise UnsupportedOperationError(
                f"there is no source {source!r} of addresses", hint=f"the sources are {either([*SOURCES])}"
            )
        macs = [mac.get("address", "").lower() for mac in parse(domain.XMLDesc(0)).iterfind("devices/interface/mac")]
        if domain.isActive():
            for each in SOURCES if source is None else (source,):
                for record in _reported(domain, each, must_answer=source is not None):
                    if record.mac in macs:
                        found.setdefault((record.mac, record.address), record)
    return sorted(found.values(), key=lambda record: (macs.index(record.mac), record.family))


def _reported(domain: Any, source: Any, *, must_answer: bool) -> Iterator[NICAddress]:
    try:
        with translated(resource=domain.name()):
            interfaces = domain.interfaceAddresses(SOURCES[source]) or {}
    except GuestAgentError:
        if must_answer:
            raise
        return  # no agent, or it does not run
    except NovaCronError:
        if must_answer or source == "lease":
            raise
        return
    for name, interface in interfaces.items():
        for address in interface.get("addrs") or ():
            record = NICAddress.usable(
                vm=domain.UUIDString(),
                mac=interface.get("hwaddr") or "",
                address=str(address.get("addr") or ""),
                prefix=address.get("prefix") if source != "arp" else None,  # libvirt reports 0 for the neighbour table
                interface=name if source == "agent" else None,
                source=source,
            )
            if record is not None:
                yield record


__all__ = ["SOURCES", "list_addresses"]
