"""Moving a VM to another libvirt host, and telling the truth about where it is afterwards.

An exception never decides what is true: after any error the state on both hosts does (see `reconciliation`).
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import libvirt

from novacron.errors import (
    HostConnectionError,
    InvalidStateError,
    MigrationCheckError,
    NovaCronError,
    OperationCancelledError,
    OperationTimeoutError,
)
from novacron.jobs import Job
from novacron.plugins import hookimpl
from novacron.records.migration import MigrationCheck, MigrationReport
from novacron.records.vm import VM
from novacron_kvm.connection import KVMConnection
from novacron_kvm.domains.metadata import facts_of
from novacron_kvm.domains.states import refuse_suspended_since_migration
from novacron_kvm.errors import mapped, translated
from novacron_kvm.inventory.records import vm_record
from novacron_kvm.jobs.block_jobs import refuse_forgotten_jobs
from novacron_kvm.jobs.domain_jobs import abort, forget_completed, leaving, progress, statistics
from novacron_kvm.migration.prechecks import check_migration, destination_of
from novacron_kvm.migration.reconciliation import reconcile
from novacron_kvm.migration.storage import migrate_storage
from novacron_kvm.migration.transfer import transfer_files
from novacron_kvm.snapshots.metadata import recover, restore_metadata, store_metadata
from novacron_kvm.storage.luks import forget_secrets, provide_secrets, secret_names

if TYPE_CHECKING:
    from novacron.specs.migration import MigrationSpec

POLL = 0.1
"""Seconds between two looks at a migration's progress."""
STORAGE = {
    "shared": libvirt.VIR_MIGRATE_UNSAFE,
    "copy": libvirt.VIR_MIGRATE_NON_SHARED_DISK,
    "copy-top": libvirt.VIR_MIGRATE_NON_SHARED_INC,
}
TRANSPORT = {"native": 0, "tls": libvirt.VIR_MIGRATE_TLS, "tunnel": libvirt.VIR_MIGRATE_TUNNELLED}
PREPARATION = 10.0
"""Seconds that a change of a migration waits until it sends memory."""
ABORT_TIMEOUT = 30.0
"""Seconds that an aborted migration has to end."""


class KVMMigration:
    """Checks, makes and tunes migrations."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def migration_check(self, vm: str, to: Any, spec: MigrationSpec) -> MigrationCheck:
        """Run all pre-checks."""
        domain = self._connection.domain(vm)
        return check_migration(self._connection, domain, vm_record(self._connection, domain, sizes=False), to, spec)

    @hookimpl
    def vm_migrate(self, vm: str, to: Any, spec: MigrationSpec, job: Job[MigrationReport]) -> MigrationReport:
        """Move it. Peer to peer by default, so that it survives this process."""
        job.only_reads = True
        job.report("checking")
        domain = self._connection.domain(vm)
        record = vm_record(self._connection, domain)
        try:
            check = check_migration(self._connection, domain, record, to, spec)
        except (HostConnectionError, OperationTimeoutError) as lost:
            lost.outcome = "failed"  # what was sent until now only reads
            raise
        if not check.ok:
            raise MigrationCheckError(
                f"{record.name!r} can't move from {self._connection.name} to {to.name}",
                failures=list(check.failures),
                resource=record.name,
            )
        job.raise_if_cancelled()
        job.only_reads = False
        job.report("preparing")
        destination, began, made, secrets = destination_of(to), time.monotonic(), facts_of(domain).made, secret_names(domain)
        with translated(resource=record.name):
            refuse_suspended_since_migration(domain, "move")
            refuse_forgotten_jobs(domain, "move")
            recover(domain, change=True)
            transferred = transfer_files(self._connection, destination, domain, record, spec, job)
            store_metadata(domain)
        error: NovaCronError | None = None
        try:
            if secrets:
                with destination.dedicated() as there, translated(resource=record.name):
                    provide_secrets(self._connection.secrets, there, secrets)
            self._move(domain, record, to, spec, job)
        except NovaCronError as raised:
            error = raised
        place = reconcile(self._connection, destination, record, error)
        place.connection.resumable(lambda conn: restore_metadata(place.connection.domain(record.id, conn)))
        kept = transferred.settle(record.id, made, arrived=place.connection is destination)
        if secrets:
            _forget(self._connection if place.connection is destination else destination, secrets)
        if error is not None and place.connection is self._connection:
            error.details |= {"source": place.source, "destination": place.destination}
            raise error
        moved, figures = destination.resumable(partial(_complete, destination, record))
        job.report("done", 1.0)
        return MigrationReport(
            vm=moved,
            source=self._connection.name,
            destination=to.name,
            live=spec.live,
            total_seconds=figures.get("time_elapsed", 0) / 1000 or time.monotonic() - began,
            downtime_seconds=figures["downtime"] / 1000 if "downtime" in figures else None,
            transferred_bytes=figures.get("data_processed"),
            kept=kept.files,
            hint=kept.hint,
            native=figures,
        )

    @hookimpl
    def vm_migrate_storage(self, vm: str, pool: str, disks: tuple[str, ...], job: Job[VM]) -> VM:
        """Move disks to another storage pool, of a running or a stopped VM."""
        return migrate_storage(self._connection, vm, pool, disks, job)

    @hookimpl
    def migration_tune(self, vm: str, bandwidth: int | None, max_downtime: float | None, post_copy: bool) -> VM:
        """Change a migration that is under way."""
        domain = self._connection.domain(vm)
        with translated(resource=vm):
            _wait_until_sending(domain)
            if bandwidth is not None:
                domain.migrateSetMaxSpeed(max(1, bandwidth // 2**20), 0)
            if max_downtime is not None:
                domain.migrateSetMaxDowntime(max(1, int(max_downtime * 1000)), 0)
            if post_copy:
                domain.migrateStartPostCopy(0)
        return vm_record(self._connection, domain)

    def _move(self, domain: Any, record: VM, to: Any, spec: MigrationSpec, job: Job[MigrationReport]) -> None:
        """Start the migration in a thread, watch it, abort it when cancelled or late; return or raise as it ended."""
        ended: Future[None] = Future()

        def run() -> None:
            try:
                with self._connection.dedicated() as conn:
                    _migrate(self._connection.domain(record.id, conn), record, to, spec)
            except BaseException as error:  # noqa: BLE001 - carried to the watcher
                ended.set_exception(error)
            else:
                ended.set_result(None)

        deadline = time.monotonic() + spec.deadline
        threading.Thread(target=run, name=f"novacron-migrate-{record.name}", daemon=True).start()
        stopped: NovaCronError | None = None
        abort_at = 0.0
        todo = {"max_downtime"} if spec.max_downtime and record.status == "running" else set()
        todo |= {"post_copy"} if spec.post_copy and record.status == "running" else set()
        while not ended.done():
            now = time.monotonic()
            if stopped is None and job.cancel_asked:
                stopped = OperationCancelledError(f"the migration of {record.name!r} was cancelled", resource=record.name)
            if stopped is None and now > deadline:
                stopped = OperationTimeoutError(
                    f"the migration of {record.name!r} did not end within {spec.deadline:g} s",
                    resource=record.name,
                    hint="give it more bandwidth, a longer max_downtime or deadline, or post_copy",
                )
            if stopped is not None:
                abort_at = abort_at or now
                abort(domain)
                if now - abort_at > ABORT_TIMEOUT:
                    stopped.outcome = "unknown"
                    raise stopped
            else:
                self._watch(domain, job, spec, todo)
            try:
                ended.exception(POLL)
            except TimeoutError:
                continue
        failure = ended.exception()
        if failure is None:
            return
        if stopped is not None:
            raise stopped from failure
        if isinstance(failure, libvirt.libvirtError):
            raise mapped(failure, operation="vm_migrate", resource=record.name) from failure
        raise failure

    def _watch(self, domain: Any, job: Job[MigrationReport], spec: MigrationSpec, todo: set[str]) -> None:
        """Report how far the migration is, and do what can only be done while it is under way; what was done leaves `todo`."""
        try:
            if found := statistics(domain):
                fraction, details = progress(found)
                job.report("migrating", fraction, **details)
                if "max_downtime" in todo:
                    domain.migrateSetMaxDowntime(max(1, int((spec.max_downtime or 0) * 1000)), 0)
                    todo.discard("max_downtime")
                if "post_copy" in todo and found.get("memory_iteration", 0) > 1:
                    domain.migrateStartPostCopy(0)  # what is sent again and again is fetched when it is needed
                    todo.discard("post_copy")
        except libvirt.libvirtError:
            pass  # no job yet, or no more


def _wait_until_sending(domain: Any) -> None:
    """Wait until a migration sends memory. Raises InvalidStateError.

    Before that, libvirt takes a bandwidth, says nothing, and begins with the one that the migration was started with. Without a migration
    it takes the values for the next one.
    """
    until = time.monotonic() + PREPARATION
    while leaving(domain):
        if statistics(domain).get(libvirt.VIR_DOMAIN_JOB_MEMORY_TOTAL):
            return
        if time.monotonic() > until:
            raise InvalidStateError(
                f"the migration of {domain.name()!r} does not send memory yet",
                resource=domain.name(),
                hint="try again when the destination is prepared and the disks are copied",
            )
        time.sleep(POLL)
    raise InvalidStateError(
        f"{domain.name()!r} is not being migrated", resource=domain.name(), hint="a migration can be tuned only while it runs"
    )


def _migrate(domain: Any, record: VM, to: Any, spec: MigrationSpec) -> None:
    active = record.status != "stopped"
    flags = libvirt.VIR_MIGRATE_PERSIST_DEST | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
    parameters: dict[str, Any] = {}
    if not active:
        flags |= libvirt.VIR_MIGRATE_OFFLINE
    else:
        flags |= libvirt.VIR_MIGRATE_ABORT_ON_ERROR
        # the pre-check has seen the disks on both hosts; libvirt knows shared file systems only by their kind
        flags |= STORAGE[spec.storage]
        if spec.live:
            flags |= libvirt.VIR_MIGRATE_LIVE
            flags |= libvirt.VIR_MIGRATE_AUTO_CONVERGE if spec.auto_converge and not spec.post_copy else 0
            flags |= libvirt.VIR_MIGRATE_POSTCOPY if spec.post_copy else 0
        flags |= TRANSPORT[spec.transport]
        if spec.compression:
            flags |= libvirt.VIR_MIGRATE_COMPRESSED
        if spec.parallel:
            flags |= libvirt.VIR_MIGRATE_PARALLEL
            parameters[libvirt.VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS] = spec.parallel
        if spec.bandwidth:
            parameters[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH] = max(1, spec.bandwidth // 2**20)
    if spec.peer_to_peer:
        domain.migrateToURI3(spec.destination_uri or to.uri, parameters, flags | libvirt.VIR_MIGRATE_PEER2PEER)
        return
    with destination_of(to).dedicated() as there:
        domain.migrate3(there, parameters, flags)


def _forget(connection: KVMConnection, secrets: dict[str, str]) -> None:
    """Take secrets back where the VM is not; a host that can't be reached has them in its memory only."""
    with suppress(NovaCronError), connection.dedicated() as left:
        forget_secrets(left, secrets)


def _complete(destination: KVMConnection, record: VM, conn: Any) -> tuple[VM, dict[str, Any]]:
    """Give a VM that has moved what libvirt leaves behind; return its record and the figures of its move."""
    domain = destination.domain(record.id, conn)
    if record.autostart:  # a mark of the host's own
        domain.setAutostart(1)
    figures = _completed(domain)
    moved = vm_record(destination, domain)
    if record.status != "suspended":
        forget_completed(domain)
    return moved, figures


def _completed(domain: Any) -> dict[str, Any]:
    try:
        found = domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED | libvirt.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED)
    except libvirt.libvirtError:
        return {}  # an offline migration has none
    return {k: v for k, v in found.items() if isinstance(v, (int, str))}


__all__ = ["KVMMigration"]
