"""Templates: sealed disks and a definition in a storage pool, in versions. On shared storage every host has them.

A version is a volume `template-NAME-vN.xml`, which says everything, and beside it the volumes that it names, which nobody writes.
"""

from __future__ import annotations

import io
import json
import re
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import libvirt

from novacron.errors import InvalidStateError, TemplateNotFoundError
from novacron.jobs import Job
from novacron.plugins import hookimpl
from novacron.records.templates import Template
from novacron.records.vm import VM, Deleted
from novacron_kvm.connection import KVMConnection
from novacron_kvm.domains.states import STOPPED, require_status
from novacron_kvm.errors import translated
from novacron_kvm.inventory.records import vm_record
from novacron_kvm.storage.busy_pools import refresh_if_free
from novacron_kvm.storage.cloning import SECURE, refuse_taken, undefine_clone
from novacron_kvm.storage.copies import copy_volume, give_own_identity, overlay, own_disks, set_disk_file, volume_of
from novacron_kvm.storage.disk_users import refuse_disks_in_use, users_everywhere
from novacron_kvm.storage.held_files import destroying, using
from novacron_kvm.storage.host_files import HostFiles
from novacron_kvm.storage.image_content import format_of
from novacron_kvm.storage.luks import refuse_encrypted
from novacron_kvm.storage.other_hosts import refuse_if_silent
from novacron_kvm.storage.volume_files import find_path, remove_volume
from novacron_kvm.xml.parsing import parse, serialise, text_of
from novacron_kvm.xml.storage import volume_xml

if TYPE_CHECKING:
    from novacron.specs.templates import TemplateSpec
    from novacron.specs.vm import VMSpec

FILE = re.compile(r"template-(?P<name>.+)-v(?P<version>\d+)\.xml")
ROOM = 256 * 1024
"""Bytes of the volume that describes a version: more than any definition takes, so that it can be written again in place."""


class Stored(NamedTuple):
    """A version as it is in a storage pool."""

    pool: str
    facts: dict[str, Any]
    definition: str

    def record(self, host: str) -> Template:
        """Return its record."""
        known = self.facts
        return Template(
            name=known["name"],
            host=host,
            version=known["version"],
            description=known["description"],
            created_at=known["created_at"],
            disks=tuple(known["disks"]),
            tags=frozenset(known["tags"]),
        )


class KVMTemplates:
    """Makes, reads, changes, deletes and deploys templates."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def template_create(self, vm: str, spec: TemplateSpec, job: Job[Template]) -> Template:
        """Copy a stopped VM's disks, seal the copies, and describe them."""
        with self._connection.dedicated() as conn, ExitStack() as undo, translated(resource=vm):
            domain = self._connection.domain(vm, conn)
            record = vm_record(self._connection, domain, sizes=False)
            require_status("make a template of", record, STOPPED)
            if spec.seal:
                from novacron_kvm.storage.sealing import refuse_unsealable

                refuse_unsealable(self._connection.uri)
            versions = self._versions(conn, spec.name)
            number = versions[-1].facts["version"] + 1 if versions else 1
            root = parse(domain.XMLDesc(SECURE))
            refuse_encrypted(record.name, own_disks(root), "make a template of")
            disks: dict[str, str] = {}
            pool = None
            for element in own_disks(root):
                job.raise_if_cancelled()
                volume, target = volume_of(conn, element), text_of(element, "target/@dev") or ""
                name = f"template-{spec.name}-v{number}-{target}.{text_of(element, 'driver/@type') or 'raw'}"
                copy = copy_volume(self._connection, volume, name, format_of(element), job, undo)
                pool = pool or copy.pool
                if spec.seal:
                    from novacron_kvm.storage.sealing import seal

                    seal(copy.path, copy.format, job)
                set_disk_file(element, copy)
                disks[target] = copy.path
            job.raise_if_cancelled()
            facts = {
                "name": spec.name,
                "version": number,
                "description": spec.description,
                "tags": sorted(spec.tags),
                "disks": disks,
                "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            for display in root.iterfind("devices/graphics[@passwd]"):
                del display.attrib["passwd"]  # which would lie in a file
            stored = Stored(pool or "default", facts, serialise(root))
            self._write(conn, stored, new=True)
            undo.pop_all()
            return stored.record(self._connection.name)

    @hookimpl
    def template_list(self) -> list[Template]:
        """List the latest version of each."""
        with self._connection.dedicated() as conn, translated():
            latest = {stored.facts["name"]: stored for stored in self._all(conn)}
            return [latest[name].record(self._connection.name) for name in sorted(latest)]

    @hookimpl
    def template_get(self, template: str, version: int | None) -> Template:
        """Return one version."""
        with self._connection.dedicated() as conn, translated(resource=template):
            return self._find(conn, template, version).record(self._connection.name)

    @hookimpl
    def template_versions(self, template: str) -> list[Template]:
        """List all versions."""
        with self._connection.dedicated() as conn, translated(resource=template):
            self._find(conn, template, None)
            return [stored.record(self._connection.name) for stored in self._versions(conn, template)]

    @hookimpl
    def template_update(self, template: str, description: str | None, tags: frozenset[str] | None) -> Template:
        """Change the latest version's description or tags."""
        with self._connection.dedicated() as conn, translated(resource=template):
            found = self._find(conn, template, None)
            facts = dict(found.facts)
            if description is not None:
                facts["description"] = description
            if tags is not None:
                facts["tags"] = sorted(tags)
            changed = found._replace(facts=facts)
            self._write(conn, changed)
            return changed.record(self._connection.name)

    @hookimpl
    def template_delete(self, template: str, version: int | None) -> Deleted:
        """Delete a version, or all, that no VM is linked to."""
        with self._connection.dedicated() as conn, translated(resource=template), ExitStack() as held:
            self._find(conn, template, version)
            going = [s for s in self._versions(conn, template) if version in (None, s.facts["version"])]
            disks = [volume.path() for stored in going for volume in _own_disks(conn, stored.facts)]
            held.enter_context(destroying(self._connection, conn, disks))
            files = HostFiles(conn)
            for stored in going:
                own = [volume.path() for volume in _own_disks(conn, stored.facts)]
                users = [users_everywhere(self._connection, conn, path, files=files) for path in own]
                linked = sorted({user for each in users for user in each.known})
                if linked:
                    raise InvalidStateError(
                        f"can't delete version {stored.facts['version']} of the template {template!r}: "
                        f"{', '.join(linked)} shares its content",
                        resource=template,
                        hint="delete the linked VMs first",
                    )
                silent = {host for each in users for host in each.silent}
                refuse_if_silent(template, f"delete version {stored.facts['version']} of the template {template!r}", silent)
            removed = []
            for stored in going:
                pool = conn.storagePoolLookupByName(stored.pool)
                remove_volume(pool, _file(stored.facts))  # first what makes it a template: then it is none, whatever follows
                for volume in _own_disks(conn, stored.facts):
                    removed.append(volume.path())
                    volume.delete(0)
            return Deleted(name=template, removed=tuple(removed))

    @hookimpl
    def template_deploy(self, template: str, spec: VMSpec, version: int | None, linked: bool, job: Job[VM]) -> VM:
        """Make a VM of a version: its definition with what `spec` gives in place, its disks copied or shared, further disks added."""
        with self._connection.dedicated() as conn, ExitStack() as undo, translated(resource=template):
            stored = self._find(conn, template, version)
            refuse_taken(conn, spec.name)
            root = parse(stored.definition)
            files = []
            for number, element in enumerate(disks := own_disks(root)):
                job.raise_if_cancelled()
                job.report(f"disk {number + 1} of {len(disks)}", number / len(disks))
                volume = volume_of(conn, element)
                name = f"{spec.name}-{text_of(element, 'target/@dev')}"
                if linked:
                    own = overlay(self._connection, volume, f"{name}.qcow2", format_of(element), undo)
                else:
                    own = copy_volume(self._connection, volume, f"{name}.{format_of(element)}", format_of(element), job, undo)
                set_disk_file(element, own)
                files.append(own.path)
            files += self._add_devices(conn, root, spec, undo)
            with using(self._connection, conn, root.iterfind("devices/disk"), made=files):
                refuse_disks_in_use(self._connection, conn, spec.name, root.iterfind("devices/disk"), made=files)
                give_own_identity(self._connection, conn, root, spec.name, files)
                _apply(root, spec, files)
                job.raise_if_cancelled()
                if spec.id is None:  # otherwise the UUID may be that of another VM
                    self._undefine_later(root.findtext("uuid"), spec.name, undo)
                domain = conn.defineXMLFlags(serialise(root), libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
                if spec.id is not None:
                    self._undefine_later(str(spec.id), spec.name, undo)
            if spec.autostart:
                domain.setAutostart(1)
            if spec.start:
                job.report("starting")
                domain.create()
            result = vm_record(self._connection, domain)
            undo.pop_all()
            return result

    def _undefine_later(self, identity: str, name: str, undo: ExitStack) -> None:
        undo.callback(self._connection.ensure_undone, partial(undefine_clone, identity), f"the definition of {name!r}")

    def _add_devices(self, conn: Any, root: Any, spec: VMSpec, undo: ExitStack) -> list[str]:
        """Add the disks, NICs and the cloud-init seed that a spec gives; return the files that were made."""
        from lxml import etree

        from novacron_kvm.domain_capabilities import refuse_buses
        from novacron_kvm.domains.disks import refuse_settings
        from novacron_kvm.domains.nics import refuse_unusable_network, with_mac_addresses
        from novacron_kvm.storage.cloud_init import make_seed, seed_drive
        from novacron_kvm.storage.disk_files import make_disk
        from novacron_kvm.xml.devices.disk import disk_element, place
        from novacron_kvm.xml.devices.nic import nic_element
        from novacron_kvm.xml.platforms import platform
        from novacron_kvm.xml.reading import machine_of

        devices = root.find("devices")
        there = [text_of(e, "target/@dev") or "" for e in root.iterfind("devices/disk")]
        wanted, made = [*spec.disks], []
        if spec.cloud_init:
            seed = make_seed(self._connection, conn, spec, undo)
            made.append(seed)
            own = [text_of(e, "target/@bus") or "" for e in root.iterfind("devices/disk")]
            wanted.append(seed_drive(seed, own))
        places = place(wanted, platform(*machine_of(root)).buses, there)
        refuse_buses(conn, root, places)
        refuse_settings(
            (f"disks.{number}.", *each) for number, each in enumerate(zip(wanted, [bus for bus, _ in places], strict=True))
        )
        if any(bus == "scsi" for bus, _ in places) and devices.find("controller[@type='scsi']") is None:
            # without a model libvirt may choose LSI Logic
            etree.SubElement(devices, "controller", type="scsi", model="virtio-scsi")
        for disk, (bus, target) in zip(wanted, places, strict=True):
            file = make_disk(self._connection, conn, spec.name, disk, bus, target, undo)
            devices.append(disk_element(file))
            if file.made and file.path:
                made.append(file.path)
        if spec.nics:
            for old in devices.findall("interface"):
                devices.remove(old)
            for number, nic in enumerate(with_mac_addresses(spec.nics, self._connection.macs)):
                refuse_unusable_network(conn, nic, prefix=f"nics.{number}.")
                devices.append(nic_element(nic))
        return made

    def _find(self, conn: Any, template: str, version: int | None) -> Stored:
        versions = self._versions(conn, template)
        found: Stored | None = next((s for s in reversed(versions) if version in (None, s.facts["version"])), None)
        if found is None:
            what = f"version {version} of the template {template!r}" if versions else f"template {template!r}"
            there = ", ".join(sorted({s.facts["name"] for s in self._all(conn)}))
            raise TemplateNotFoundError(f"no {what}", resource=template, hint=f"there are: {there or 'none'}")
        return found

    def _versions(self, conn: Any, template: str) -> list[Stored]:
        return [stored for stored in self._all(conn, template) if stored.facts["name"] == template]

    def _all(self, conn: Any, template: str | None = None) -> list[Stored]:
        """Return all versions of all templates, or of one, oldest first."""
        found = []
        for pool in conn.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
            refresh_if_free(pool)  # another host of shared storage may have made one
            for name in pool.listVolumes():
                match = FILE.fullmatch(name)
                if match and template in (None, match["name"]):
                    stored = self._read(conn, pool, name)
                    if stored is not None:
                        found.append(stored)
        return sorted(found, key=lambda s: (s.facts["name"], s.facts["version"]))

    def _read(self, conn: Any, pool: Any, name: str) -> Stored | None:
        from novacron_kvm.storage.streams import download

        text = io.BytesIO()
        try:
            download(conn, pool.storageVolLookupByName(name), text, Job("template_get", name))
            facts, _, definition = text.getvalue().rstrip(b"\0").decode().partition("\n")
            known = json.loads(facts)
            return Stored(pool.name(), known, definition) if {"name", "version", "disks"} <= known.keys() else None
        except (libvirt.libvirtError, ValueError):
            return None  # it is gone, half written, or somebody else's

    def _write(self, conn: Any, stored: Stored, *, new: bool = False) -> None:
        """Write what describes a version. A new one never replaces that of another process, which chose the same number."""
        from novacron_kvm.storage.streams import upload

        pool, name = conn.storagePoolLookupByName(stored.pool), _file(stored.facts)
        text = f"{json.dumps(stored.facts)}\n{stored.definition}".encode()
        fresh = new or name not in pool.listVolumes()
        volume = pool.createXML(volume_xml(name, ROOM, "raw", None), 0) if fresh else pool.storageVolLookupByName(name)
        try:
            upload(conn, volume, io.BytesIO(text.ljust(ROOM, b"\0")), Job("template_create", name))
        except Exception:
            if fresh:
                remove_volume(pool, name)
            raise


def _file(facts: dict[str, Any]) -> str:
    return f"template-{facts['name']}-v{facts['version']}.xml"


def _own_disks(conn: Any, facts: dict[str, Any]) -> list[Any]:
    """Return the volumes with a template's disks. Whoever can write into the pool can write its file, and name the disk of a VM in it."""
    found = [find_path(conn, path) for path in facts["disks"].values()]
    prefix = _file(facts).removesuffix(".xml") + "-"
    return [volume for volume in found if volume is not None and volume.name().startswith(prefix)]


def _apply(root: Any, spec: VMSpec, files: list[str]) -> None:
    """Put what a spec gives in place of what the template says."""
    from novacron_kvm.xml.facts import VMFacts
    from novacron_kvm.xml.resources import fit_cells

    given = spec.model_fields_set
    if spec.id:
        root.find("uuid").text = str(spec.id)
    if given & {"vcpus", "vcpus_max"}:
        vcpu = root.find("vcpu")
        vcpu.text = str(spec.vcpus_max or spec.vcpus)
        vcpu.set("current", str(spec.vcpus))
    if given & {"memory", "memory_max"}:
        for tag, size in (("memory", spec.memory_max or spec.memory), ("currentMemory", spec.memory)):
            element = root.find(tag)
            if element is not None:
                element.text, element.attrib["unit"] = str(size // 1024), "KiB"
    if given & {"vcpus", "vcpus_max", "memory", "memory_max"}:
        fit_cells(root)
    if "description" in given:
        element = root.find("description")
        if element is None:
            from lxml import etree

            element = etree.Element("description")
            root.find("uuid").addnext(element)
        element.text = spec.description
    own = VMFacts.read(root).with_labels(spec.tags if "tags" in given else None, spec.metadata)
    own.changed(made=tuple(files)).write(root)


__all__ = ["KVMTemplates"]
