"""What a disk can't be: combinations of settings that QEMU has no way to carry out, or that libvirt would ignore."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from novacron.errors import InvalidSpecError, SpecProblem

if TYPE_CHECKING:
    from novacron.specs.disks import DiskSpec


def refuse_settings(disks: Iterable[tuple[str, DiskSpec, str]]) -> None:
    """Refuse settings of new disks that can't be in force.

    Args:
        disks: for each disk what stands before the names of its fields in errors, its spec, and its bus.

    Raises:
        InvalidSpecError: with a problem for each such setting.
    """
    if problems := [problem for prefix, spec, bus in disks for problem in _problems(prefix, spec, bus)]:
        raise InvalidSpecError("QEMU can't give a VM that disk", problems=problems)


def _problems(prefix: str, spec: DiskSpec, bus: str) -> Iterator[SpecProblem]:
    if spec.io == "native" and spec.cache not in ("none", "directsync"):
        yield SpecProblem(f"{prefix}io", spec.io, 'native only with cache="none" or cache="directsync"')
    if spec.shareable and spec.device == "disk" and spec.format != "raw" and not spec.path:
        yield SpecProblem(f"{prefix}shareable", "true", f'false, or format="raw": two VMs can\'t write one {spec.format} image')
    for field, buses in (("queues", ("virtio",)), ("iothread", ("virtio",))):
        if getattr(spec, field) is not None and bus not in buses:
            yield SpecProblem(
                f"{prefix}{field}", str(getattr(spec, field)), f"no value with bus={bus}: only virtio disks have it"
            )


__all__ = ["refuse_settings"]
