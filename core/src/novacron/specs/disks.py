"""Disks as asked for."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from novacron.specs.spec import DiskSize, FieldError, Name, Rate, Reference, Spec
from novacron.specs.volumes import ENCRYPTED, DiskFormat, SecretName

DiskBus = Literal["virtio", "scsi", "sata", "ide", "usb", "nvme"]

LIMIT_KINDS = (
    ("total_bytes_per_second", "read_bytes_per_second", "write_bytes_per_second"),
    ("total_iops", "read_iops", "write_iops"),
)
"""A disk has a limit for all requests, or limits for reading and writing; hypervisors refuse both together."""


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
    pool: Reference = "default"
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
    detect_zeroes: Literal["off", "on", "unmap"] | None = None
    wwn: str | None = Field(None, pattern=r"^[0-9a-fA-F]{16}$")
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
        if self.wwn and self.bus not in ("scsi", "ide"):
            raise FieldError("wwn", 'a WWN only with bus="scsi" or bus="ide"')
        if self.source and self.path:
            raise ValueError("either source (an image to start from) or path (an existing disk), not both")
        if self.device == "disk" and not (self.size or self.source or self.path):
            raise ValueError("one of size, source, path")
        return self


__all__ = ["LIMIT_KINDS", "DiskBus", "DiskLimits", "DiskSpec"]
