"""One VM's full record: its state and its definition."""

from __future__ import annotations

from typing import Any, NamedTuple

import libvirt

from novacron.records.vm import VM
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.inventory.disk_sizes import DisksOfAll, located, sized
from novacron_kvm.jobs.domain_jobs import statistics
from novacron_kvm.statuses import TABLE, status_of
from novacron_kvm.xml.facts import VMFacts
from novacron_kvm.xml.parsing import parse
from novacron_kvm.xml.reading import fields


class State(NamedTuple):
    """What libvirt knows of a VM beside its definition. Sizes of memory are in KiB."""

    code: int
    reason: int
    vcpus: int
    memory: int
    most_memory: int
    persistent: bool
    autostart: bool
    saved: bool


def vm_record(connection: KVMConnection, domain: Any, *, sizes: bool = True) -> VM:
    """Return the full record of a domain. `sizes=False` leaves out how large its disks are, which takes two round trips for each."""
    with translated(resource=domain.name()):
        code, reason = domain.state()
        info = domain.info()
        text = domain.XMLDesc(0)
        persistent = bool(domain.isPersistent())
        autostart = persistent and bool(domain.autostart())
        saved = not domain.isActive() and persistent and _saved(domain)
    state = State(code, reason, info[3], info[2], info[1], persistent, autostart, saved)
    return record_of(connection, domain, state, text, sizes=sizes)


def record_of(
    connection: KVMConnection, domain: Any, state: State, text: str, *, sizes: bool = True, known: DisksOfAll | None = None
) -> VM:
    """Return the full record of a domain from its state and its definition.

    Args:
        sizes: also read how large its disks are.
        known: the disks of all VMs, if they were read. None looks each volume up.
    """
    status, words = ("saved", "saved") if state.saved else TABLE.get((state.code, state.reason), ("unknown", ""))
    if status == "migrating" and not _job_runs(domain):
        status = "suspended"  # restored from memory that was saved while it was suspended
    if status == "stopped" and '"switching"' in text:
        status, words = status_of(state.code, state.reason, switching=bool(VMFacts.read(parse(text)).switching))
    defined = fields(text)
    if sizes:
        defined["disks"] = tuple(sized(connection, domain, disk, known) for disk in defined["disks"])
    else:
        defined["disks"] = tuple(located(connection, disk) for disk in defined["disks"])
    return VM(
        id=domain.UUIDString(),
        name=domain.name(),
        host=connection.name,
        node=connection.node,
        status=status,  # type: ignore[arg-type]
        status_reason=words,
        vcpus=state.vcpus,
        memory_bytes=(state.most_memory if without_balloon(text) else state.memory) * 1024,
        persistent=state.persistent,
        autostart=state.autostart,
        **defined,
    )


def without_balloon(text: str) -> bool:
    """Whether a VM has no balloon by its definition: then it has all of its memory, whatever <currentMemory> says."""
    return "<memballoon model='none'" in text


def _job_runs(domain: Any) -> bool:
    try:
        return bool(statistics(domain))
    except libvirt.libvirtError:
        return True  # not known: say what libvirt says


def _saved(domain: Any) -> bool:
    try:
        return bool(domain.hasManagedSaveImage())
    except libvirt.libvirtError:
        return False  # the test driver has none


__all__ = ["State", "record_of", "vm_record"]
