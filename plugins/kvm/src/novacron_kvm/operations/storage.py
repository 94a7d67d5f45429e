"""Storage pools and volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import libvirt

from novacron.errors import AlreadyExistsError, VolumeNotFoundError
from novacron.plugins import hookimpl
from novacron.records.storage import StoragePool, Volume
from novacron.records.vm import Deleted
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.xml.parsing import parse, serialise, text_of

if TYPE_CHECKING:
    from novacron.specs.storage import StoragePoolSpec, VolumeSpec


class KVMStorage:
    """Makes, reads and deletes pools and volumes."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def pool_list(self) -> list[StoragePool]:
        """List all pools."""
        with translated("pool_list"):
            return sorted((self._pool(p) for p in self._connection.read.listAllStoragePools(0)), key=lambda p: p.name)

    @hookimpl
    def pool_get(self, pool: str) -> StoragePool:
        """Return one."""
        with translated("pool_get", pool):
            return self._pool(self._connection.read.storagePoolLookupByName(pool))

    @hookimpl
    def pool_create(self, spec: StoragePoolSpec) -> StoragePool:
        """Define, build and start a pool; forget it again when one of these fails."""
        with self._connection.slow() as slow, translated("pool_create", spec.name):
            if spec.name in [p.name() for p in slow.listAllStoragePools(0)]:
                raise AlreadyExistsError(f"there is a storage pool {spec.name!r} already", resource=spec.name)
            made = slow.storagePoolDefineXML(pool_xml(spec), 0)
            try:
                if spec.type in ("dir", "fs", "netfs"):
                    made.build(0)
                made.create(0)
                made.setAutostart(int(spec.autostart))
            except libvirt.libvirtError:
                if made.isActive():
                    made.destroy()
                made.undefine()
                raise
        return self.pool_get(spec.name)

    @hookimpl
    def pool_start(self, pool: str) -> StoragePool:
        """Make a pool usable; an active one stays so."""
        with self._connection.slow() as slow, translated("pool_start", pool):
            found = slow.storagePoolLookupByName(pool)
            if not found.isActive():
                found.create(0)
        return self.pool_get(pool)

    @hookimpl
    def pool_stop(self, pool: str) -> StoragePool:
        """Take a pool out of use; an inactive one stays so."""
        with self._connection.slow() as slow, translated("pool_stop", pool):
            found = slow.storagePoolLookupByName(pool)
            if found.isActive():
                found.destroy()
        return self.pool_get(pool)

    @hookimpl
    def pool_delete(self, pool: str) -> Deleted:
        """Forget a pool; what is in it stays."""
        with self._connection.slow() as slow, translated("pool_delete", pool):
            found = slow.storagePoolLookupByName(pool)
            identity, folder = found.UUIDString(), text_of(parse(found.XMLDesc(0)), "target/path")
            if found.isActive():
                found.destroy()
            if found.isPersistent():
                found.undefine()
        return Deleted(name=pool, id=identity, removed=(f"definition of {pool}",), kept=(folder,) if folder else ())

    @hookimpl
    def pool_refresh(self, pool: str) -> StoragePool:
        """Look again at what is there."""
        with self._connection.slow() as slow, translated("pool_refresh", pool):
            slow.storagePoolLookupByName(pool).refresh()
        return self.pool_get(pool)

    @hookimpl
    def volume_list(self, pool: str) -> list[Volume]:
        """List a pool's volumes."""
        with translated("volume_list", pool):
            volumes = self._connection.read.storagePoolLookupByName(pool).listAllVolumes(0)
            return sorted((volume_record(self._connection.name, v) for v in volumes), key=lambda v: v.name)

    @hookimpl
    def volume_get(self, pool: str, volume: str) -> Volume:
        """Return one."""
        return volume_record(self._connection.name, find_volume(self._connection.read, pool, volume))

    @hookimpl
    def volume_create(self, pool: str, spec: VolumeSpec) -> Volume:
        """Make a volume."""
        with self._connection.slow() as slow, translated("volume_create", spec.name):
            parent = slow.storagePoolLookupByName(pool)
            backing = (spec.backing, "qcow2") if spec.backing else None
            if spec.backing and not spec.backing.startswith("/"):
                source = volume_record(self._connection.name, find_volume(slow, pool, spec.backing))
                backing = (source.path, source.format)
            text = volume_xml(spec.name, spec.capacity or 0, spec.format, backing, preallocate=spec.preallocate)
            return volume_record(self._connection.name, parent.createXML(text, 0))

    @hookimpl
    def volume_delete(self, pool: str, volume: str) -> Deleted:
        """Delete a volume."""
        with self._connection.slow() as slow, translated("volume_delete", volume):
            found = find_volume(slow, pool, volume)
            path = found.path()
            found.delete(0)
        return Deleted(name=volume, removed=(path,))

    def _pool(self, pool: Any) -> StoragePool:
        root = parse(pool.XMLDesc(0))
        info = pool.info()
        return StoragePool(
            name=pool.name(), host=self._connection.name, type=root.get("type", ""), active=bool(pool.isActive()),
            autostart=bool(pool.autostart()), id=pool.UUIDString(), path=text_of(root, "target/path"),
            capacity_bytes=info[1], allocated_bytes=info[2], available_bytes=info[3],
        )  # fmt: skip


def pool_xml(spec: StoragePoolSpec) -> str:
    """Return a pool's definition."""
    from lxml import etree

    root = etree.Element("pool", type=spec.type)
    etree.SubElement(root, "name").text = spec.name
    source = etree.SubElement(root, "source")
    if spec.source_host:
        etree.SubElement(source, "host", name=spec.source_host)
    if spec.source_path:
        etree.SubElement(source, "dir" if spec.type == "netfs" else "device", path=spec.source_path)
    if spec.source_name:
        etree.SubElement(source, "name").text = spec.source_name
    if spec.path:
        etree.SubElement(etree.SubElement(root, "target"), "path").text = spec.path
    return serialise(root)


def find_volume(connection: Any, pool: str, volume: str) -> Any:
    """Return libvirt's volume, looking at the pool again when it isn't known: another host may have made it."""
    with translated("volume_get", volume):
        parent = connection.storagePoolLookupByName(pool)
        try:
            return parent.storageVolLookupByName(volume)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
                raise
        parent.refresh()
        try:
            return parent.storageVolLookupByName(volume)
        except libvirt.libvirtError as error:
            raise VolumeNotFoundError(
                f"no volume {volume!r} in the pool {pool!r}",
                resource=volume,
                hint=f"`novacron storage volumes --pool {pool}` shows them",
            ) from error


def find_path(connection: Any, path: str) -> Any | None:
    """Return libvirt's volume at a path, None when no pool has it; pools around it are looked at again first if need be."""
    try:
        return connection.storageVolLookupByPath(path)
    except libvirt.libvirtError:
        pass
    for pool in connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
        folder = text_of(parse(pool.XMLDesc(0)), "target/path")
        if folder and path.startswith(folder.rstrip("/") + "/"):
            try:
                pool.refresh()
                return connection.storageVolLookupByPath(path)
            except libvirt.libvirtError:
                continue
    return None


def volume_record(host: str, volume: Any) -> Volume:
    """Return the record of libvirt's volume."""
    with translated(resource=volume.name()):
        root = parse(volume.XMLDesc(0))
        return Volume(
            name=volume.name(), pool=volume.storagePoolLookupByVolume().name(), host=host, path=volume.path(),
            format=text_of(root, "target/format/@type") or "raw", capacity_bytes=int(text_of(root, "capacity") or 0),
            allocated_bytes=int(text_of(root, "allocation") or 0), backing=text_of(root, "backingStore/path"),
            encrypted=root.find("target/encryption") is not None,
        )  # fmt: skip


def volume_xml(name: str, capacity: int, format_: str, backing: tuple[str, str] | None, *, preallocate: bool = False) -> str:
    """Return a volume's definition; `backing` is (path, format)."""
    from lxml import etree

    root = etree.Element("volume")
    etree.SubElement(root, "name").text = name
    etree.SubElement(root, "capacity").text = str(capacity)
    etree.SubElement(root, "allocation").text = str(capacity if preallocate else 0)
    etree.SubElement(etree.SubElement(root, "target"), "format", type=format_)
    if backing:
        below = etree.SubElement(root, "backingStore")
        etree.SubElement(below, "path").text = backing[0]
        etree.SubElement(below, "format", type=backing[1])
    return serialise(root)


__all__ = ["KVMStorage", "find_path", "find_volume", "volume_record", "volume_xml"]
