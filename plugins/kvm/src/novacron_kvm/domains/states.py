"""What a VM has to be for an operation: one function for each kind of refusal, so that the same cause has the same words and hint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import libvirt

from novacron.errors import InvalidStateError
from novacron.records.vm import VM
from novacron_kvm.jobs.domain_jobs import arrived_by_migration
from novacron_kvm.jobs.lost_vms import is_lost, lost_error
from novacron_kvm.statuses import LOST

STOPPED = ("stopped", "crashed")
"""Statuses of a VM that has no process and no saved memory."""


def require_status(action: str, record: VM, allowed: Sequence[str], *, otherwise: str | None = None) -> None:
    """Refuse an operation in a status in which it can't be done.

    Args:
        action: what was asked, as a verb: "delete", "take a snapshot of".
        otherwise: another way to get what was asked, for the hint.

    Raises:
        InvalidStateError: the VM's status is not one of `allowed`.
    """
    if record.status_reason == LOST:
        raise lost_error(record.name)
    if record.status not in allowed:
        error = InvalidStateError.of_status(action, record.name, record.status, allowed)
        if otherwise:
            error.hint = f"{error.hint}; {otherwise}"
        raise error


def refuse_saved(domain: Any, action: str) -> None:
    """Refuse to change a VM whose memory is saved: it would find other devices when it is restored. One that is lost is refused too."""
    if is_lost(domain):
        raise lost_error(domain.name())
    if not domain.isActive() and domain.isPersistent() and domain.hasManagedSaveImage():
        raise InvalidStateError(
            f"can't {action} {domain.name()!r}: it is saved",
            resource=domain.name(),
            hint="restore it, or discard its memory, first",
        )


def refuse_suspended_since_migration(domain: Any, action: str) -> None:
    """Refuse what ends the QEMU process of a VM that was suspended when it was migrated: QEMU releases its disks only when it runs."""
    if domain.isActive() and domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED and arrived_by_migration(domain):
        raise InvalidStateError(
            f"can't {action} {domain.name()!r}: it was suspended when it was migrated, and has not run since",
            resource=domain.name(),
            hint="resume it first",
        )


def refuse_snapshots(domain: Any, action: str, reason: str) -> None:
    """Refuse what would take something away from the VM's snapshots.

    Args:
        reason: why they are in the way: "which are in its files".
    """
    if domain.snapshotNum():
        raise InvalidStateError(
            f"can't {action} {domain.name()!r}: it has snapshots, {reason}",
            resource=domain.name(),
            hint="delete the snapshots first",
        )


__all__ = ["STOPPED", "refuse_saved", "refuse_snapshots", "refuse_suspended_since_migration", "require_status"]
