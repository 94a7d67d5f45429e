"""Storage pools."""

from __future__ import annotations

from novacron.records.record import Record

NETWORK_POOLS = frozenset({"netfs", "iscsi", "iscsi-direct", "rbd", "gluster", "sheepdog", "vstorage", "mpath", "scsi"})
"""Types of storage pools that are on the network. Others are shared only if the setting `shared_pools` of a group names them."""


class StoragePool(Record, frozen=True):
    """A storage pool.

    Attributes:
        name: Name of the pool.
        host: Name of the host.
        type: Type of the pool, such as "dir" or "logical".
        active: Whether the pool is started.
        autostart: Whether it is started when the host boots.
        id: Id of the pool; None if the hypervisor has none.
        path: Folder or device on the host; None if there is none.
        capacity_bytes: Size in bytes; None if it was not read.
        allocated_bytes: Bytes that are in use; None if they were not read.
        available_bytes: Bytes that are free; None if they were not read.
        source: Origin of a remote or block pool: "HOST:PATH" or a name; None for others.
    """

    name: str
    host: str
    type: str
    active: bool
    autostart: bool = False
    id: str | None = None
    path: str | None = None
    capacity_bytes: int | None = None
    allocated_bytes: int | None = None
    available_bytes: int | None = None
    source: str | None = None


__all__ = ["StoragePool"]
