"""Starting, stopping and everything between."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Literal

from novacron.errors import OperationTimeoutError, VMNotFoundError
from novacron.jobs import Job
from novacron.plugins import hookimpl
from novacron.records.vm import VM
from novacron.secrets import Secrets
from novacron_kvm.connection import KVMConnection
from novacron_kvm.domains.states import refuse_suspended_since_migration, require_status
from novacron_kvm.errors import translated
from novacron_kvm.inventory.records import vm_record
from novacron_kvm.jobs.block_jobs import refuse_forgotten_jobs
from novacron_kvm.jobs.domain_jobs import forget_completed, job_progress
from novacron_kvm.statuses import LOST
from novacron_kvm.storage.luks import provide_secrets, secret_names
from novacron_kvm.storage.switches import settle_switches

CALL = 55.0
"""Seconds that a change may take in libvirt: it is itself bounded to 30 s by its job lock, and a hung QEMU would block it longer."""


class KVMPower:
    """Changes what a VM is doing. Every state is checked first: libvirt's own words differ between states."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def vm_start(self, vm: str) -> VM:
        """Start, or restore what was saved."""
        return self._change(vm, "start", ("stopped", "crashed", "saved"), partial(_start, self._connection.secrets))

    @hookimpl
    def vm_stop(self, vm: str) -> VM:
        """Power off."""
        allowed = ("running", "suspended", "stopping", "crashed", "sleeping", "migrating", "unknown")
        return self._change(vm, "stop", allowed, lambda d: d.destroy())

    @hookimpl
    def vm_reboot(self, vm: str) -> VM:
        """Ask the guest to reboot."""
        return self._change(vm, "reboot", ("running",), lambda d: d.reboot())

    @hookimpl
    def vm_reset(self, vm: str) -> VM:
        """Reset."""
        return self._change(vm, "reset", ("running",), lambda d: d.reset())

    @hookimpl
    def vm_suspend(self, vm: str) -> VM:
        """Suspend; a suspended VM stays so."""
        return self._change(vm, "suspend", ("running", "suspended"), lambda d: d.suspend(), done="suspended")

    @hookimpl
    def vm_resume(self, vm: str) -> VM:
        """Resume; a running VM stays so."""
        return self._change(vm, "resume", ("suspended", "running"), _resume, done="running")

    @hookimpl
    def vm_shutdown(self, vm: str, seconds: float, otherwise: Literal["fail", "stop"], job: Job[VM]) -> VM:
        """Press the power button and wait for the guest."""
        domain = self._checked(vm, "shutdown", ("running",))
        with translated(resource=vm):
            domain.shutdown()
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            job.report("waiting for the guest", min(1.0, (time.monotonic() - began) / seconds) if seconds else None)
            with translated(resource=vm):
                if not domain.isActive():
                    return vm_record(self._connection, domain)
            job.wait_cancelled(0.1)
            job.raise_if_cancelled()
        if otherwise == "stop":
            return self.vm_stop(vm)
        raise OperationTimeoutError(
            f"the guest of {domain.name()!r} did not shut down within {seconds:g} s",
            resource=vm,
            hint="it still runs: `novacron vm stop` powers it off, as does otherwise='stop' (--otherwise stop) after the timeout",
        )

    @hookimpl
    def vm_save(self, vm: str, job: Job[VM]) -> VM:
        """Save to disk and power off. A save that is cut short leaves the VM running."""
        domain = self._checked(vm, "save", ("running", "suspended"))
        with translated(resource=vm):
            refuse_suspended_since_migration(domain, "save")
            refuse_forgotten_jobs(domain, "save")
        with self._connection.dedicated() as conn:
            own = self._connection.domain(domain.UUIDString(), conn)
            with translated(resource=vm), job_progress(self._connection, own.UUIDString(), job, "saving memory"):
                own.managedSave()
        return vm_record(self._connection, self._connection.domain(domain.UUIDString()))

    @hookimpl
    def vm_restore(self, vm: str) -> VM:
        """Go on from saved memory."""
        return self._change(vm, "restore", ("saved",), partial(_start, self._connection.secrets))

    def _checked(self, vm: str, action: str, allowed: tuple[str, ...]) -> Any:
        domain = self._connection.domain(vm)
        record = vm_record(self._connection, domain, sizes=False)
        if action in ("start", "restore") or record.status_reason == LOST:
            settle_switches(self._connection, record.id)
            record = vm_record(self._connection, domain, sizes=False)
        require_status(action, record, allowed)
        return domain

    def _change(self, vm: str, action: str, allowed: tuple[str, ...], change: Any, done: str | None = None) -> VM:
        domain = self._checked(vm, action, allowed)
        record = vm_record(self._connection, domain)
        if done and record.status == done:
            return record

        def run() -> None:
            with self._connection.dedicated() as conn, translated(resource=record.name):
                change(self._connection.domain(record.id, conn))

        self._connection.bounded(run, timeout=CALL)
        try:
            return vm_record(self._connection, self._connection.domain(record.id))
        except VMNotFoundError:
            if record.persistent:
                raise
            return record.replace(status="stopped", status_reason="destroyed")  # a transient VM is gone


def _start(secrets: Secrets, domain: Any) -> None:
    provide_secrets(secrets, domain.connect(), secret_names(domain))
    domain.create()
    forget_completed(domain)  # libvirt remembers how the QEMU before it came here


def _resume(domain: Any) -> None:
    domain.resume()
    forget_completed(domain)  # whether it has run since it was moved here matters no more


__all__ = ["KVMPower"]
