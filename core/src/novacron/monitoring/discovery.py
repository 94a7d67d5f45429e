"""Guests and hosts as targets for Prometheus' service discovery over HTTP (`http_sd_configs`)."""

from __future__ import annotations

from typing import Any

from novacron.handles.addresses import with_addresses
from novacron.monitoring.collector import AskedFleet
from novacron.monitoring.exporter import Target
from novacron.plugins.driver import HostURI
from novacron.specs.query import VMQuery


def host_targets(fleet: AskedFleet) -> list[Target]:
    """Return the hosts of the fleet. A host whose URI names no machine is this machine."""
    found = []
    for host in fleet.list():
        uri = HostURI.parse(host.uri)
        found.append(Target(uri.host or "localhost", {"host": host.name, "scheme": uri.scheme}))
    return found


def guest_targets(fleet: AskedFleet, *, timeout: float = 10.0) -> list[Target]:
    """Return the running VMs whose address is known. Hosts that do not answer in time are left out.

    Args:
        fleet: the hosts.
        timeout: seconds that each host may take.
    """
    names = [host.name for host in fleet.list()]
    query = VMQuery.of(status="running", detail="full")
    answers = fleet.ask(
        names,
        lambda host: with_addresses(host, host.invoke("vm_list", query=query), seconds=timeout / 4, longest=timeout / 2),
        timeout=timeout,
        limit=32,
    )
    found = []
    for answer in answers:
        for vm in () if answer.error is not None else answer.value:
            address = _address(vm)
            if address:
                tags = ",".join(sorted(vm.tags or ()))
                labels = {
                    "vm": vm.id,
                    "name": vm.name,
                    "host": answer.host,
                    "status": vm.status,
                    "tags": f",{tags}," if tags else "",
                }
                found.append(Target(address, labels))
    return found


def _address(vm: Any) -> str | None:
    return next((address for nic in vm.nics or () for address in nic.addresses), None)


__all__ = ["guest_targets", "host_targets"]
