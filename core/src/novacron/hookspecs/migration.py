"""Moving VMs between hosts and pools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron.hookspecs.operation import operation
from novacron.jobs import Job
from novacron.records.migration import MigrationCheck, MigrationReport
from novacron.records.vm import VM

if TYPE_CHECKING:
    from novacron.specs import MigrationSpec


@operation(kind="read")
def migration_check(vm: str, to: Any, spec: MigrationSpec) -> MigrationCheck:
    """Run all pre-checks of a migration on both hosts, changing nothing, and name every problem at once.

    `to` is the destination's `Destination`: its name, uri, driver object and `invoke` for reading its state.
    """
    raise NotImplementedError


@operation(kind="job", locks="vm", statuses="running suspended stopped")
def vm_migrate(vm: str, to: Any, spec: MigrationSpec, job: Job[MigrationReport]) -> MigrationReport:
    """Move a VM to another host, live or cold.

    Guarantees: after any failure exactly one host has the VM, running if it ran before. Where that can't be known the
    MigrationError's outcome is "unknown" and it names both hosts with what was last seen there. A cancelled or timed-out one is
    aborted: the VM is at the source. Progress: `transferred_bytes`, `remaining_bytes`, `total_bytes`, and `remaining_seconds`, which is
    None while that is not known or the guest writes faster than is sent.
    """
    raise NotImplementedError


@operation(kind="job", locks="vm", statuses="running suspended stopped")
def vm_migrate_storage(vm: str, pool: str, disks: tuple[str, ...], job: Job[VM]) -> VM:
    """Move disks to another storage pool, while the VM runs if it does.

    All disks are moved when `disks` is empty. After a failure each disk is completely in one of the two pools.

    Raises:
        VMNotFoundError: the host has no such VM.
        StoragePoolNotFoundError: the host has no such storage pool.
        DeviceNotFoundError: the VM has no such disk.
        InvalidStateError: the VM has snapshots, or its memory is saved.
        StorageError: the volume exists in that pool already, or copying ended early.
        ResourceAllocationError: the pool has no room.
        OperationCancelledError: the job was cancelled.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, statuses="migrating")
def migration_tune(vm: str, bandwidth: int | None, max_downtime: float | None, post_copy: bool) -> VM:
    """Change a migration in progress: bytes per second, seconds of downtime, or switch to post-copy now.

    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM is not being migrated.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError
