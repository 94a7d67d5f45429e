"""Disks, and where in the guest each is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, product
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any, NamedTuple

from novacron_kvm.xml.markup import NOTHING, Markup, element, text
from novacron_kvm.xml.parsing import parse
from novacron_kvm.xml.platforms import Buses
from novacron_kvm.xml.storage import encryption_xml, secret_identity

if TYPE_CHECKING:
    from novacron.specs.disks import DiskLimits, DiskSpec

PREFIX = {"virtio": "vd", "scsi": "sd", "sata": "sd", "usb": "sd", "ide": "hd", "fdc": "fd"}
"""How a disk's target begins, by its bus; those of the bus nvme have numbers, nvme0n1."""
BUS = {"vd": "virtio", "sd": "sata", "hd": "ide", "fd": "fdc", "nv": "nvme"}
"""The bus of a disk for which only a target was asked."""

LIMITS = {
    "total_bytes_sec": "total_bytes_per_second",
    "read_bytes_sec": "read_bytes_per_second",
    "write_bytes_sec": "write_bytes_per_second",
    "total_iops_sec": "total_iops",
    "read_iops_sec": "read_iops",
    "write_iops_sec": "write_iops",
}
"""Libvirt's limits of a disk, and ours."""


READ_ONLY, SHAREABLE = element("readonly"), element("shareable")


class DiskFile(NamedTuple):
    """A disk of the new VM once its file is there; `made` says that it was made for this VM and goes with it."""

    spec: DiskSpec
    path: str | None
    format: str
    target: str
    bus: str
    made: bool


def place(disks: Sequence[DiskSpec], buses: Buses = Buses(), there: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return bus and target of each disk: as asked, the rest by what the device needs, targets in order vda, vdb, ..., vdz, vdaa, ...

    `there` are targets that the VM has already.

    Example:
        >>> from novacron.specs import DiskSpec
        >>> place([DiskSpec(size="1MiB"), DiskSpec(size="1MiB", target="vda"), DiskSpec(device="cdrom"), DiskSpec(device="floppy")])
        [('virtio', 'vdb'), ('virtio', 'vda'), ('sata', 'sda'), ('fdc', 'fda')]
        >>> place([DiskSpec(size="1MiB", bus="nvme")])
        [('nvme', 'nvme0n1')]
    """
    taken = {*there, *(d.target for d in disks if d.target)}
    found = []
    for disk in disks:
        if disk.device == "floppy":
            bus = "fdc"
        elif disk.bus or disk.target:
            bus = disk.bus or BUS[str(disk.target)[:2]]
        else:
            bus = buses.cdrom if disk.device == "cdrom" else buses.disk
        target = disk.target or next(name for name in _names(bus) if name not in taken)
        taken.add(target)
        found.append((bus, target))
    return found


def _names(bus: str) -> Iterator[str]:
    if bus == "nvme":
        yield from (f"nvme{number}n1" for number in count())
    for length in count(1):
        yield from (PREFIX[bus] + "".join(letters) for letters in product(ascii_lowercase, repeat=length))


def disk_xml(disk: DiskFile) -> Markup:
    """Return a <disk>."""
    spec, block = disk.spec, disk.path is not None and disk.path.startswith("/dev/")
    return element(
        "disk",
        element(
            "driver",
            name="qemu",
            type=disk.format,
            cache=spec.cache,
            io=spec.io,
            discard=spec.discard,
            detect_zeroes=spec.detect_zeroes,
            queues=spec.queues if disk.bus == "virtio" else None,
            iothread=spec.iothread if disk.bus == "virtio" else None,
        ),
        _source(disk, "dev" if block else "file"),
        element("target", dev=disk.target, bus=disk.bus),
        _limits(spec.limits) if spec.limits else NOTHING,
        READ_ONLY if spec.read_only or spec.device == "cdrom" else NOTHING,
        SHAREABLE if spec.shareable else NOTHING,
        text("serial", spec.serial) if spec.serial else NOTHING,
        text("wwn", spec.wwn.lower()) if spec.wwn else NOTHING,
        element("boot", order=spec.boot_order) if spec.boot_order else NOTHING,
        type="block" if block else "file",
        device=spec.device if spec.device != "disk" else None,
    )


def _source(disk: DiskFile, attribute: str) -> Markup:
    if not disk.path:
        return NOTHING
    encryption = encryption_xml(secret_identity(disk.path)) if disk.spec.encryption else NOTHING
    return element("source", encryption, **{attribute: disk.path})


def disk_element(disk: DiskFile) -> Any:
    """Return a <disk> for a tree."""
    return parse(disk_xml(disk))


def set_medium(drive: Any, path: str | None) -> None:
    """Put a file or block device into a drive, or nothing. The type of the <disk> follows, whatever it was: volume, network, block."""
    for tag in ("source", "backingStore", "auth"):
        for old in drive.findall(tag):
            drive.remove(old)
    block = path is not None and path.startswith("/dev/")
    drive.set("type", "block" if block else "file")
    driver = drive.find("driver")
    if driver is not None and driver.get("type", "raw") != "raw":
        driver.set("type", "raw")  # a medium is read as it is
    if path:
        source = parse(element("source", **{"dev" if block else "file": path}))
        drive.insert(list(drive).index(drive.find("target")), source)


def _limits(limits: DiskLimits) -> Markup:
    given = ((theirs, getattr(limits, ours)) for theirs, ours in LIMITS.items())
    return element("iotune", *(text(name, value) for name, value in given if value is not None))


__all__ = ["BUS", "PREFIX", "DiskFile", "disk_element", "disk_xml", "place", "set_medium"]
