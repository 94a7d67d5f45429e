"""Storage pools as asked for."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from novacron.specs.spec import FieldError, Name, Spec


class StoragePoolSpec(Spec):
    """A storage pool of one of these types, each with what it needs.

    dir: a folder of the host, `path`. fs: a file system on the block device `source_path`, mounted at `path`. netfs: the folder
    `source_path` of the file server `source_host`, mounted at `path`. logical: the LVM volume group `source_name`, made of the block
    device `source_path` if that is given. iscsi: the target `source_path` (its IQN) of the portal `source_host`. rbd: the Ceph pool
    `source_name`, whose monitor is `source_host`.

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
    path: str | None = Field(None, pattern=r"^/[^\x00-\x1f]*$")
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
