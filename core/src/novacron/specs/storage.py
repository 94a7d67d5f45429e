"""Disks, volumes and storage pools as asked for."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from novacron.specs.spec import Label, Name, Rate, Size, Spec

DiskBus = Literal["virtio", "scsi", "sata", "ide", "usb", "nvme"]
DiskFormat = Literal["qcow2", "raw", "vmdk", "vdi", "vhdx"]


class DiskLimits(Spec):
    """Upper limits of a disk's I/O; None is unlimited."""

    read_bytes_per_second: Rate | None = None
    write_bytes_per_second: Rate | None = None
    total_bytes_per_second: Rate | None = None
    read_iops: int | None = Field(None, ge=0)
    write_iops: int | None = Field(None, ge=0)
    total_iops: int | None = Field(None, ge=0)


class DiskSpec(Spec):
    """A disk: new and blank (`size`), from an image (`source`), or an existing volume or file (`path`).

    `source` is "image:NAME" (a volume in the pool), "POOL/VOLUME" or an absolute path; `copy` says whether the new disk is backed
    by it (thin, "backing") or a full copy ("full"). `iothread` is the number of the VM's I/O thread that serves it, `queues` how many
    requests at once have a way of their own (virtio, scsi).

    Example:
        >>> DiskSpec(size="20GiB").size, DiskSpec(source="image:debian-13").copy_mode
        (21474836480, 'backing')
    """

    size: Size | None = None
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

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.size == 0:
            raise ValueError("a size above 0")
        if self.source and self.path:
            raise ValueError("either source (an image to start from) or path (an existing disk), not both")
        if self.device == "disk" and not (self.size or self.source or self.path):
            raise ValueError("one of size, source, path")
        return self


class VolumeSpec(Spec):
    """A volume: new (`capacity`), or backed by another (`backing`, a volume's name or an absolute path)."""

    name: Name
    capacity: Size | None = None
    format: DiskFormat = "qcow2"
    backing: str | None = None
    preallocate: bool = False

    @model_validator(mode="after")
    def _sized(self) -> Self:
        if not self.capacity and not self.backing:
            raise ValueError("capacity above 0, or backing")
        return self


class StoragePoolSpec(Spec):
    """A storage pool; which of `path`, `source_host`, `source_path`, `source_name` is needed depends on `type`."""

    name: Name
    type: Literal["dir", "fs", "netfs", "logical", "iscsi", "rbd"] = "dir"
    path: str | None = None
    source_host: str | None = None
    source_path: str | None = None
    source_name: str | None = None
    autostart: bool = True


__all__ = ["DiskBus", "DiskFormat", "DiskLimits", "DiskSpec", "StoragePoolSpec", "VolumeSpec"]
