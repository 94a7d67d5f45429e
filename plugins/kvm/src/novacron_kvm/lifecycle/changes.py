"""Renames a VM, and changes its fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import libvirt

from novacron.records.vm import VM
from novacron_kvm.connection import KVMConnection
from novacron_kvm.definitions import change_definition, changing, redefine
from novacron_kvm.domains.metadata import change_facts, facts_of, where
from novacron_kvm.domains.states import STOPPED, refuse_snapshots, require_status
from novacron_kvm.errors import translated
from novacron_kvm.hardware import SECURE, update_hardware
from novacron_kvm.inventory.records import vm_record
from novacron_kvm.lifecycle.refusals import LOOPBACK, NO_AUTOSTART, is_loopback, refuse_taken, unfit
from novacron_kvm.storage.copies import own_disks
from novacron_kvm.storage.luks import secret_names
from novacron_kvm.storage.state_files import renaming_variables
from novacron_kvm.xml.facts import VMFacts
from novacron_kvm.xml.parsing import parse, serialise, text_of
from novacron_kvm.xml.reading import disk as disk_record
from novacron_kvm.xml.resources import set_vcpus

if TYPE_CHECKING:
    from novacron.specs.vm import VMUpdate

SetMemory = Callable[[str, int, bool, bool], object]
"""Sets the memory of a VM, by its UUID: bytes, whether the running VM, whether the definition."""


def rename_vm(connection: KVMConnection, vm: str, name: str) -> VM:
    """Rename a stopped VM."""
    domain = connection.domain(vm)
    record = vm_record(connection, domain, sizes=False)
    require_status("rename", record, STOPPED)
    refuse_taken(connection, connection.read, name, None)
    with translated(resource=record.name):
        # libvirt would rename it, and then never revert it: each snapshot has the VM's name in it
        refuse_snapshots(domain, "rename", "which could not be reverted to any more")
        with renaming_variables(domain.connect(), domain, name):
            domain.rename(name, 0)
    return vm_record(connection, connection.domain(record.id))


def update_vm(connection: KVMConnection, vm: str, changes: VMUpdate, set_memory: SetMemory) -> VM:
    """Change the given fields. Hardware is changed first, in the definition; it is restored if a later change fails."""
    domain = connection.domain(vm)
    if any(ord(c) < 32 and c not in "\t\n" for c in changes.description or ""):
        raise unfit("description", repr(changes.description), "text without control characters")
    if changes.display and not is_loopback(changes.display.listen):
        raise unfit("display.listen", changes.display.listen, LOOPBACK)
    with translated(resource=domain.name()):
        if changes.autostart and secret_names(domain):
            raise unfit("autostart", "true", NO_AUTOSTART)
        before = update_hardware(connection, domain, changes)
        try:
            _update_at_once(connection, domain, changes, set_memory)
        except BaseException:
            if before is not None:
                _restore(connection, domain, before, changes)
            raise
    return vm_record(connection, domain)


def _restore(connection: KVMConnection, domain: Any, before: str, changes: VMUpdate) -> None:
    """Write back the definition of before a change. The files that disks got from others since, and the facts of others, stay."""
    with changing(connection, domain):
        root, now = parse(before), parse(domain.XMLDesc(SECURE))
        disks = {text_of(disk, "target/@dev"): disk for disk in own_disks(now)}
        for disk in own_disks(root):
            there = disks.get(text_of(disk, "target/@dev"))
            if there is not None and disk_record(there).source != disk_record(disk).source:
                for boot in there.findall("boot"):
                    there.remove(boot)
                there.extend(disk.findall("boot"))
                disk.getparent().replace(disk, there)
        own = VMFacts.read(root)
        VMFacts.read(now).merged(own.with_labels(changes.tags, changes.metadata), own).write(root)
        redefine(domain.connect(), serialise(root))


def _update_at_once(connection: KVMConnection, domain: Any, changes: VMUpdate, set_memory: SetMemory) -> None:
    """Change the fields that apply without a restart."""
    live = bool(domain.isActive())
    scope = where(domain)
    if changes.description is not None:
        domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, changes.description or None, None, None, scope)
    if changes.tags is not None or changes.metadata is not None:
        own = facts_of(domain)
        change_facts(connection, domain, own, own.with_labels(changes.tags, changes.metadata))
    if changes.autostart is not None:
        domain.setAutostart(int(changes.autostart))
    if changes.vcpus is not None:
        if not live and changes.vcpus > domain.vcpusFlags(libvirt.VIR_DOMAIN_VCPU_CONFIG | libvirt.VIR_DOMAIN_VCPU_MAXIMUM):
            count = changes.vcpus
            change_definition(connection, domain, lambda root: set_vcpus(root, count))
        domain.setVcpusFlags(changes.vcpus, scope)
    if changes.memory is not None:
        set_memory(domain.UUIDString(), changes.memory, live, bool(domain.isPersistent()))


__all__ = ["rename_vm", "update_vm"]
