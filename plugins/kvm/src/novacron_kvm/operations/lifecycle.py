"""Creating, changing and deleting VMs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, NamedTuple

import libvirt

from novacron.errors import AlreadyExistsError, InvalidSpecError, InvalidStateError, SpecProblem, VMNotFoundError
from novacron.jobs import Job
from novacron.plugins import hookimpl
from novacron.records.vm import VM, Deleted, NativeDefinition, VMConfiguration
from novacron.specs.query import VMQuery
from novacron_kvm.capabilities import best_virt_type, guests, refuse_unknown_security_models
from novacron_kvm.connection import KVMConnection
from novacron_kvm.definitions import change_definition, redefine
from novacron_kvm.domains.metadata import facts_of, set_facts, where
from novacron_kvm.domains.states import STOPPED, refuse_snapshots, require_status
from novacron_kvm.errors import translated
from novacron_kvm.inventory.listing import list_vms, wait_until_idle
from novacron_kvm.inventory.records import vm_record
from novacron_kvm.snapshots.metadata import NAMESPACE as SNAPSHOTS
from novacron_kvm.storage.luks import forget_secrets, secret_names
from novacron_kvm.storage.other_hosts import refuse_disks_in_use, refuse_identity_elsewhere, users_elsewhere
from novacron_kvm.storage.switches import settle_switches
from novacron_kvm.storage.volume_files import find_path, needed_elsewhere
from novacron_kvm.xml.facts import VMFacts
from novacron_kvm.xml.parsing import NAMESPACE, indented, parse, serialise
from novacron_kvm.xml.platforms import MACHINES, Buses, platform
from novacron_kvm.xml.reading import disk as disk_record
from novacron_kvm.xml.resources import set_vcpus

if TYPE_CHECKING:
    from novacron.specs.vm import VMSpec, VMUpdate
    from novacron_kvm.xml.devices.disk import DiskFile

NO_AUTOSTART = "false: a host that boots does not know the secrets of encrypted disks"
LOOPBACK = "127.0.0.1 or ::1: a display has no password; use an SSH tunnel"
DEFINE = libvirt.VIR_DOMAIN_DEFINE_VALIDATE  # without it libvirt passes over unknown elements in silence


FORMAT = "libvirt domain XML"


class Target(NamedTuple):
    """What a new VM runs on."""

    arch: str
    machine: str | None
    virt_type: str


class KVMLifecycle:
    """Creates, changes and deletes VMs."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def vm_create(self, spec: VMSpec, job: Job[VM]) -> VM:
        """Make the disks, define the VM, start it if asked; all of it or nothing."""
        with self._connection.dedicated() as conn, ExitStack() as undo:
            from novacron_kvm.domains.nics import with_mac_addresses
            from novacron_kvm.storage.disk_files import make_disks

            target = self._checked(conn, spec)
            spec = spec.model_copy(update={"nics": with_mac_addresses(spec.nics, self._connection.macs)})
            text = _definition(spec, target, make_disks(self._connection, conn, spec, job, undo, self._buses(target)))
            job.raise_if_cancelled()
            with translated(resource=spec.name):
                domain = conn.defineXMLFlags(text, DEFINE)
                identity = domain.UUIDString()
                undo.callback(
                    self._connection.ensure_undone, partial(_undo_definition, identity), f"the definition of {spec.name!r}"
                )
                if spec.autostart:
                    domain.setAutostart(1)
                if spec.start:
                    job.report("starting", None)
                    domain.create()
                    job.raise_if_cancelled()
            record = vm_record(self._connection, domain)
            undo.pop_all()
            return record

    @hookimpl
    def vm_preview(self, spec: VMSpec) -> NativeDefinition:
        """Return the domain XML that `vm_create` would define. It lacks the MAC addresses that `vm_create` would choose."""
        from novacron_kvm.storage.disk_files import planned_disks

        with self._connection.dedicated() as conn:
            target = self._checked(conn, spec)
            text = _definition(spec, target, planned_disks(self._connection, conn, spec, self._buses(target)))
        return NativeDefinition(vm=spec.name, format=FORMAT, text=indented(text))

    @hookimpl
    def vm_get(self, vm: str) -> VM:
        """Return one VM in full."""
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
        with self._connection.dedicated() as conn:
            domain = self._connection.domain(vm, conn)
            settle_switches(self._connection, domain.UUIDString())
            record = vm_record(self._connection, domain, sizes=False)
            with translated(resource=record.name):  # before: a transient VM is gone once it is powered off
                facts = facts_of(domain)
            if not force:
                require_status("delete", record, (*STOPPED, "saved"), otherwise="force=True (--force) stops it first")
            if record.status not in (*STOPPED, "saved"):
                with translated(resource=record.name):
                    _destroy(domain, check=True)
            with translated(resource=record.name):
                made, secrets = {*facts.made}, facts.secrets
                if record.persistent:
                    _undefine(domain, check=True)
            forget_secrets(conn, secrets)
            removed, kept = [f"definition of {record.name}"], list[str]()
            own = [disk.source for disk in record.disks or () if disk.source]
            files = [*own, *sorted(made - {*own})]  # what a disk is linked to comes after it
            going = set() if keep_disks else made - needed_elsewhere(conn, made)
            going -= users_elsewhere(self._connection, conn, going).keys()
            for path in files:
                (removed if path in going and _delete_file(conn, path) else kept).append(path)
            return Deleted(name=record.name, id=record.id, removed=tuple(removed), kept=tuple(kept))

    @hookimpl
    def vm_rename(self, vm: str, name: str) -> VM:
        """Rename a stopped VM."""
        domain = self._connection.domain(vm)
        record = vm_record(self._connection, domain, sizes=False)
        require_status("rename", record, STOPPED)
        self._refuse_taken(self._connection.read, name, None)
        with translated(resource=record.name):
            # libvirt would rename it, and then never revert it: each snapshot has the VM's name in it
            refuse_snapshots(domain, "rename", "which could not be reverted to any more")
            domain.rename(name, 0)
        return vm_record(self._connection, self._connection.domain(record.id))

    @hookimpl
    def vm_update(self, vm: str, changes: VMUpdate) -> VM:
        """Change the given fields. Hardware is changed first, in the definition; it is restored if a later change fails."""
        domain = self._connection.domain(vm)
        if any(ord(c) < 32 and c not in "\t\n" for c in changes.description or ""):
            raise _bad("description", repr(changes.description), "text without control characters")
        if changes.display and not _is_loopback(changes.display.listen):
            raise _bad("display.listen", changes.display.listen, LOOPBACK)
        with translated(resource=domain.name()):
            if changes.autostart and secret_names(domain):
                raise _bad("autostart", "true", NO_AUTOSTART)
            from novacron_kvm.hardware import update_hardware

            before = update_hardware(domain, changes)
            try:
                self._update_at_once(domain, changes)
            except BaseException:
                if before is not None:
                    redefine(domain.connect(), before)
                raise
        return vm_record(self._connection, domain)

    def _update_at_once(self, domain: Any, changes: VMUpdate) -> None:
        """Change the fields that apply without a restart."""
        live = bool(domain.isActive())
        scope = where(domain)
        if changes.description is not None:
            domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, changes.description or None, None, None, scope)
        if changes.tags is not None or changes.metadata is not None:
            set_facts(domain, facts_of(domain).with_labels(changes.tags, changes.metadata))
        if changes.autostart is not None:
            domain.setAutostart(int(changes.autostart))
        if changes.vcpus is not None:
            if not live and changes.vcpus > domain.vcpusFlags(libvirt.VIR_DOMAIN_VCPU_CONFIG | libvirt.VIR_DOMAIN_VCPU_MAXIMUM):
                count = changes.vcpus
                change_definition(domain, lambda root: set_vcpus(root, count))
            domain.setVcpusFlags(changes.vcpus, scope)
        if changes.memory is not None:
            from novacron_kvm.operations.resources import KVMResources

            KVMResources(self._connection).memory_set(domain.UUIDString(), changes.memory, live, bool(domain.isPersistent()))

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
        root = parse(definition)
        name, identity = root.findtext("name") or "", root.findtext("uuid")
        definition = _without_claims(root, definition)
        with self._connection.dedicated() as conn:
            self._refuse_taken(conn, name, identity)
            refuse_identity_elsewhere(self._connection, identity)
            with translated(resource=name):
                refuse_disks_in_use(self._connection, conn, root)
                domain = _defined(conn, definition, validate=validate)
            return vm_record(self._connection, domain)

    def _checked(self, conn: Any, spec: VMSpec) -> Target:
        """Refuse what libvirt would accept silently, or refuse with misleading words; return what the VM is to run on."""
        from novacron_kvm.domain_capabilities import DomainCapabilities, refuse_unsupported
        from novacron_kvm.xml.devices.disk import place

        identity = str(spec.id) if spec.id else None
        self._refuse_taken(conn, spec.name, identity)
        refuse_identity_elsewhere(self._connection, identity)
        with translated(resource=spec.name):
            known = guests(conn)
            arch = spec.arch or conn.getInfo()[0]
            if arch not in known and not spec.arch and known:
                arch = next(iter(known))
            if arch not in known:
                raise _bad("arch", arch, "one of " + ", ".join(sorted(known)))
            machines = known[arch]["machines"]
            machine = spec.machine or next((m for m in MACHINES if m in machines), None)
            if spec.machine and spec.machine not in machines:
                raise _bad("machine", spec.machine, "one of " + ", ".join(machines[:12]))
            virt_type = spec.virt_type or best_virt_type(self._connection, arch)[0]
            if virt_type not in known[arch]["virt_types"]:
                raise _bad("virt_type", virt_type, "one of " + ", ".join(known[arch]["virt_types"]))
            if spec.node and spec.node != self._connection.node:
                raise _bad("node", spec.node, self._connection.node)
            memory = conn.getInfo()[1] * 2**20
            if spec.memory > memory:
                raise _bad("memory", str(spec.memory), f"at most what the host has, {memory} bytes")
            if spec.display and spec.display.listen != "none" and not _is_loopback(spec.display.listen):
                raise _bad("display.listen", spec.display.listen, LOOPBACK)
            if spec.autostart and any(disk.encryption for disk in spec.disks):
                raise _bad("autostart", "true", NO_AUTOSTART)
            for nic in spec.nics:
                if nic.network:
                    network = conn.networkLookupByName(nic.network)
                    if not network.isActive():
                        raise InvalidStateError(
                            f"the network {nic.network!r} is not active", resource=nic.network, hint="start it first"
                        )
            target = Target(arch, machine, virt_type)
            capabilities = DomainCapabilities.of(conn, *target)
            refuse_unknown_security_models(conn, spec.security_labels)
        refuse_unsupported(spec, capabilities, arch, machine, place(spec.disks, self._buses(target)))
        return target

    def _buses(self, target: Target) -> Buses:
        emulated = self._connection.shared or "embed" in self._connection.uri
        return (
            platform(target.arch, target.machine).buses if emulated else Buses("ide", "ide")
        )  # libvirt's test driver has no virtio

    def _refuse_taken(self, connection: Any, name: str, identity: str | None) -> None:
        for key in filter(None, (name, identity)):
            try:
                self._connection.domain(key, connection)
            except VMNotFoundError:
                continue
            raise AlreadyExistsError(
                f"a VM {key!r} is already there", resource=name, hint="give another name, or delete that one"
            )


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
    from novacron_kvm.xml.domain import domain_xml

    created_at = datetime.now(UTC).isoformat(timespec="seconds")
    return domain_xml(spec, **target._asdict(), disks=disks, created_at=created_at)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _bad(path: str, given: str, allowed: str) -> InvalidSpecError:
    return InvalidSpecError("this host can't run that VM", problems=[SpecProblem(path, given, allowed)])


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


def _undo_definition(identity: str, connection: Any) -> None:
    domain = connection.lookupByUUIDString(identity)
    _destroy(domain)
    _undefine(domain)


def _destroy(domain: Any, *, check: bool = False) -> None:
    try:
        domain.destroy()
    except libvirt.libvirtError as error:
        gone = error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN
        if check and not gone and domain.isActive():
            raise


def _undefine(domain: Any, *, check: bool = False) -> None:
    """Remove a definition with managed save, snapshots' metadata, NVRAM and TPM state."""
    flags = (
        libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
        | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    )
    for attempt in (flags, libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA, 0):
        try:
            domain.undefineFlags(attempt)
            return
        except libvirt.libvirtError as error:
            unsupported = error.get_error_code() in (libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_NO_SUPPORT)
            if not unsupported or not attempt:
                if check:
                    raise
                return


__all__ = ["DEFINE", "KVMLifecycle"]
