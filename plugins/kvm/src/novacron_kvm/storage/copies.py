"""Copies of VMs: their disks, shared or whole, and a definition with nothing in it that only one VM may have."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import libvirt

from novacron.errors import AlreadyExistsError, UnsupportedOperationError
from novacron.jobs import Job
from novacron.records.volumes import Volume
from novacron_kvm.connection import KVMConnection
from novacron_kvm.definitions import changing, redefine
from novacron_kvm.domains.nics import macs_in_use
from novacron_kvm.storage.busy_pools import refresh_if_free
from novacron_kvm.storage.disk_files import free_name
from novacron_kvm.storage.held_files import reading
from novacron_kvm.storage.host_files import HostFiles
from novacron_kvm.storage.image_content import refuse_other_format
from novacron_kvm.storage.volume_files import (
    copy_progress,
    create_whole,
    find_volume,
    remove_created,
    volume_of_disk,
    volume_record,
)
from novacron_kvm.xml.facts import VMFacts
from novacron_kvm.xml.parsing import parse, serialise, text_of
from novacron_kvm.xml.reading import disk as disk_record
from novacron_kvm.xml.storage import volume_xml

OF_ANY_SOURCE = ("encryption", "seclabel", "reservations")
"""Elements of a <source> that stay when a disk gets another file."""


def own_disks(root: Any) -> list[Any]:
    """Return the <disk>s that a copy of a VM needs of its own: those that it writes and nobody shares."""
    return [
        element
        for element in root.iterfind("devices/disk")
        if element.get("device", "disk") == "disk"
        and element.find("readonly") is None
        and element.find("shareable") is None
        and element.find("source") is not None
    ]


def volume_of(conn: Any, element: Any) -> Any:
    """Return libvirt's volume of a <disk>.

    Raises:
        StoragePoolNotFoundError, VolumeNotFoundError: the disk names a volume, and it is not there.
        UnsupportedOperationError: no storage pool has the file of the disk.
    """
    if element.get("type") == "volume" and (source := element.find("source")) is not None:
        return find_volume(conn, source.get("pool", ""), source.get("volume", ""))
    volume = volume_of_disk(conn, element)
    if volume is None:
        source = disk_record(element).source or ""
        raise UnsupportedOperationError(
            f"the disk {text_of(element, 'target/@dev')!r} ({source}) is in no storage pool",
            hint="make a storage pool of its folder"
            if source.startswith("/")
            else "copy it into a storage pool, and use the copy",
        )
    return volume


def chain(conn: Any, volume: Any) -> list[str]:
    """Return the paths of a volume and of all that it is backed by."""
    return HostFiles(conn).chain(str(volume.path()))


def copy_volume(connection: KVMConnection, volume: Any, name: str, used_as: str, job: Job[Any], undo: ExitStack) -> Volume:
    """Copy a volume into its own pool, under this name or a free one like it, with what it is backed by; `undo` removes the copy.

    Raises:
        BusyError: another process has deleted or changed the volume meanwhile.
        ImageError: the VM uses it as `used_as`, and its content begins like an image of another format.
    """
    name = _free_beside(volume, name)
    before = volume_record(
        connection.name, volume
    )  # after libvirt looked at the pool again, because it copies by the format that it guessed
    refuse_other_format(before.name, before.format, used_as)
    text = volume_xml(name, before.capacity_bytes, before.format, None)
    with (
        reading(connection, volume.connect(), [before.path]),  # another process may start the VM
        copy_progress(connection, before.pool, name, before.capacity_bytes, job),
    ):
        return made(connection, volume, name, undo, lambda pool: pool.createXMLFrom(text, volume, 0))


def overlay(connection: KVMConnection, volume: Any, name: str, used_as: str, undo: ExitStack, *, written: bool = False) -> Volume:
    """Make a volume that shares a volume's content and writes to itself, of this name or a free one like it; `undo` removes it.

    Args:
        written: a running VM writes to the volume until it has the new one.

    Raises:
        BusyError: another process has deleted or changed the volume meanwhile.
        ImageError: the VM uses the volume as `used_as`, and its content begins like an image of another format.
    """
    below = volume_record(connection.name, volume)
    refuse_other_format(below.name, below.format, used_as)
    name = _free_beside(volume, name)
    text = volume_xml(name, below.capacity_bytes, "qcow2", (below.path, below.format))
    with reading(connection, volume.connect(), [below.path], written=written):
        return made(connection, volume, name, undo, lambda pool: pool.createXML(text, 0))


def made(connection: KVMConnection, beside: Any, name: str, undo: ExitStack, make: Callable[[Any], Any]) -> Volume:
    """Make a volume in the pool of another."""
    pool = beside.storagePoolLookupByVolume()
    refresh_if_free(pool)  # another host of shared storage may have made one
    if name in pool.listVolumes():
        raise AlreadyExistsError(f"a volume {name!r} is already in the storage pool {pool.name()!r}", resource=name)
    volume = create_whole(connection, pool, name, lambda: make(pool))
    undo.callback(remove_created, connection, pool, name)
    return volume_record(connection.name, volume)


def _free_beside(volume: Any, name: str) -> str:
    pool = volume.storagePoolLookupByVolume()
    refresh_if_free(pool)  # another host of shared storage may have made one; and the volume may have grown
    return free_name(pool.listVolumes(), name)


def set_disk_file(element: Any, volume: Volume) -> None:
    """Let a <disk> use a volume."""
    source = element.find("source")
    foreign = [child for child in source if child.tag not in OF_ANY_SOURCE]  # the host and login of a network disk, for instance
    for old in [*element.findall("backingStore"), *element.findall("auth"), *foreign]:
        old.getparent().remove(old)
    for attribute in list(source.attrib):
        if attribute != "startupPolicy":
            del source.attrib[attribute]
    source.set("file", volume.path)
    element.set("type", "file")
    driver = element.find("driver")
    if driver is None:
        element.insert(0, parse(f'<driver name="qemu" type="{volume.format}"/>'))
    else:
        driver.set("type", volume.format)


def set_defined_disk_file(connection: KVMConnection, conn: Any, domain: Any, target: str, volume: Volume) -> None:
    """Let a VM's persistent definition use a volume as the disk `target`, if it does not yet."""
    if not domain.isPersistent():
        return
    with changing(connection, domain):
        root = parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE))
        element = next((e for e in own_disks(root) if text_of(e, "target/@dev") == target), None)
        if element is None or disk_record(element).source == volume.path:
            return
        set_disk_file(element, volume)
        redefine(conn, serialise(root))


def give_own_identity(connection: KVMConnection, conn: Any, root: Any, name: str, made_files: list[str]) -> None:
    """Give a definition a name, a UUID and MAC addresses of its own, and drop what only the original may have.

    That is its NVRAM (libvirt creates another one from the template of the firmware), its serial log, its seed for cloud-init, its ports,
    its sockets, and the names that libvirt gave. Other files that its guest writes, as for a serial port, are only appended to.
    """
    own = VMFacts.read(root)
    root.find("name").text = name
    _set(root, "uuid", str(uuid.uuid4()), after="name")
    for path in ("os/nvram", "devices/serial/log", "devices/console/log", "genid", "devices/interface/target"):
        for element in root.findall(path):
            element.getparent().remove(element)
    for drive in root.iterfind("devices/disk[@device='cdrom']"):
        source = drive.find("source")
        if source is not None and source.get("file") in own.made:
            drive.remove(source)
    for entry in root.iterfind("sysinfo/system/entry[@name='uuid']"):
        entry.text = root.findtext("uuid")  # libvirt wants the two to be the same
    for alias in root.findall("devices/*/alias"):
        if not (alias.get("name") or "").startswith("ua-"):  # libvirt's own; those that a user chose stay
            alias.getparent().remove(alias)
    taken = macs_in_use(conn)
    for mac in root.iterfind("devices/interface/mac"):
        mac.set("address", connection.macs.new(taken))
        taken[mac.get("address")] = name
    for channel in root.iterfind("devices/channel[@type='unix']/source[@path]"):
        if channel.get("mode") != "connect":  # a socket that the VM makes itself; one that it connects to is somebody else's
            channel.getparent().remove(channel)
    _share_no_ports(root)
    for source in root.iterfind("devices/*[@type='file']/source[@path]"):
        source.set("append", "on")  # QEMU would empty the file, which the original may be writing
    created_at = datetime.now(UTC).isoformat(timespec="seconds")
    own.changed(made=tuple(made_files), chain=(), created_at=created_at).write(root)


def _share_no_ports(root: Any) -> None:
    """Let libvirt choose the ports and sockets of displays and the context id of vsock. With fixed ones, only one of the VMs could run."""
    for display in root.iterfind("devices/graphics"):
        if display.get("autoport") == "no" or display.get("socket"):
            for name in ("port", "tlsPort", "socket"):
                display.attrib.pop(name, None)
            display.set("autoport", "yes")
        if display.get("websocket"):
            display.set("websocket", "-1")
        for listen in display.iterfind("listen[@type='socket']"):
            listen.attrib.pop("socket", None)
    for address in root.iterfind("devices/vsock/cid"):
        address.set("auto", "yes")
        address.attrib.pop("address", None)


def _set(root: Any, tag: str, text: str, *, after: str) -> None:
    from lxml import etree

    element = root.find(tag)
    if element is None:
        element = etree.Element(tag)
        root.find(after).addnext(element)
    element.text = text


__all__ = [
    "chain",
    "copy_volume",
    "give_own_identity",
    "made",
    "overlay",
    "own_disks",
    "set_disk_file",
    "set_defined_disk_file",
    "volume_of",
]
