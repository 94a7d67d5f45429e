"""Block jobs: QEMU copies a disk's content while its VM may run.

QEMU runs a block job without libvirtd. If libvirtd dies, the job continues, and libvirtd finds it again after its restart. So a lost
connection does not end `run_block_job`: it asks the restarted daemon what happened to the disk, and follows the job there. A libvirtd that
died after QEMU's job had ended, and before it noted that, waits for the job until the VM is powered off (libvirt 9.0); then QEMU itself is
asked which file it writes to.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

import libvirt

from novacron.errors import BusyError, HostConnectionError, InvalidStateError, NotFoundError, NovaCronError, StorageError
from novacron.jobs import Job
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import mapped
from novacron_kvm.xml.parsing import parse, text_of

POLL = 0.25
"""Seconds between two queries of a job's progress."""
LEFT_OVER = 3.0
"""Seconds after which a finished merge that nobody completes is assumed to belong to a dead process."""
SETTLE, PIVOT_SETTLE = 10.0, 2.0
"""Seconds until libvirt's definition shows that a job ended. A disk is switched to another file before the call for it returns."""


def run_block_job(
    connection: KVMConnection,
    domain: Any,
    target: str,
    start: Callable[[], Any],
    job: Job[Any],
    report: Callable[[float], None],
    *,
    pivot: bool = False,
    on_ready: Callable[[Any], None] | None = None,
    without: str = "",
) -> None:
    """Start a disk's block job and wait until it ended, also if libvirtd is restarted meanwhile.

    After a lost connection, `domain` and the connection that it belongs to can't be used any more. Cancelling the job aborts it; the disk
    is then as it was before.

    Args:
        target: the disk, "vda".
        start: calls libvirt to start the job.
        report: called with the completed fraction.
        pivot: the job is a copy, or a commit of the file that the guest writes: switch the disk to the other file when all is copied.
        on_ready: called with the domain when all is copied, before the disk is switched.
        without: the job removes this file from the disk's backing chain. libvirt's definition shows that shortly after the job ended.

    Raises:
        StorageError: the job ended early. The disk is as it was before. `details["restarted"]` is set if libvirtd was restarted.
        HostConnectionError: the daemon did not come back within 20 s, or the VM ended with it.
    """
    identity, before = domain.UUIDString(), _source(domain, target)
    try:
        start()
        _follow(domain, target, before, job, report, pivot=pivot, on_ready=on_ready, without=without)
        return
    except libvirt.libvirtError as error:
        lost = mapped(error)
        if not isinstance(lost, HostConnectionError):
            raise
        lost.outcome, lost.__cause__ = "unknown", error

    def follow_again(conn: Any) -> bool:
        there = conn.lookupByUUIDString(identity)
        job.report("connected again", None)
        _follow(there, target, before, job, report, pivot=pivot, on_ready=on_ready, without=without)
        return True

    try:
        connection.resumable(follow_again)
    except (NotFoundError, InvalidStateError):  # the VM ended with the daemon
        raise lost from lost.__cause__
    except StorageError as error:
        error.hint = "libvirtd was restarted meanwhile; the disk is as it was before, so try again"
        error.details["restarted"] = True
        raise


def _follow(
    domain: Any,
    target: str,
    before: str,
    job: Job[Any],
    report: Callable[[float], None],
    *,
    pivot: bool,
    on_ready: Callable[[Any], None] | None,
    without: str,
) -> None:
    """Wait until a disk's block job has ended, and switch the disk to the other file if `pivot` is set."""
    settled, over = 0.0, False
    try:
        while True:
            info = domain.blockJobInfo(target, 0)
            if not info:
                settled = settled or time.monotonic() + (PIVOT_SETTLE if pivot else SETTLE)
                if (pivot and _source(domain, target) != before) or not (pivot or _has(domain, target, without)):
                    return
                if time.monotonic() > settled:
                    if pivot and _switched_in_qemu(domain, target):
                        return
                    raise StorageError(
                        f"copying the disk {target!r} of {domain.name()!r} ended early",
                        resource=domain.name(),
                        hint="is there space in the storage pool? libvirt's log on the host tells more",
                    )
                time.sleep(POLL / 5)
                continue
            settled = 0.0
            report(info["cur"] / info["end"] if info["end"] else 0.0)
            if over:  # QEMU was quicker than the wish to cancel: libvirt shows that shortly
                time.sleep(POLL / 5)
                continue
            try:
                job.raise_if_cancelled()  # also when all is copied: nothing has changed yet
            except NovaCronError:
                over = not _abort(domain, target)
                if not over:
                    raise
                continue
            if pivot and info["end"] and info["cur"] == info["end"] and _ready(domain, target):
                if on_ready is not None:
                    on_ready(domain)
                domain.blockJobAbort(target, libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
            else:
                job.wait_cancelled(POLL)
    except libvirt.libvirtError as error:
        if not isinstance(mapped(error), HostConnectionError):
            _abort(domain, target)
        raise
    except BaseException:
        _abort(domain, target)
        raise


def _abort(domain: Any, target: str) -> bool:
    """Abort a disk's block job.

    Returns:
        Whether it was aborted. A job without further work ends by itself, and QEMU refuses to abort one that has just ended.
    """
    if not domain.blockJobInfo(target, 0):
        return False
    try:
        domain.blockJobAbort(target, 0)
        return True
    except libvirt.libvirtError as error:
        until = time.monotonic() + SETTLE
        while not isinstance(mapped(error), HostConnectionError) and time.monotonic() < until:
            if not domain.blockJobInfo(target, 0):
                return False
            time.sleep(POLL / 5)
        raise


def refuse_forgotten_jobs(domain: Any, action: str) -> None:
    """Refuse what libvirtd would do with the wrong files: it waits for a block job of a disk that QEMU does not have any more.

    Args:
        action: a verb: "merge the disks of".
    """
    until = time.monotonic() + PIVOT_SETTLE  # libvirtd may be about to note that it has ended
    while domain.isActive() and (forgotten := _forgotten_jobs(domain)):
        if time.monotonic() > until:
            raise InvalidStateError(
                f"can't {action} {domain.name()!r}: libvirtd still waits for a block job of {forgotten[0]!r}, which has ended in QEMU",
                resource=domain.name(),
                hint="power the VM off and start it again: it then starts with the right files",
            )
        time.sleep(POLL / 5)


def _forgotten_jobs(domain: Any) -> list[str]:
    """Return the disks with a block job that libvirtd has and QEMU has not."""
    mirrored = parse(domain.XMLDesc(0)).iterfind("devices/disk[mirror]")
    targets = [text_of(disk, "target/@dev") or "" for disk in mirrored]
    return [target for target in targets if not domain.blockJobInfo(target, 0)]


def end_copy(identity: str, target: str, path: str, connection: Any) -> bool:
    """Abort the copying of a VM's disk to a file, if it is still under way.

    Returns:
        Whether the VM does not use the file: it may be deleted then.
    """
    domain = connection.lookupByUUIDString(identity)
    if domain.isActive() and _has(domain, target, path):
        _abort(domain, target)
    return not _has(domain, target, path)


def end_interrupted_jobs(domain: Any, targets: Iterable[str], job: Job[Any]) -> None:
    """End the merges that a process which died left to QEMU; the disks' content is the same with and without.

    One that still copies is waited for, since somebody may follow it; one that is done and not taken up is given up.

    Raises:
        BusyError: a disk is being copied elsewhere.
        InvalidStateError: libvirtd waits for a job that QEMU does not have any more.
    """
    refuse_forgotten_jobs(domain, "change the disks of")
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
            job.report(f"waiting for an interrupted merge of {target}", info["cur"] / info["end"] if info["end"] else None)
            done = (done or time.monotonic()) if _ready(domain, target) else 0.0
            if done and time.monotonic() - done > LEFT_OVER:
                _abort(domain, target)
            job.raise_if_cancelled()
            job.wait_cancelled(POLL)


def _disk(domain: Any, target: str) -> Any | None:
    disks = parse(domain.XMLDesc(0)).iterfind("devices/disk")
    return next((element for element in disks if text_of(element, "target/@dev") == target), None)


def _source(domain: Any, target: str) -> str:
    """Return which file, volume or device a disk is written to, as one text to compare."""
    element = _disk(domain, target)
    source = None if element is None else element.find("source")
    return "" if source is None else repr(sorted((name, value) for name, value in source.attrib.items() if name != "index"))


def _has(domain: Any, target: str, path: str) -> bool:
    """Whether QEMU has a file open for a disk, or copies it there."""
    element = _disk(domain, target)
    return element is not None and any(source.get("file") == path for source in element.iter("source"))


def _ready(domain: Any, target: str) -> bool:
    """Whether a copy has caught up: QEMU reports this in the live definition, and only then can the disk be switched to the copy."""
    element = _disk(domain, target)
    return element is not None and text_of(element, "mirror/@ready") == "yes"


def _mirror(domain: Any, target: str) -> Any | None:
    """Return the <mirror> of a disk: the other file of a block job, as libvirtd sees it."""
    element = _disk(domain, target)
    return None if element is None else element.find("mirror")


def _switched_in_qemu(domain: Any, target: str) -> bool:
    """Whether QEMU writes a disk to the other file of a block job that libvirtd still waits for."""
    mirror, disk = _mirror(domain, target), _disk(domain, target)
    if mirror is None or disk is None:
        return False
    import libvirt_qemu

    alias, answer = text_of(disk, "alias/@name"), libvirt_qemu.qemuMonitorCommand(domain, '{"execute": "query-block"}', 0)
    drives = {drive.get("qdev", ""): drive.get("inserted", {}).get("file") for drive in json.loads(answer)["return"]}
    written = [file for device, file in drives.items() if alias in device.split("/")]
    return written == [text_of(mirror, "source/@file") or text_of(mirror, "source/@dev")]


__all__ = ["end_copy", "end_interrupted_jobs", "refuse_forgotten_jobs", "run_block_job"]
