"""Storage pools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import libvirt

from novacron.errors import AlreadyExistsError, InvalidSpecError, InvalidStateError, SpecProblem
from novacron.plugins import hookimpl
from novacron.records.pools import StoragePool
from novacron.records.vm import Deleted
from novacron_kvm.connection import KVMConnection
from novacron_kvm.definitions import validation
from novacron_kvm.errors import translated
from novacron_kvm.inventory.lists import still_there
from novacron_kvm.storage.busy_pools import wait_until_free
from novacron_kvm.xml.parsing import parse, text_of
from novacron_kvm.xml.sources import sources

if TYPE_CHECKING:
    from novacron.specs.pools import StoragePoolSpec


class KVMPools:
    """Makes, reads and deletes storage pools."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def pool_list(self) -> list[StoragePool]:
        """List all pools."""
        with translated():
            return sorted(still_there(self._connection.read.listAllStoragePools(0), self._pool), key=lambda p: p.name)

    @hookimpl
    def pool_get(self, pool: str) -> StoragePool:
        """Return one."""
        with translated(resource=pool):
            return self._pool(self._connection.read.storagePoolLookupByName(pool))

    @hookimpl
    def pool_create(self, spec: StoragePoolSpec) -> StoragePool:
        """Define, build and start a pool; forget it again when one of these fails."""
        from novacron_kvm.xml.storage import pool_xml

        with self._connection.dedicated() as conn, translated(resource=spec.name):
            if spec.type == "dir" and not spec.path:
                problem = SpecProblem("path", "missing", "the absolute path of a folder on the host, which a dir pool needs")
                raise InvalidSpecError(f"can't create the storage pool {spec.name!r}", problems=[problem], resource=spec.name)
            if spec.name in [p.name() for p in conn.listAllStoragePools(0)]:
                raise AlreadyExistsError(f"there is a storage pool {spec.name!r} already", resource=spec.name)
            made = conn.storagePoolDefineXML(pool_xml(spec), validation(conn, "pool"))
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
        with self._connection.dedicated() as conn, translated(resource=pool):
            found = conn.storagePoolLookupByName(pool)
            if not found.isActive():
                found.create(0)
        return self.pool_get(pool)

    @hookimpl
    def pool_stop(self, pool: str) -> StoragePool:
        """Take a pool out of use; an inactive one stays so."""
        with self._connection.dedicated() as conn, translated(resource=pool):
            found = conn.storagePoolLookupByName(pool)
            if found.isActive():
                wait_until_free(found.destroy)
        return self.pool_get(pool)

    @hookimpl
    def pool_delete(self, pool: str) -> Deleted:
        """Forget a pool; what is in it stays."""
        with self._connection.dedicated() as conn, translated(resource=pool):
            found = conn.storagePoolLookupByName(pool)
            self._refuse_used(conn, pool)
            identity, folder = found.UUIDString(), text_of(parse(found.XMLDesc(0)), "target/path")
            if found.isActive():
                wait_until_free(found.destroy)
            if found.isPersistent():
                found.undefine()
        return Deleted(name=pool, id=identity, removed=(f"definition of {pool}",), kept=(folder,) if folder else ())

    @hookimpl
    def pool_refresh(self, pool: str) -> StoragePool:
        """Look again at what is there."""
        with self._connection.dedicated() as conn, translated(resource=pool):
            wait_until_free(lambda: conn.storagePoolLookupByName(pool).refresh())
        return self.pool_get(pool)

    def _refuse_used(self, conn: Any, pool: str) -> None:
        """Raise an error if disks of VMs refer to the pool by its name: without the pool the VMs could not start."""
        users = []
        for domain in conn.listAllDomains(0):
            try:
                definitions = [domain.XMLDesc(0)]
                if domain.isActive() and domain.isPersistent():
                    definitions.append(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
            except libvirt.libvirtError:
                continue  # it was deleted meanwhile
            if any(source.get("pool") == pool for text in definitions for source in sources(parse(text))):
                users.append(domain.name())
        if users:
            raise InvalidStateError(
                f"can't delete the storage pool {pool!r}: disks of {', '.join(sorted(users)[:5])} are named as its volumes",
                resource=pool,
                hint="delete these VMs, or detach the disks, first",
            )

    def _pool(self, pool: Any) -> StoragePool:
        root = parse(pool.XMLDesc(0))
        info = pool.info()
        return StoragePool(
            name=pool.name(),
            host=self._connection.name,
            type=root.get("type", ""),
            active=bool(pool.isActive()),
            autostart=bool(pool.autostart()),
            id=pool.UUIDString(),
            path=text_of(root, "target/path"),
            capacity_bytes=info[1],
            allocated_bytes=info[2],
            available_bytes=info[3],
            source=_source(root),
        )


def _source(root: Any) -> str | None:
    """Return where a pool comes from, as records say it: "HOST:PATH", a device or a name."""
    places = (text_of(root, each) for each in ("source/dir/@path", "source/name", "source/device/@path"))
    return ":".join(filter(None, (text_of(root, "source/host/@name"), next(filter(None, places), None)))) or None


__all__ = ["KVMPools"]
