"""Storage pools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.drivers.sim.area import Area, simulated
from novacron.drivers.sim.state.pools import SimPool
from novacron.errors import AlreadyExistsError, InvalidStateError
from novacron.records.pools import StoragePool
from novacron.records.vm import Deleted

if TYPE_CHECKING:
    from novacron.specs.pools import StoragePoolSpec


class SimPools(Area):
    """Creates, lists, starts, stops and deletes storage pools."""

    @simulated
    def pool_list(self) -> list[StoragePool]:
        """List all pools."""
        with self.world.lock:
            return [pool.record(self.connection.name) for _, pool in sorted(self.world.pools.items())]

    @simulated
    def pool_get(self, pool: str) -> StoragePool:
        """Return one pool."""
        with self.world.lock:
            return self.world.pool(pool).record(self.connection.name)

    @simulated
    def pool_create(self, spec: StoragePoolSpec) -> StoragePool:
        """Create a pool. A path that another pool had before still contains that pool's volumes."""
        path = spec.path or f"/sim/{spec.name}"
        with self.world.lock:
            for other in self.world.pools.values():
                if spec.name == other.name or path == other.path:
                    what = (
                        f"a storage pool {spec.name!r}"
                        if spec.name == other.name
                        else f"a storage pool at {path}, {other.name!r},"
                    )
                    raise AlreadyExistsError(f"{what} is already there", resource=spec.name, hint="choose another name and path")
            made = SimPool(spec.name, spec.type, path, self.world.new_id(), source=_source(spec))
            made.autostart = spec.autostart
            made.volumes = self.world.folders.pop(path, {})
            self.world.pools[spec.name] = made
            self.world.tell("pool.defined", resource=spec.name)
            return made.record(self.connection.name)

    @simulated
    def pool_start(self, pool: str) -> StoragePool:
        """Start a pool."""
        return self._set_active(pool, True)

    @simulated
    def pool_stop(self, pool: str) -> StoragePool:
        """Stop a pool."""
        return self._set_active(pool, False)

    @simulated
    def pool_refresh(self, pool: str) -> StoragePool:
        """Do nothing: nothing else changes a simulated pool."""
        with self.world.lock:
            found = self.world.pool(pool)
            found.check()
            return found.record(self.connection.name)

    @simulated
    def pool_delete(self, pool: str) -> Deleted:
        """Delete a pool that no VM uses. Its volumes stay at its path."""
        with self.world.lock:
            found = self.world.pool(pool)
            used = next((vm.name for vm in self.world.all() if any(place[0] == pool for place in vm.places())), None)
            if used is not None:
                raise InvalidStateError(
                    f"can't delete the storage pool {pool!r}: the VM {used!r} uses it",
                    resource=pool,
                    hint="move its disks away first",
                )
            del self.world.pools[pool]
            self.world.folders[found.path] = found.volumes
            self.world.tell("pool.deleted", resource=pool)
            kept = tuple(found.path_of(name) for name in sorted(found.volumes))
            return Deleted(name=pool, id=found.id, removed=(f"definition of {pool}",), kept=kept)

    def _set_active(self, pool: str, active: bool) -> StoragePool:
        with self.world.lock:
            found = self.world.pool(pool)
            found.active = active
            return found.record(self.connection.name)


def _source(spec: StoragePoolSpec) -> str | None:
    """Return the source of a pool in the format of the record."""
    return ":".join(filter(None, (spec.source_host, spec.source_path or spec.source_name))) or None


__all__ = ["SimPools"]
