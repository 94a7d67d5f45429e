"""Migration of VMs between hosts and storage pools."""

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
    """Run all pre-checks of a migration on both hosts. Nothing is changed, and all problems are reported at once.

    Args:
        vm: UUID or name of the VM.
        to: The `Destination`: its name, URI, driver object, and `invoke` for reading its state.
        spec: The options of the migration.
    Returns:
        The failed pre-checks and the warnings.
    Raises:
        VMNotFoundError: the host has no such VM.
    """
    raise NotImplementedError


@operation(kind="job", locks="vm", statuses="running suspended stopped")
def vm_migrate(vm: str, to: Any, spec: MigrationSpec, job: Job[MigrationReport]) -> MigrationReport:
    """Migrate a VM to another host, live or cold.

    After any failure exactly one host has the VM, and it runs if it ran before. If that can't be confirmed, the error's outcome is
    "unknown", and the error names both hosts with the last known state. After a cancellation or timeout the VM is on the source.

    Args:
        vm: UUID or name of the VM.
        to: The `Destination`: its name, URI, driver object, and `invoke` for reading its state.
        spec: The options: live or cold, storage, bandwidth in bytes per second, policy if the memory copy does not converge.
        job: Reports `transferred_bytes`, `remaining_bytes`, `total_bytes` and `remaining_seconds`. The last is None while it is unknown,
            or while the guest writes faster than the memory is sent.
    Returns:
        A report with the duration, the downtime in seconds and the bytes sent.
    Raises:
        VMNotFoundError: the host has no such VM.
        MigrationCheckError: a pre-check failed; `failures` lists all of them.
        MigrationError: the migration failed; `outcome` and `details` say where the VM is.
        OperationCancelledError: cancelled; the VM is on the source.

    When: running, suspended or stopped.
    """
    raise NotImplementedError


@operation(kind="job", locks="vm", statuses="running suspended stopped")
def vm_migrate_storage(vm: str, pool: str, disks: tuple[str, ...], job: Job[VM]) -> VM:
    """Migrate disks of a VM to another storage pool. A running VM keeps running.

    Args:
        vm: UUID or name of the VM.
        pool: Name of the destination pool.
        disks: Targets of the disks; all disks if empty.
        job: Reports the bytes copied.
    Returns:
        The record of the VM with its new volumes.
    Raises:
        VMNotFoundError: the host has no such VM.
        StoragePoolNotFoundError: the host has no such storage pool.
        DeviceNotFoundError: the VM has no such disk.
        InvalidStateError: the VM has snapshots, or its memory is saved.
        StorageError: the volume exists in that pool already, or copying ended early.
        ResourceAllocationError: the pool has no room.
        OperationCancelledError: the job was cancelled.
        HostConnectionError: the host can't be reached, or the connection was lost.

    When: running, suspended or stopped.
    On failure each disk is completely in one of the two pools.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, statuses="migrating")
def migration_tune(vm: str, bandwidth: int | None, max_downtime: float | None, post_copy: bool) -> VM:
    """Change the settings of a running migration.

    Args:
        vm: UUID or name of the VM.
        bandwidth: Upper limit in bytes per second; None leaves it unchanged.
        max_downtime: Longest pause of the guest in seconds; None leaves it unchanged.
        post_copy: Switch to post-copy now.
    Returns:
        The record of the VM.
    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM is not being migrated, or the migration does not send memory yet.
        HostConnectionError: the host can't be reached, or the connection was lost.

    When: migrating.
    """
    raise NotImplementedError
