"""Storage pools: places that hold volumes. Sizes are bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.hookspecs.operation import operation
from novacron.records.pools import StoragePool
from novacron.records.vm import Deleted

if TYPE_CHECKING:
    from novacron.specs import StoragePoolSpec


@operation(kind="read")
def pool_list() -> list[StoragePool]:
    """List the storage pools, sorted by name."""
    raise NotImplementedError


@operation(kind="read")
def pool_get(pool: str) -> StoragePool:
    """Return one storage pool. Raises StoragePoolNotFoundError."""
    raise NotImplementedError


@operation(kind="change")
def pool_create(spec: StoragePoolSpec) -> StoragePool:
    """Define, build and start a storage pool. Raises AlreadyExistsError (name, or the path is another pool's)."""
    raise NotImplementedError


@operation(kind="change", idempotent=True)
def pool_start(pool: str) -> StoragePool:
    """Make a storage pool usable."""
    raise NotImplementedError


@operation(kind="change", idempotent=True)
def pool_stop(pool: str) -> StoragePool:
    """Take a storage pool out of use; its volumes stay."""
    raise NotImplementedError


@operation(kind="change", idempotent=True)
def pool_refresh(pool: str) -> StoragePool:
    """Look again at what volumes are there."""
    raise NotImplementedError


@operation(kind="change")
def pool_delete(pool: str) -> Deleted:
    """Forget a storage pool; its content stays where it is."""
    raise NotImplementedError
