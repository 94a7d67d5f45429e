"""Block jobs: QEMU copies a disk's content while its VM may run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import libvirt

from novacron.errors import BusyError, StorageError
from novacron.jobs import Job
from novacron_kvm.xml.parsing import parse, text_of

POLL = 0.25
"""Seconds between looks at how far a copy is."""
LEFT_OVER = 3.0
"""Seconds after which a merge that is done and that nobody takes up is taken to be a dead process's."""
SETTLE = 10.0
"""Seconds that libvirt has to take note of a job that ended."""


def follow(
    domain: Any, target: str, job: Job[Any], report: Callable[[float], None], *, pivot: bool = False, without: str = ""
) -> None:
    """Wait until a disk's block job has ended; cancelling the job aborts it, and the disk is as it was.

    Args:
        target: the disk, "vda".
        report: told the fraction that is done.
        pivot: the job is a mirror or a commit of what the guest writes to: switch to the other image when it has caught up.
        without: the job is to take this file out of the disk's chain. libvirt says so a moment after the job has gone from its sight.

    Raises:
        StorageError: it ended early; libvirt's log has QEMU's reason.
    """
    settled = 0.0
    try:
        while True:
            info = domain.blockJobInfo(target, 0)
            if not info:
                settled = settled or time.monotonic() + SETTLE
                if not pivot and not _has(domain, target, without):
                    return
                if pivot or time.monotonic() > settled:
                    raise StorageError(
                        f"copying the disk {target!r} of {domain.name()!r} ended early",
                        resource=domain.name(),
                        hint="is there space in the storage pool? libvirt's log on the host tells more",
                    )
                time.sleep(POLL / 5)
                continue
            report(info["cur"] / info["end"] if info["end"] else 0.0)
            job.raise_if_cancelled()  # also when all is copied: nothing has changed yet
            if pivot and info["end"] and info["cur"] == info["end"] and _ready(domain, target):
                break
            job.wait_cancelled(POLL)
        domain.blockJobAbort(target, libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
    except BaseException:
        if domain.blockJobInfo(target, 0):
            domain.blockJobAbort(target, 0)
        raise


def end_copy(identity: str, target: str, path: str, connection: Any) -> None:
    """End the copying of a VM's disk into a file, which a daemon that died left to QEMU; the disk is as it was."""
    domain = connection.lookupByUUIDString(identity)
    if _has(domain, target, path) and domain.blockJobInfo(target, 0):
        domain.blockJobAbort(target, 0)


def end_interrupted_jobs(domain: Any, targets: Iterable[str], job: Job[Any]) -> None:
    """End the merges that a process which died left to QEMU; the disks' content is the same with and without.

    One that still copies is waited for, since somebody may follow it; one that is done and not taken up is given up.

    Raises:
        BusyError: a disk is being copied elsewhere.
    """
    for target in targets:
        done = 0.0
        while domain.isActive() and (info := domain.blockJobInfo(target, 0)):
            if info["type"] == libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_COPY:
                raise BusyError(
                    f"the disk {target!r} of {domain.name()!r} is being copied",
                    resource=domain.name(),
                    outcome="not_sent",
                    hint="wait for that, or cancel it",
                )
            job.report(f"waiting for what was begun on {target}", info["cur"] / info["end"] if info["end"] else None)
            done = (done or time.monotonic()) if _ready(domain, target) else 0.0
            if done and time.monotonic() - done > LEFT_OVER:
                domain.blockJobAbort(target, 0)
            job.raise_if_cancelled()
            job.wait_cancelled(POLL)


def _has(domain: Any, target: str, path: str) -> bool:
    """Whether QEMU has a file open for a disk, or copies it there."""
    disks = parse(domain.XMLDesc(0)).iterfind("devices/disk")
    return any(source.get("file") == path for e in disks if text_of(e, "target/@dev") == target for source in e.iter("source"))


def _ready(domain: Any, target: str) -> bool:
    """Whether a copy has caught up: QEMU reports this in the live definition, and only then can the disk be switched to the copy."""
    for element in parse(domain.XMLDesc(0)).iterfind("devices/disk"):
        if text_of(element, "target/@dev") == target:
            return text_of(element, "mirror/@ready") == "yes"
    return False


__all__ = ["end_copy", "end_interrupted_jobs", "follow"]
