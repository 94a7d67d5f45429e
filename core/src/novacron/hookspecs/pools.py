"""Storage pools, which contain volumes. Sizes are bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.hookspecs.operation import operation
from novacron.records.pools import StoragePool
from novacron.records.vm import Deleted

if TYPE_CHECKING:
    from novacron.specs import StoragePoolSpec


@operation(kind="read")
def pool_list() -> list[StoragePool]:
    """List the storage pools, sorted by name.

    Returns:
        One record per storage pool.
    """
    raise NotImplementedError


@operation(kind="read")
def pool_get(pool: str) -> StoragePool:
    """Return one storage pool.

    Args:
        pool: Name of the storage pool.
    Returns:
        Its record.
    Raises:
        StoragePoolNotFoundError: the host has no such pool.
    """
    raise NotImplementedError


@operation(kind="change")
def pool_create(spec: StoragePoolSpec) -> StoragePool:
    """Define, build and start a storage pool.

    Args:
        spec: Name, kind, and path or source.
    Returns:
        The record of the new pool.
    Raises:
        AlreadyExistsError: the name or the path belongs to another pool.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True)
def pool_start(pool: str) -> StoragePool:
    """Start a storage pool.

    Args:
        pool: Name of the storage pool.
    Returns:
        Its record.
    Raises:
        StoragePoolNotFoundError: the host has no such pool.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True)
def pool_stop(pool: str) -> StoragePool:
    """Stop a storage pool. Its volumes are kept.

    Args:
        pool: Name of the storage pool.
    Returns:
        Its record.
    Raises:
        StoragePoolNotFoundError: the host has no such pool.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True)
def pool_refresh(pool: str) -> StoragePool:
    """Rescan the volumes of a storage pool.

    Args:
        pool: Name of the storage pool.
    Returns:
        Its record.
    Raises:
        StoragePoolNotFoundError: the host has no such pool.
    """
    raise NotImplementedError


@operation(kind="change")
def pool_delete(pool: str) -> Deleted:
    """Remove the definition of a storage pool. Its content is kept.

    Args:
        pool: Name of the storage pool.
    Returns:
        What was deleted.
    Raises:
        StoragePoolNotFoundError: the host has no such pool.
        InvalidStateError: a VM uses a volume of the pool.
    """
    raise NotImplementedError
