"""What a disk can't be: combinations of settings that QEMU has no way to carry out, or that libvirt would ignore."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from novacron.errors import InvalidSpecError, SpecProblem

if TYPE_CHECKING:
    from novacron.specs.disks import DiskSpec


def refuse_settings(disks: Iterable[tuple[str, DiskSpec, str]], *, new_vm: bool = False) -> None:
    """Refuse settings of new disks that can't be in force.

    Args:
        disks: for each disk what stands before the names of its fields in errors, its spec, and its bus.
        new_vm: the VM is created, so that its SCSI controller gets the queues and the I/O thread of SCSI disks.

    Raises:
        InvalidSpecError: with a problem for each such setting.
    """
    if problems := [problem for prefix, spec, bus in disks for problem in _problems(prefix, spec, bus, new_vm)]:
        raise InvalidSpecError("QEMU can't give a VM that disk", problems=problems)


def _problems(prefix: str, spec: DiskSpec, bus: str, new_vm: bool) -> Iterator[SpecProblem]:
    if spec.io == "native" and spec.cache not in ("none", "directsync"):
        yield SpecProblem(f"{prefix}io", spec.io, 'native only with cache="none" or cache="directsync"')
    if spec.shareable and spec.device == "disk" and spec.format != "raw" and not spec.path:
        yield SpecProblem(f"{prefix}shareable", "true", f'false, or format="raw": two VMs can\'t write one {spec.format} image')
    for field in ("queues", "iothread"):
        if (value := getattr(spec, field)) is not None and bus != "virtio" and not (bus == "scsi" and new_vm):
            why = (
                "the SCSI controller of a VM has it from its creation" if bus == "scsi" else "only virtio and SCSI disks have it"
            )
            yield SpecProblem(f"{prefix}{field}", str(value), f"no value with bus={bus}: {why}")


__all__ = ["refuse_settings"]
