"""Makes a VM: its disks, its definition and its first start, or all of it from a definition."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import libvirt

from novacron.errors import InvalidSpecError
from novacron.jobs import Job
from novacron.records.vm import VM, NativeDefinition
from novacron_kvm.capabilities import best_virt_type, guests, refuse_unknown_security_models
from novacron_kvm.connection import KVMConnection
from novacron_kvm.domain_capabilities import DomainCapabilities, refuse_unsupported
from novacron_kvm.domains.disks import refuse_settings
from novacron_kvm.domains.nics import refuse_unusable_network, with_mac_addresses
from novacron_kvm.errors import translated
from novacron_kvm.inventory.records import vm_record
from novacron_kvm.lifecycle.deletion import destroy, undefine
from novacron_kvm.lifecycle.refusals import LOOPBACK, NO_AUTOSTART, is_loopback, refuse_taken, unfit
from novacron_kvm.snapshots.metadata import NAMESPACE as SNAPSHOTS
from novacron_kvm.storage.disk_files import make_disks, planned_disks
from novacron_kvm.storage.disk_users import refuse_disks_in_use
from novacron_kvm.storage.held_files import using
from novacron_kvm.storage.other_hosts import refuse_identity_elsewhere
from novacron_kvm.xml.devices.disk import place
from novacron_kvm.xml.domain import domain_xml
from novacron_kvm.xml.facts import VMFacts
from novacron_kvm.xml.parsing import FORMAT, NAMESPACE, indented, parse, serialise
from novacron_kvm.xml.platforms import MACHINES, Buses, platform
from novacron_kvm.xml.reading import disk as disk_record

if TYPE_CHECKING:
    from novacron.specs.vm import VMSpec
    from novacron_kvm.xml.devices.disk import DiskFile

DEFINE = libvirt.VIR_DOMAIN_DEFINE_VALIDATE  # without it libvirt passes over unknown elements in silence


class Target(NamedTuple):
    """What a new VM runs on."""

    arch: str
    machine: str | None
    virt_type: str


def create_vm(connection: KVMConnection, spec: VMSpec, job: Job[VM]) -> VM:
    """Make the disks, define the VM, start it if asked; all of it or nothing."""
    with connection.dedicated() as conn, ExitStack() as undo:
        target = _checked(connection, conn, spec)
        fresh = spec.id is None
        identity = str(spec.id or uuid.uuid4())
        spec = spec.model_copy(update={"nics": with_mac_addresses(spec.nics, connection.macs), "id": identity})
        disks = make_disks(connection, conn, spec, job, undo, _buses(connection, target))
        text = _definition(spec, target, disks)
        job.raise_if_cancelled()
        with translated(resource=spec.name):
            undefine_later = partial(
                connection.ensure_undone, partial(_undo_definition, identity), f"the definition of {spec.name!r}"
            )
            made = {disk.path for disk in disks if disk.made and disk.path}
            with using(connection, conn, parse(text).iterfind("devices/disk"), made=made):
                _refuse_disks_in_use(connection, conn, spec, text, disks)
                if fresh:
                    undo.callback(undefine_later)
                domain = conn.defineXMLFlags(text, DEFINE)
                if not fresh:  # if libvirt refuses it, the UUID may be that of another VM
                    undo.callback(undefine_later)
            if spec.autostart:
                domain.setAutostart(1)
            if spec.start:
                job.report("starting", None)
                domain.create()
                job.raise_if_cancelled()
        record = vm_record(connection, domain)
        undo.pop_all()
        return record


def preview_vm(connection: KVMConnection, spec: VMSpec) -> NativeDefinition:
    """Return the domain XML that `create_vm` would define. It lacks the MAC addresses that `create_vm` would choose."""
    with connection.dedicated() as conn:
        target = _checked(connection, conn, spec)
        disks = planned_disks(connection, conn, spec, _buses(connection, target))
        text = _definition(spec, target, disks)
        with translated(resource=spec.name):
            _refuse_disks_in_use(connection, conn, spec, text, disks)
    return NativeDefinition(vm=spec.name, format=FORMAT, text=indented(text))


def import_vm(connection: KVMConnection, definition: str, validate: bool) -> VM:
    """Define a VM from its definition; `validate` has libvirt check it against its schema."""
    root = parse(definition)
    name, identity = root.findtext("name") or "", root.findtext("uuid")
    definition = _without_claims(root, definition)
    with connection.dedicated() as conn:
        refuse_taken(connection, conn, name, identity)
        refuse_identity_elsewhere(connection, identity)
        with translated(resource=name), using(connection, conn, root.iterfind("devices/disk")):
            refuse_disks_in_use(connection, conn, name, root.iterfind("devices/disk"))
            domain = _defined(conn, definition, validate=validate)
        return vm_record(connection, domain)


def _checked(connection: KVMConnection, conn: Any, spec: VMSpec) -> Target:
    """Refuse what libvirt would accept silently, or refuse with misleading words; return what the VM is to run on."""
    identity = str(spec.id) if spec.id else None
    refuse_taken(connection, conn, spec.name, identity)
    refuse_identity_elsewhere(connection, identity)
    with translated(resource=spec.name):
        known = guests(conn)
        arch = spec.arch or conn.getInfo()[0]
        if arch not in known and not spec.arch and known:
            arch = next(iter(known))
        if arch not in known:
            raise unfit("arch", arch, "one of " + ", ".join(sorted(known)))
        machines = known[arch]["machines"]
        machine = spec.machine or next((m for m in MACHINES if m in machines), None)
        if spec.machine and spec.machine not in machines:
            raise unfit("machine", spec.machine, "one of " + ", ".join(machines[:12]))
        virt_type = spec.virt_type or best_virt_type(connection, arch)[0]
        if virt_type not in known[arch]["virt_types"]:
            raise unfit("virt_type", virt_type, "one of " + ", ".join(known[arch]["virt_types"]))
        if spec.node and spec.node != connection.node:
            raise unfit("node", spec.node, connection.node)
        memory = conn.getInfo()[1] * 2**20
        if spec.memory > memory:
            raise unfit("memory", str(spec.memory), f"at most what the host has, {memory} bytes")
        if spec.display and spec.display.listen != "none" and not is_loopback(spec.display.listen):
            raise unfit("display.listen", spec.display.listen, LOOPBACK)
        if spec.autostart and any(disk.encryption for disk in spec.disks):
            raise unfit("autostart", "true", NO_AUTOSTART)
        for number, nic in enumerate(spec.nics):
            refuse_unusable_network(conn, nic, prefix=f"nics.{number}.")
        target = Target(arch, machine, virt_type)
        capabilities = DomainCapabilities.of(conn, *target)
        refuse_unknown_security_models(conn, spec.security_labels)
    places = place(spec.disks, _buses(connection, target))
    refuse_unsupported(spec, capabilities, arch, machine, places)
    refuse_settings(((f"disks.{number}.", disk, places[number][0]) for number, disk in enumerate(spec.disks)), new_vm=True)
    return target


def _refuse_disks_in_use(connection: KVMConnection, conn: Any, spec: VMSpec, text: str, disks: Sequence[DiskFile]) -> None:
    made = {disk.path for disk in disks if disk.made and disk.path}
    refuse_disks_in_use(connection, conn, spec.name, parse(text).iterfind("devices/disk"), made=made)


def _buses(connection: KVMConnection, target: Target) -> Buses:
    emulated = connection.shared or "embed" in connection.uri
    return platform(target.arch, target.machine).buses if emulated else Buses("ide", "ide")  # libvirt's test driver has no virtio


def _without_claims(root: Any, definition: str) -> str:
    """Return a definition without its claims about which files were made for the VM, and without stored snapshots of another VM."""
    elements = root.findall(f"metadata/{{{NAMESPACE}}}vm")
    stored = root.findall(f"metadata/{{{SNAPSHOTS}}}*")
    if not elements and not stored:
        return definition
    for element in stored:
        element.getparent().remove(element)
    if elements:
        disks = root.iterfind("devices/disk")
        encrypted = {source for d in disks if d.find(".//encryption") is not None and (source := disk_record(d).source)}
        VMFacts.read(root).imported(encrypted).write(root)
    return serialise(root)


def _defined(conn: Any, definition: str, *, validate: bool) -> Any:
    """Define a VM as it was written elsewhere. The error tells how to accept a definition that violates libvirt's schema."""
    try:
        return conn.defineXMLFlags(definition, DEFINE if validate else 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_XML_INVALID_SCHEMA:
            raise
        hint = "correct the definition, or accept what violates libvirt's schema with validate=False (--no-validate)"
        raise InvalidSpecError(str(error), hint=hint) from error


def _definition(spec: VMSpec, target: Target, disks: Sequence[DiskFile]) -> str:
    """Return the definition of a new VM."""
    created_at = datetime.now(UTC).isoformat(timespec="seconds")
    return domain_xml(spec, **target._asdict(), disks=disks, created_at=created_at)


def _undo_definition(identity: str, connection: Any) -> None:
    domain = connection.lookupByUUIDString(identity)
    destroy(domain)
    undefine(domain)


__all__ = ["create_vm", "import_vm", "preview_vm"]
