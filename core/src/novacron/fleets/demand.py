"""What a VM takes of its node, from its record or from the spec of a VM that is to be created."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.records.capacity import Amounts
from novacron.records.vm import VM
from novacron.store.takers import Taker

if TYPE_CHECKING:
    from novacron.specs import VMSpec

INACTIVE = frozenset({"stopped", "saved", "crashed"})
"""The statuses of a VM that uses neither CPUs nor memory. A VM of unknown status counts as active."""


def taker_of(vm: VM, owner: str = "") -> Taker:
    """Return what a VM takes, from its full record. A stopped VM takes storage only."""
    active = vm.status not in INACTIVE
    storage = sum(disk.size_bytes or 0 for disk in vm.disks or () if disk.device == "disk" and not disk.read_only)
    return Taker(
        vm=vm.id,
        name=vm.name,
        amounts=Amounts(vcpus=vm.vcpus if active else 0, memory_bytes=vm.memory_bytes if active else 0, storage_bytes=storage),
        active=active,
        owner=owner,
        tags=vm.tags or frozenset(),
        locked_memory=vm.locked_memory or (),
    )


def demand_of(spec: VMSpec) -> Amounts:
    """Return what a VM takes when it runs.

    The size of a disk that is made from an image without a size is not known before, and counts as 0.

    Example:
        >>> from novacron import DiskSpec, VMSpec
        >>> demand_of(VMSpec(name="web1", vcpus=2, memory="1GiB", disks=[DiskSpec(size="5GiB")]))
        Amounts(vcpus=2, memory_bytes=1073741824, storage_bytes=5368709120)
    """
    disks = sum(disk.size or 0 for disk in spec.disks if disk.device == "disk")
    return Amounts(vcpus=spec.vcpus, memory_bytes=spec.memory, storage_bytes=disks)


def locked_memory_of(spec: VMSpec) -> tuple[str, ...]:
    """Return why the memory of a VM with this spec can't be overcommitted; empty if it can."""
    reasons = {
        "huge pages": spec.memory_backing.hugepages,
        "locked memory": spec.memory_backing.locked,
        "devices of the host": bool(spec.host_devices),
        "encrypted memory": spec.launch_security is not None,
    }
    return tuple(reason for reason, given in reasons.items() if given)


__all__ = ["INACTIVE", "demand_of", "locked_memory_of", "taker_of"]
