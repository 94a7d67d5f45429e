"""Creating, changing and deleting VMs. What only a change needs is imported by it, so that a listing loads little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import libvirt

from novacron.jobs import Job
from novacron.plugins import hookimpl
from novacron.records.vm import VM, Deleted, NativeDefinition, VMConfiguration
from novacron.specs.query import VMQuery
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.inventory.listing import list_vms, wait_until_idle
from novacron_kvm.xml.parsing import FORMAT

if TYPE_CHECKING:
    from novacron.specs.vm import VMSpec, VMUpdate


class KVMLifecycle:
    """Creates, changes and deletes VMs."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def vm_create(self, spec: VMSpec, job: Job[VM]) -> VM:
        """Make the disks, define the VM, start it if asked; all of it or nothing."""
        from novacron_kvm.lifecycle.creation import create_vm

        return create_vm(self._connection, spec, job)

    @hookimpl
    def vm_preview(self, spec: VMSpec) -> NativeDefinition:
        """Return the domain XML that `vm_create` would define. It lacks the MAC addresses that `vm_create` would choose."""
        from novacron_kvm.lifecycle.creation import preview_vm

        return preview_vm(self._connection, spec)

    @hookimpl
    def vm_get(self, vm: str) -> VM:
        """Return one VM in full."""
        from novacron_kvm.inventory.records import vm_record

        return vm_record(self._connection, self._connection.domain(vm))

    @hookimpl
    def vm_list(self, query: VMQuery) -> Sequence[VM]:
        """Return all VMs."""
        return list_vms(self._connection, query)

    @hookimpl
    def vm_settle(self, vm: str, seconds: float) -> VM:
        """Wait until nothing is under way with the VM any more."""
        return wait_until_idle(self._connection, vm, seconds)

    @hookimpl
    def vm_clone(self, vm: str, name: str, linked: bool, job: Job[VM]) -> VM:
        """Copy a stopped VM."""
        from novacron_kvm.storage.cloning import clone_vm

        return clone_vm(self._connection, vm, name, linked, job)

    @hookimpl
    def vm_delete(self, vm: str, keep_disks: bool, force: bool) -> Deleted:
        """Remove the definition with all that belongs to it, then the volumes that were made for it."""
        from novacron_kvm.lifecycle.deletion import delete_vm

        return delete_vm(self._connection, vm, keep_disks, force)

    @hookimpl
    def vm_rename(self, vm: str, name: str) -> VM:
        """Rename a stopped VM."""
        from novacron_kvm.lifecycle.changes import rename_vm

        return rename_vm(self._connection, vm, name)

    @hookimpl
    def vm_update(self, vm: str, changes: VMUpdate) -> VM:
        """Change the given fields. Hardware is changed first, in the definition; it is restored if a later change fails."""
        from novacron_kvm.lifecycle.changes import update_vm
        from novacron_kvm.operations.resources import KVMResources

        return update_vm(self._connection, vm, changes, KVMResources(self._connection).memory_set)

    @hookimpl
    def vm_configuration(self, vm: str) -> VMConfiguration:
        """Read the definition for the next start, and the running one to compare."""
        from novacron_kvm.hardware import configuration

        domain = self._connection.domain(vm)
        with translated(resource=vm):
            return configuration(domain)

    @hookimpl
    def vm_export(self, vm: str) -> NativeDefinition:
        """Return the definition without secrets, as a fresh start would use it."""
        domain = self._connection.domain(vm)
        with translated(resource=vm):
            text = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)  # one that could migrate would have its passwords in it
        return NativeDefinition(vm=domain.UUIDString(), format=FORMAT, text=text)

    @hookimpl
    def vm_import(self, definition: str, validate: bool) -> VM:
        """Define a VM; `validate` has libvirt check it against its schema.

        Deleting the VM keeps its files, because NovaCron did not make them. A disk that another VM uses is refused.
        """
        from novacron_kvm.lifecycle.creation import import_vm

        return import_vm(self._connection, definition, validate)


__all__ = ["KVMLifecycle"]
