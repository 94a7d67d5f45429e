"""Virtual appliances: one VM with its disks in one OVA file, for another host or hypervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from novacron.hookspecs.operation import operation
from novacron.jobs import Job
from novacron.records.appliances import Appliance
from novacron.records.vm import VM

if TYPE_CHECKING:
    from novacron.specs import ApplianceSpec


@operation(kind="job", locks="vm", statuses="stopped")
def appliance_export(vm: str, target: BinaryIO, job: Job[Appliance]) -> Appliance:
    """Write a stopped VM as an OVA file: OVF description, manifest with checksums, and disks as streamOptimized VMDKs.

    Args:
        vm: UUID or name of the VM.
        target: Binary file that is written from start to end. The driver calls `write` only, so it can be a pipe.
        job: Reports the bytes written.
    Returns:
        The name of the appliance, its disks and its size in bytes.
    Raises:
        VMNotFoundError: the host has no such VM.
        StorageError: a disk can't be read, or `target` can't be written.

    When: stopped.
    """
    raise NotImplementedError


@operation(kind="job")
def appliance_import(source: BinaryIO, spec: ApplianceSpec, job: Job[VM]) -> VM:
    """Create a VM from an OVA file; nothing remains when that fails.

    Args:
        source: Binary file that is read once, from its current position. The driver calls `read` only, so it can be a pipe.
        spec: Name, storage pool and network mapping of the new VM.
        job: Reports the bytes read.
    Returns:
        The record of the new VM.
    Raises:
        InvalidSpecError: the file is damaged or not an OVA, or a network of the OVA does not exist on this host.
        AlreadyExistsError: the host has a VM of that name.
        ResourceAllocationError: the storage pool has too little space.
    """
    raise NotImplementedError
