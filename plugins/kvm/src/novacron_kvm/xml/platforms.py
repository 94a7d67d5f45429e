"""What differs between the architectures that libvirt and QEMU run."""

from __future__ import annotations

from functools import cache
from typing import Literal, NamedTuple

MACHINES = ("q35", "virt", "pseries", "s390-ccw-virtio", "pc")
"""The machine that is taken when none was asked for: the first of these that an architecture has."""


class Buses(NamedTuple):
    """Where disks and optical drives are when nobody said."""

    disk: str = "virtio"
    cdrom: str = "sata"


class Platform(NamedTuple):
    """How a machine takes its devices."""

    acpi: Literal["always", "with UEFI", "never"] = "never"
    apic: bool = False
    needs_uefi: bool = False
    """Without a kernel of its own it finds nothing to boot in any other way."""
    cpu_mode: str | None = None
    """The emulated CPU, where QEMU's own choice is too old for guests of this architecture."""
    pcie: bool = False
    i440fx: bool = False
    """Its own USB controller knows USB 1.1 only."""
    ps2: bool = False
    """It has a keyboard from the start."""
    video: str = "virtio"
    buses: Buses = Buses()
    watchdog: str = "i6300esb"
    tpm: str = "tpm-tis"
    mdev: str = "vfio-pci"


X86 = Platform(acpi="always", apic=True, ps2=True, video="vga", tpm="tpm-crb")
POWER = Platform(video="vga", buses=Buses(cdrom="scsi"), tpm="tpm-spapr")
PLATFORMS = {
    "x86_64": X86,
    "i686": X86,
    "aarch64": Platform(acpi="with UEFI", needs_uefi=True, cpu_mode="maximum"),
    "ppc64": POWER,
    "ppc64le": POWER,
    "s390x": Platform(buses=Buses(cdrom="scsi"), watchdog="diag288", mdev="vfio-ccw"),
}


@cache
def platform(arch: str, machine: str | None) -> Platform:
    """Return how a machine of an architecture takes its devices; one that isn't known is taken for a plain one.

    Example:
        >>> platform("x86_64", "pc-q35-7.2").pcie, platform("x86_64", "pc").pcie, platform("riscv64", "virt").pcie
        (True, False, True)
        >>> [platform("x86_64", machine).i440fx for machine in ("pc", "pc-i440fx-7.2", "pc-q35-7.2", "isapc")]
        [True, True, False, False]
    """
    known = PLATFORMS.get(arch, Platform())
    q35, family = machine is not None and "q35" in machine, (machine or "").partition("-")[0]
    return known._replace(pcie=q35 or family == "virt", i440fx=family == "pc" and not q35 and known is X86)


__all__ = ["MACHINES", "PLATFORMS", "Buses", "Platform", "platform"]
