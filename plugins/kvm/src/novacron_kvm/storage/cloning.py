"""Cloning VMs, with whole copies of their disks or with shared ones."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

import libvirt

from novacron.errors import AlreadyExistsError, InvalidSpecError, InvalidStateError, SpecProblem, UnsupportedOperationError
from novacron.jobs import Job
from novacron.records.vm import VM
from novacron.records.volumes import Volume
from novacron_kvm.connection import KVMConnection
from novacron_kvm.definitions import changing, redefine
from novacron_kvm.domains.metadata import facts_of
from novacron_kvm.domains.states import STOPPED, refuse_snapshots, require_status
from novacron_kvm.errors import translated
from novacron_kvm.inventory.records import vm_record
from novacron_kvm.storage.copies import chain, copy_volume, give_own_identity, overlay, own_disks, set_disk_file, volume_of
from novacron_kvm.storage.image_content import format_of
from novacron_kvm.storage.luks import refuse_encrypted
from novacron_kvm.xml.facts import VMFacts
from novacron_kvm.xml.parsing import parse, serialise, text_of
from novacron_kvm.xml.reading import disk as disk_record

SECURE = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE


def clone_vm(connection: KVMConnection, vm: str, name: str, linked: bool, job: Job[VM]) -> VM:
    """Copy a VM. When it is linked both go on in files of their own, above the original's disks, which nobody writes any more."""
    check_name(name)
    with connection.dedicated() as conn, ExitStack() as undo, translated(resource=vm):
        domain = connection.domain(vm, conn)
        record = vm_record(connection, domain, sizes=False)
        require_status("clone", record, STOPPED)
        refuse_taken(conn, name)
        root = parse(domain.XMLDesc(SECURE))
        disks = own_disks(root)
        refuse_encrypted(record.name, disks, "clone")
        if linked:
            _refuse_unshareable(domain, disks)
        files = []
        for number, element in enumerate(disks):
            job.raise_if_cancelled()
            job.report(f"disk {number + 1} of {len(disks)}", number / len(disks))
            volume = volume_of(conn, element)
            target = f"{name}-{text_of(element, 'target/@dev')}"
            if linked:
                own = overlay(connection, volume, f"{target}.qcow2", format_of(element), undo)
                files += [
                    path for path in chain(conn, volume) if path in facts_of(domain).made
                ]  # the last of them takes it along
            else:
                own = copy_volume(connection, volume, f"{target}.{format_of(element)}", format_of(element), job, undo)
            set_disk_file(element, own)
            files.append(own.path)
        job.raise_if_cancelled()
        give_own_identity(connection, conn, root, name, files)
        identity = root.findtext("uuid")  # a new one, so that nothing else is undone
        undo.callback(connection.ensure_undone, partial(undefine_clone, identity), f"the definition of {name!r}")
        clone = redefine(conn, serialise(root), like=domain)
        if linked:
            _go_on_above(connection, conn, domain, undo)
        result = vm_record(connection, clone)
        undo.pop_all()
        return result


def _refuse_unshareable(domain: Any, disks: list[Any]) -> None:
    refuse_snapshots(domain, "link a clone to", "which could not be reverted to any more")
    raw = [text_of(e, "target/@dev") for e in disks if text_of(e, "driver/@type") not in ("qcow2", "raw")]
    if raw:
        raise UnsupportedOperationError(f"disks that can't be shared: {', '.join(map(str, raw))}", resource=domain.name())


def _go_on_above(connection: KVMConnection, conn: Any, domain: Any, undo: ExitStack) -> None:
    """Let the original go on in files of its own too: what it wrote into the shared ones would spoil the clone."""
    own = dict[str, Volume]()
    for element in own_disks(parse(domain.XMLDesc(SECURE))):
        volume = volume_of(conn, element)
        number = 1
        pool = volume.storagePoolLookupByVolume()
        while (name := f"{domain.name()}-{text_of(element, 'target/@dev')}.{number}.qcow2") in pool.listVolumes():
            number += 1
        own[text_of(element, "target/@dev") or ""] = overlay(connection, volume, name, format_of(element), undo)
    files = [volume.path for volume in own.values()]
    with changing(connection, domain):
        root = parse(domain.XMLDesc(SECURE))
        before = serialise(root)
        for element in own_disks(root):
            if there := own.get(text_of(element, "target/@dev") or ""):
                set_disk_file(element, there)
        VMFacts.read(root).with_files(files).write(root)
        undo.callback(
            connection.ensure_undone, lambda again: again.defineXMLFlags(before, 0), f"the new definition of {domain.name()!r}"
        )
        redefine(conn, serialise(root))
    _refuse_started(domain, files)  # after: whoever starts the original from now on starts it with its own files


def _refuse_started(domain: Any, files: list[str]) -> None:
    """Refuse a linked clone of a VM that another process has started meanwhile: it writes to the shared files."""
    if domain.isActive() and not {disk_record(e).source for e in own_disks(parse(domain.XMLDesc(0)))} <= {*files}:
        raise InvalidStateError(
            f"can't link a clone to {domain.name()!r}: it was started meanwhile",
            resource=domain.name(),
            outcome="failed",
            hint="stop it first",
        )


def undefine_clone(identity: str, connection: Any) -> None:
    """Forget a clone again, also if it was just started."""
    clone = connection.lookupByUUIDString(identity)
    if clone.isActive():
        clone.destroy()
    clone.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)


def check_name(name: str) -> None:
    """Refuse what is no name of a VM."""
    from novacron.specs.vm import VMSpec

    try:
        VMSpec(name=name)
    except InvalidSpecError as error:
        raise InvalidSpecError(
            "invalid name", problems=[SpecProblem("name", name, error.problems[0].allowed)], resource=name
        ) from None


def refuse_taken(conn: Any, name: str) -> None:
    """Refuse the name of a VM that is there."""
    try:
        conn.lookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return
    raise AlreadyExistsError(f"a VM {name!r} is already there", resource=name, hint="give another name, or delete that one")


__all__ = ["clone_vm", "check_name", "refuse_taken", "undefine_clone"]
