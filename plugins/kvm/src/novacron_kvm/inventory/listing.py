"""All VMs in three or four calls, however many there are."""

from __future__ import annotations

import time
from collections.abc import Sequence

import libvirt

from novacron.errors import OperationTimeoutError
from novacron.records.vm import VM
from novacron.specs.query import VMQuery
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.inventory.statistics import sizes_of, statistics_of_all
from novacron_kvm.jobs.domain_jobs import HELPER, POLL, busy
from novacron_kvm.jobs.switch_marks import lost_vms
from novacron_kvm.statuses import LOST, TABLE

GROUPS = libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_VCPU | libvirt.VIR_DOMAIN_STATS_BALLOON

QUIET = 1.0
"""Seconds without a job after which nothing is taken to be under way: what a client asked for just before it died begins a little later."""


def wait_until_idle(connection: KVMConnection, vm: str, seconds: float) -> VM:
    """Wait until libvirt's job of a VM has ended, and whatever holds the VM; return its record.

    Raises:
        OperationTimeoutError: the VM is still busy after `seconds`.
    """
    from novacron_kvm.inventory.records import vm_record

    until = time.monotonic() + seconds
    with connection.dedicated() as conn:  # an operation on a stopped VM's files lets every other call wait
        domain = connection.domain(vm, conn)
        with translated(resource=vm):
            quiet_since = time.monotonic()
            while time.monotonic() - quiet_since < QUIET:
                if busy(domain):
                    quiet_since = time.monotonic()
                if time.monotonic() > until:
                    raise OperationTimeoutError(f"{domain.name()!r} is still busy after {seconds:g} s", resource=domain.name())
                time.sleep(POLL)
        return vm_record(connection, connection.domain(vm, conn))


def list_vms(connection: KVMConnection, query: VMQuery) -> Sequence[VM]:
    """Return all VMs: the statistics of all in one call, then which are transient and which start with the host.

    One more call tells which VMs libvirtd may have lost, if a VM is stopped and libvirtd does not know why.
    """
    with translated():
        if query.detail == "full":
            from novacron_kvm.inventory.full import list_in_full

            return list_in_full(connection, statistics_of_all(connection, GROUPS))
        stats, read = statistics_of_all(connection, GROUPS), connection.read
        transient = {d.UUID() for d in read.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_TRANSIENT)}
        autostart = {d.UUID() for d in read.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART)}
        lost = lost_vms(read, stats)
    host, node, table, found = connection.name, connection.node, TABLE, []
    for domain, values in stats:  # kept simple because it runs 5,000 times on a large host
        if domain.name().startswith(HELPER):
            continue
        status, reason = table.get((values["state.state"], values["state.reason"]), ("unknown", ""))
        identity = domain.UUID()
        if identity in lost:
            status, reason = "unknown", LOST
        if "vcpu.current" not in values:  # libvirt's test driver counts neither vCPUs nor memory in its statistics
            values |= sizes_of(domain)
        found.append(
            VM(
                id=_text(identity),
                name=domain.name(),
                host=host,
                node=node,
                status=status,
                status_reason=reason,
                vcpus=values.get("vcpu.current", 0),
                memory_bytes=values.get("balloon.current", values.get("balloon.maximum", 0)) * 1024,
                persistent=identity not in transient,
                autostart=identity in autostart,
            )
        )
    return found


def _text(identity: bytes) -> str:
    h = identity.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


__all__ = ["list_vms", "wait_until_idle"]
