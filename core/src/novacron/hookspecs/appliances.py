"""Virtual appliances: a VM as one OVA file, for taking it to another hypervisor."""

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
    """Write a stopped VM as an OVA: its description (OVF), checksums, and its disks as streamOptimized VMDKs; `target` is never sought."""
    raise NotImplementedError


@operation(kind="job")
def appliance_import(source: BinaryIO, spec: ApplianceSpec, job: Job[VM]) -> VM:
    """Make a VM of an OVA, all of it or nothing; `source` is read once, from where it stands.

    Raises InvalidSpecError (it can't be read, is broken, or a network has no like here), AlreadyExistsError, ResourceAllocationError.
    """
    raise NotImplementedError
