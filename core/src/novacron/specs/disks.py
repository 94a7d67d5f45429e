"""Disks as asked for."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.specs.spec import DiskSize, FieldError, Name, Rate, Reference, Spec
from novacron.specs.volumes import ENCRYPTED, DiskFormat, SecretName
from novacron.units import format_size

DiskBus = Literal["virtio", "scsi", "sata", "ide", "usb", "nvme"]

LIMIT_KINDS = (
    ("total_bytes_per_second", "read_bytes_per_second", "write_bytes_per_second"),
    ("total_iops", "read_iops", "write_iops"),
)
"""A disk has a limit for all requests, or limits for reading and writing; hypervisors refuse both together."""


class DiskLimits(Spec):
    """Upper limits of a disk's I/O.

    A limit is either for all requests (`total_`) or separate for reads and writes; None is unlimited.

    Attributes:
        read_bytes_per_second: Most bytes per second that are read; a number or text such as "100MiB/s".
        write_bytes_per_second: Most bytes per second that are written; a number or text such as "100MiB/s".
        total_bytes_per_second: Most bytes per second that are read and written together; a number or text such as "100MiB/s".
        read_iops: Most read requests per second.
        write_iops: Most write requests per second.
        total_iops: Most read and write requests per second together.
    """

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

    Attributes:
        size: Size of a new disk in bytes, or text such as "20GiB". With `source` the copy is enlarged to it; it can't be
            smaller than its image. Without it a copy has the size of its image.
        source: Image to start from: "image:NAME" (a volume in the pool), "POOL/VOLUME" or an absolute path.
        path: Existing volume or file to attach: its name in the pool, "POOL/VOLUME" or an absolute path.
        copy_mode: What is made of `source`: "backing" makes a thin disk that reads unchanged data from the image, "full" a
            complete copy. Default: "backing".
        pool: Storage pool of a new disk. Default: the pool "default".
        name: Name of the new volume. Without it the name is made of the VM's name and the disk's.
        device: Kind of drive: "disk", "cdrom" or "floppy". Default: "disk".
        bus: Bus that the disk is attached to. Without it the driver chooses, virtio for disks where it can.
        format: Format of a new volume. Default: "qcow2".
        target: Name of the disk in the definition, such as "vda". Without it the next free name is used.
        preallocate: Whether all space is allocated when the disk is created. Default: false, it grows as the guest writes.
        read_only: Whether the guest can only read. Default: false.
        shareable: Whether several VMs may write to the disk at the same time, for cluster file systems. Default: false.
        boot_order: Place in the boot order, from 1. Without it the firmware uses its usual order.
        serial: Serial number that the guest reads, at most 36 characters. Without it the hypervisor's default is used.
        cache: How the host caches the disk; "none" bypasses the page cache of the host, "unsafe" can lose data in a crash.
            Without it the hypervisor's default is used.
        io: How the host submits requests: "native", "threads" or "io_uring". Without it the hypervisor's default is used.
        discard: Whether space that the guest discards is released on the host ("unmap") or not ("ignore"). Without it the
            hypervisor's default is used.
        detect_zeroes: Whether written zeroes are stored as holes: "on", "off", or "unmap", which also releases the space. Without
            it the hypervisor's default is used.
        wwn: World Wide Name: 16 hexadecimal digits that identify the disk, only with the buses scsi and ide.
        iothread: Number of the VM's I/O thread that serves the disk, from 1 to `VMSpec.iothreads`. Without it the main thread of
            the hypervisor serves it.
        queues: Number of request queues that work in parallel, with the buses virtio and scsi. Without it the hypervisor's
            default is used.
        limits: Limits of bytes and requests per second. Without them the disk is unlimited.
        encryption: Name of the secret that encrypts a new disk or opens an existing one (see `novacron.secrets`). Without it the
            disk is not encrypted.

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

    def size_of_copy(self, image_bytes: int, resource: str) -> int:
        """Return the size of the disk that is copied from its image (for drivers).

        Args:
            image_bytes: Size of the image, in bytes.
            resource: Name of the VM or disk, for the error.
        Returns:
            The size in bytes: that of the image unless `size` is larger.
        Raises:
            InvalidSpecError: `size` is smaller than the image. Its content would be cut off.
        Example:
            >>> DiskSpec(source="image:debian-13", size="20GiB").size_of_copy(2 * 2**30, "web1") == 20 * 2**30
            True
        """
        if self.size is not None and self.size < image_bytes:
            problem = SpecProblem("size", format_size(self.size), f"at least the size of the image, {format_size(image_bytes)}")
            raise InvalidSpecError(
                f"the disk can't be smaller than its image {self.source!r}", problems=[problem], resource=resource
            )
        return self.size or image_bytes


__all__ = ["LIMIT_KINDS", "DiskBus", "DiskLimits", "DiskSpec"]
