"""The job that libvirt runs for a VM: a migration, a save, a snapshot with memory. A VM has one at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

import libvirt

from novacron.errors import NovaCronError
from novacron.jobs import Job, remaining_seconds

if TYPE_CHECKING:
    from novacron_kvm.connection import KVMConnection

POLL = 0.1
"""Seconds between looks at how far a job is."""
HELPER = "novacron-merge-"
"""How the names of domains begin that only merge files: they never run a CPU, and no listing or event has them."""
FAILED = re.compile(r"job '[^']*' unexpectedly failed")
"""What libvirt says of a job that QEMU ended."""
ABORT_SECONDS = 15.0
"""How long an abort that is under way is waited for: keepalive ends it after 12 s if the connection is lost."""
UNDER_WAY = (libvirt.VIR_DOMAIN_JOB_BOUNDED, libvirt.VIR_DOMAIN_JOB_UNBOUNDED)


def statistics(domain: Any) -> dict[str, Any]:
    """Return libvirt's figures of the job under way, an empty dict when there is none; of a VM that arrives only what the job is.

    Raises:
        libvirtError
    """
    if not domain.isActive():
        return {}
    try:
        found = domain.jobStats(0)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_UNSUPPORTED:
            raise
        return {"operation": libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN}  # the figures are at the source
    return found if found.get("type") in UNDER_WAY else {}


def leaving(domain: Any) -> bool:
    """Whether a VM is being moved away from its host now."""
    return bool(statistics(domain).get(libvirt.VIR_DOMAIN_JOB_OPERATION) == libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT)


def busy(domain: Any) -> bool:
    """Whether libvirt does something with a VM that changes it. Raises libvirtError."""
    try:
        return bool(statistics(domain)) or domain.controlInfo(0)[0] == libvirt.VIR_DOMAIN_CONTROL_JOB
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID:
            return False  # it does not run: whatever works on its files holds the domain, and this call waited for it
        raise


def arrived_by_migration(domain: Any) -> bool:
    """Whether the last job of a VM was its arrival here, as far as it is not forgotten. Raises libvirtError."""
    found = domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED | libvirt.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED)
    return bool(found.get(libvirt.VIR_DOMAIN_JOB_OPERATION) == libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN)


def forget_completed(domain: Any) -> None:
    """Let libvirt forget the last job of a VM."""
    try:
        domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
    except libvirt.libvirtError:
        pass  # libvirt's test driver has none


def progress(found: dict[str, Any]) -> tuple[float | None, dict[str, Any]]:
    """Return the fraction done, None while unknown, and the details for a progress report, in bytes and seconds.

    Example:
        >>> fraction, details = progress({"data_total": 400, "data_remaining": 300, "data_processed": 100, "memory_bps": 50})
        >>> fraction, details["remaining_seconds"]
        (0.25, 6.0)
    """
    total, remaining = found.get("data_total", 0), found.get("data_remaining", 0)
    rate = found.get("memory_bps", 0) + found.get("disk_bps", 0)
    dirtied = found.get("memory_dirty_rate", 0) * found.get("memory_page_size", 0)
    details = {
        "total_bytes": total,
        "remaining_bytes": remaining,
        "transferred_bytes": found.get("data_processed", 0),
        "iteration": found.get("memory_iteration"),
        "remaining_seconds": remaining_seconds(remaining, rate, dirtied),
    }
    return None if not total else min(0.99, 1 - remaining / total), details


def abort(domain: Any) -> None:
    """End the job under way, if there is one."""
    try:
        domain.abortJob()
    except libvirt.libvirtError:
        pass  # not begun yet, or just ended


@contextmanager
def job_progress(connection: KVMConnection, identity: str, job: Job[Any], message: str) -> Iterator[None]:
    """Report the progress of libvirt's job that the block waits for, and abort it when `job` is cancelled.

    Another thread looks, on its own connection. It has aborted nothing when the block has ended, so the VM's next job is safe.

    Args:
        identity: the VM's UUID.

    Raises:
        OperationCancelledError: the job was cancelled, and has ended therefore.
    """
    ended, aborting = Event(), Lock()

    def watch() -> None:
        while not ended.wait(POLL):
            try:
                with connection.operation():
                    domain = connection.domain(identity)
                    if job.cancel_asked:  # again and again: it may have been asked for before libvirt's job began
                        with aborting:
                            if ended.is_set():
                                return
                            abort(domain)
                    if found := statistics(domain):
                        fraction, details = progress(found)
                        job.report(message, fraction, **details)
            except (libvirt.libvirtError, NovaCronError):
                pass  # the VM has just stopped

    job.report(message)
    job.raise_if_cancelled()
    watcher = Thread(target=watch, name="novacron-job", daemon=True)
    watcher.start()
    try:
        yield
    except libvirt.libvirtError as error:
        if FAILED.search(str(error)):  # QEMU may say that a job failed when it was aborted at its end
            job.raise_if_cancelled()
        raise
    finally:
        none_under_way = aborting.acquire(timeout=ABORT_SECONDS)
        ended.set()
        if none_under_way:
            aborting.release()
        watcher.join(POLL * 8)


__all__ = [
    "HELPER",
    "abort",
    "busy",
    "arrived_by_migration",
    "job_progress",
    "forget_completed",
    "leaving",
    "progress",
    "statistics",
]
