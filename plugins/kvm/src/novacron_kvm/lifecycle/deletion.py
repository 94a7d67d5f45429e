"""Removes a VM: its definition with all that belongs to it, then the files that were made for it."""

from __future__ import annotations

from typing import Any

import libvirt

from novacron.records.vm import Deleted
from novacron_kvm.connection import KVMConnection
from novacron_kvm.domains.metadata import facts_of
from novacron_kvm.domains.states import STOPPED, require_status
from novacron_kvm.errors import translated
from novacron_kvm.inventory.records import vm_record
from novacron_kvm.storage.luks import forget_secrets
from novacron_kvm.storage.other_hosts import users_elsewhere
from novacron_kvm.storage.state_files import foreign_variables
from novacron_kvm.storage.switches import settle_switches
from novacron_kvm.storage.volume_files import find_path, needed_elsewhere
from novacron_kvm.xml.parsing import parse


def delete_vm(connection: KVMConnection, vm: str, keep_disks: bool, force: bool) -> Deleted:
    """Remove a VM. Files that another VM or another host uses are kept.

    Raises:
        InvalidStateError: the VM is not stopped, and `force` is not set.
    """
    with connection.dedicated() as conn:
        domain = connection.domain(vm, conn)
        settle_switches(connection, domain.UUIDString())
        record = vm_record(connection, domain, sizes=False)
        with translated(resource=record.name):  # before: a transient VM is gone once it is powered off
            facts = facts_of(domain)
        if not force:
            require_status("delete", record, (*STOPPED, "saved"), otherwise="force=True (--force) stops it first")
        if record.status not in (*STOPPED, "saved"):
            with translated(resource=record.name):
                destroy(domain, check=True)
        with translated(resource=record.name):
            made, secrets = {*facts.made}, facts.secrets
            variables = undefine(domain, check=True) if record.persistent else None
        forget_secrets(conn, secrets)
        removed, kept = [f"definition of {record.name}"], [variables] if variables else []
        own = [disk.source for disk in record.disks or () if disk.source]
        files = [*own, *sorted(made - {*own})]  # what a disk is linked to comes after it
        going = set() if keep_disks else made - needed_elsewhere(conn, made)
        going -= users_elsewhere(connection, conn, going).keys()
        for path in files:
            (removed if path in going and _delete_file(conn, path) else kept).append(path)
        return Deleted(name=record.name, id=record.id, removed=tuple(removed), kept=tuple(kept))


def _delete_file(conn: Any, path: str) -> bool:
    """Delete a file that was made for a VM; whether it is gone."""
    volume = find_path(conn, path)
    if volume is None:
        return False
    try:
        volume.delete(0)
    except libvirt.libvirtError:
        return False
    return True


def destroy(domain: Any, *, check: bool = False) -> None:
    try:
        domain.destroy()
    except libvirt.libvirtError as error:
        gone = error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN
        if check and not gone and domain.isActive():
            raise


def undefine(domain: Any, *, check: bool = False) -> str | None:
    """Remove a definition with managed save, snapshots' metadata, its own NVRAM and TPM state; return the NVRAM that is not its own."""
    kept, keep = None, True
    try:
        kept = foreign_variables(domain.connect(), parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)))
        keep = kept is not None
    except libvirt.libvirtError:
        pass  # it is gone
    flags = (
        libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | (libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM if keep else libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
        | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    )
    for attempt in (flags, libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA, 0):
        try:
            domain.undefineFlags(attempt)
            return kept
        except libvirt.libvirtError as error:
            unsupported = error.get_error_code() in (libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_NO_SUPPORT)
            if not unsupported or not attempt:
                if check:
                    raise
                return kept
    return kept


__all__ = ["delete_vm", "destroy", "undefine"]
