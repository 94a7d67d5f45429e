"""Disks, volumes and storage pools as asked for."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from novacron.specs.spec import DiskSize, FieldError, Label, Name, Rate, Spec, VolumeSize

DiskBus = Literal["virtio", "scsi", "sata", "ide", "usb", "nvme"]
DiskFormat = Literal["qcow2", "raw", "vmdk", "vdi"]

LIMIT_KINDS = (
    ("total_bytes_per_second", "read_bytes_per_second", "write_bytes_per_second"), ("total_iops", "read_iops", "write_iops"),
)  # fmt: skip
"""A disk has a limit for all requests, or limits for reading and writing; hypervisors refuse both together."""

ENCRYPTED = ("qcow2", "raw")
"""The formats that can be encrypted."""

SecretName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+@-]{0,127}$")]
"""The name of a secret, never its value."""


class DiskLimits(Spec):
    """Upper limits of a disk's I/O; None is unlimited."""

    read_bytes_per_second: Rate | None = None
    write_bytes_per_second: Rate | None = None
    total_bytes_per_second: Rate | None = None
    read_iops: int | None = Field(None, ge=0)
    write_iops: int | None = Field(None, ge=0)
    total_iops: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        for total, reading, writing in LIMIT_KINDS:
            if getattr(self, total) and (getattr(self, reading) or getattr(self, writing)):
                raise FieldError(total, f"either {total}, or {reading} and {writing}")
        return self


class DiskSpec(Spec):
    """A disk: new and blank (`size`), from an image (`source`), or an existing volume or file (`path`).

    `source` is "image:NAME" (a volume in the pool), "POOL/VOLUME" or an absolute path; `copy` says whether the new disk is backed
    by it (thin, "backing") or a full copy ("full"). `iothread` is the number of the VM's I/O thread that serves it, `queues` how many
    requests at once have a way of their own (virtio, scsi). `encryption` is the name of the secret that a new disk is encrypted with, or
    an existing one opened (see `novacron.secrets`).

    Example:
        >>> DiskSpec(size="20GiB").size, DiskSpec(source="image:debian-13").copy_mode
        (21474836480, 'backing')
    """

    size: DiskSize | None = None
    source: str | None = None
    path: str | None = None
    copy_mode: Literal["backing", "full"] = "backing"
    pool: Label = "default"
    name: Name | None = None
    device: Literal["disk", "cdrom", "floppy"] = "disk"
    bus: DiskBus | None = None
    format: DiskFormat = "qcow2"
    target: str | None = Field(None, pattern=r"^(vd|sd|hd|fd|nvme)[a-z0-9]+$")
    preallocate: bool = False
    read_only: bool = False
    shareable: bool = False
    boot_order: int | None = Field(None, ge=1)
    serial: str | None = Field(None, max_length=36, pattern=r"^[A-Za-z0-9_.+-]*$")
    cache: Literal["default", "none", "writethrough", "writeback", "directsync", "unsafe"] | None = None
    io: Literal["native", "threads", "io_uring"] | None = None
    discard: Literal["unmap", "ignore"] | None = None
    iothread: int | None = Field(None, ge=1, le=256)
    queues: int | None = Field(None, ge=1, le=256)
    limits: DiskLimits | None = None
    encryption: SecretName | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.encryption and (self.device != "disk" or self.format not in ENCRYPTED):
            raise ValueError(f"encryption only of disks of the formats {' and '.join(ENCRYPTED)}")
        if self.encryption and self.source and self.copy_mode != "full":
            raise ValueError('copy_mode="full" with encryption: what is in the image is not encrypted')
        if self.source and self.path:
            raise ValueError("either source (an image to start from) or path (an existing disk), not both")
        if self.device == "disk" and not (self.size or self.source or self.path):
            raise ValueError("one of size, source, path")
        return self


class VolumeSpec(Spec):
    """A volume: new (`capacity`), or backed by another (`backing`, a volume's name or an absolute path).

    `encryption` is the name of the secret that it is encrypted with, by LUKS (see `novacron.secrets`).
    """

    name: Name
    capacity: VolumeSize | None = None
    format: DiskFormat = "qcow2"
    backing: str | None = None
    preallocate: bool = False
    encryption: SecretName | None = None

    @model_validator(mode="after")
    def _sized(self) -> Self:
        if self.encryption and self.format not in ENCRYPTED:
            raise ValueError(f"encryption only of the formats {' and '.join(ENCRYPTED)}")
        if self.encryption and self.backing:
            raise ValueError("either encryption or backing")
        if not self.capacity and not self.backing:
            raise ValueError("capacity above 0, or backing")
        return self


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
            usual = {"logical": f"/dev/{given.get('source_name')}", "iscsi": "/dev/disk/by-path"}.get(given.get("type", "dir"))
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
    "dir": (), "fs": ("path", "source_path"), "netfs": ("path", "source_host", "source_path"), "logical": ("source_name",),
    "iscsi": ("source_host", "source_path"), "rbd": ("source_host", "source_name"),
}  # fmt: skip
"""What each type of storage pool needs."""

OPTIONAL = {"dir": ("path",), "logical": ("path", "source_path"), "iscsi": ("path",)}
"""What some types of storage pool can also be given."""


__all__ = ["DiskBus", "DiskFormat", "DiskLimits", "DiskSpec", "SecretName", "StoragePoolSpec", "VolumeSpec"]
