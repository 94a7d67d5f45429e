"""Hardware settings that a simulated VM stores without an effect, and the options of its disks and NICs.

They are the given fields of a spec. `vm_export` returns them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from novacron.specs.disks import DiskSpec
    from novacron.specs.nics import NICSpec
    from novacron.specs.vm import VMSpec


OF_A_VM = frozenset(
    [
        "virt_type",
        "cpu_mode",
        "cpu_model",
        "cpu_features",
        "topology",
        "numa",
        "memory_backing",
        "features",
        "clock",
        "launch_security",
        "watchdog",
        "boot_menu",
        "system_info",
        "cpuset",
        "confined",
        "panic",
        "security_labels",
        "usb_controller",
        "scsi_controller",
        "pcie_ports",
        "virtio_serial_ports",
        "vsock",
        "kernel",
        "serial",
        "channels",
        "display",
        "video",
        "sound",
        "host_devices",
        "filesystems",
        "balloon",
        "rng",
    ]
)
"""Fields of `VMSpec` that have no place of their own in a simulated VM."""

OF_A_DISK = frozenset(
    ["cache", "io", "discard", "detect_zeroes", "wwn", "iothread", "queues", "limits", "encryption", "copy_mode", "preallocate"]
)
"""Fields of `DiskSpec` that a disk's record does not have."""

OF_A_NIC = frozenset({"queues", "boot_order"})
"""Fields of `NICSpec` that a NIC's record does not have."""

_FIELDS = {"VMSpec": OF_A_VM, "DiskSpec": OF_A_DISK, "NICSpec": OF_A_NIC, "NICUpdate": OF_A_NIC}


def settings(spec: VMSpec | DiskSpec | NICSpec) -> dict[str, Any]:
    """Return the given fields that are only stored, as plain values."""
    fields = _FIELDS[type(spec).__name__]
    given: dict[str, Any] = spec.model_dump(mode="json", include=set(fields & spec.model_fields_set), exclude_unset=True)
    return {name: sorted(value) if name == "cpu_features" else value for name, value in given.items()}


def locked_memory(hardware: dict[str, Any]) -> tuple[str, ...]:
    """Return why a host could not overcommit the memory of a VM with these settings."""
    backing = hardware.get("memory_backing") or {}
    reasons = {
        "huge pages": backing.get("hugepages"),
        "locked memory": backing.get("locked"),
        "devices of the host": hardware.get("host_devices"),
        "encrypted memory": hardware.get("launch_security"),
    }
    return tuple(reason for reason, given in reasons.items() if given)


def fits(cpus: str, count: int) -> bool:
    """Return whether a CPU set such as "0-3,8" contains only existing CPUs."""
    for part in cpus.split(","):
        low, dash, high = part.partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()):
            return False
        if not int(low) <= int(high or low) < count:
            return False
    return True


__all__ = ["OF_A_DISK", "OF_A_NIC", "OF_A_VM", "fits", "locked_memory", "settings"]
