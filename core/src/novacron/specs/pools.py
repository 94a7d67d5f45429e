"""Storage pools as asked for."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from novacron.specs.spec import FieldError, Name, Spec


class StoragePoolSpec(Spec):
    """A storage pool. The type decides which of the other fields are needed.

    dir: `path`. fs: `source_path`, `path`. netfs: `source_host`, `source_path`, `path`. logical: `source_name`. iscsi:
    `source_host`, `source_path`. rbd: `source_host`, `source_name`.

    Attributes:
        name: Name of the pool.
        type: "dir" is a folder of the host, "fs" a file system on a block device, "netfs" a folder of a file server (NFS),
            "logical" an LVM volume group, "iscsi" an iSCSI target, "rbd" a Ceph pool. Default: "dir".
        path: Folder of the host (absolute path) with the volumes, or where the source is mounted. Without it a folder in the
            driver's usual place is used for "dir".
        source_host: Host name or IP address of the file server, iSCSI portal or Ceph monitor.
        source_path: Block device of "fs" and "logical", exported folder of "netfs", or IQN of the iSCSI target.
        source_name: Name of the LVM volume group or the Ceph pool.
        autostart: Whether the pool is started when the host boots. Default: true.

    Example:
        >>> StoragePoolSpec(name="fast", type="logical", source_name="vg0").path
        '/dev/vg0'
        >>> StoragePoolSpec(name="files", type="netfs", path="/srv/files")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        novacron.errors.InvalidSpecError: invalid StoragePoolSpec: ... allowed: source_host and source_path, which a netfs pool needs
    """

    name: Name
    type: Literal["dir", "fs", "netfs", "logical", "iscsi", "rbd"] = "dir"
    path: str | None = Field(None, pattern=r"^/+[^/\x00-\x1f][^\x00-\x1f]*$")
    source_host: str | None = Field(None, pattern=r"^[A-Za-z0-9_.:-]+$")
    source_path: str | None = Field(None, pattern=r"^[^\x00-\x1f]+$")
    source_name: Name | None = None
    autostart: bool = True

    @model_validator(mode="before")
    @classmethod
    def _usual_path(cls, given: Any) -> Any:
        """Fill in where pools of a type always are."""
        if isinstance(given, dict) and given.get("path") is None:
            usual = {"logical": f"/dev/{given.get('source_name')}", "iscsi": "/dev/disk/by-path"}.get(
                str(given.get("type", "dir"))
            )
            return given | {"path": usual} if usual else given
        return given

    @model_validator(mode="after")
    def _whole(self) -> Self:
        missing = [field for field in NEEDED[self.type] if getattr(self, field) is None]
        if missing:
            raise FieldError(missing[0], f"{' and '.join(missing)}, which a {self.type} pool needs")
        for field in ("path", "source_host", "source_path", "source_name"):
            if getattr(self, field) is not None and field not in (*NEEDED[self.type], *OPTIONAL.get(self.type, ())):
                raise FieldError(field, f"nothing: a {self.type} pool has no {field}")
        return self


NEEDED = {
    "dir": (),
    "fs": ("path", "source_path"),
    "netfs": ("path", "source_host", "source_path"),
    "logical": ("source_name",),
    "iscsi": ("source_host", "source_path"),
    "rbd": ("source_host", "source_name"),
}
"""What each type of storage pool needs."""

OPTIONAL = {"dir": ("path",), "logical": ("path", "source_path"), "iscsi": ("path",)}
"""What some types of storage pool can also be given."""


__all__ = ["NEEDED", "OPTIONAL", "StoragePoolSpec"]
