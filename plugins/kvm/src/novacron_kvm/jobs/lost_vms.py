"""VMs that do not survive the death of libvirtd in the middle of an operation: the operation's error says so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import libvirt

from novacron.errors import HostConnectionError, InvalidStateError, NotFoundError, NovaCronError, OperationTimeoutError
from novacron_kvm.connection import RECONNECT_TIMEOUT, KVMConnection
from novacron_kvm.statuses import LOST, status_of
from novacron_kvm.xml.facts import VMFacts
from novacron_kvm.xml.parsing import parse

POLL = 0.2


@contextmanager
def tell_if_vm_ended(connection: KVMConnection, vm: str) -> Iterator[None]:
    """Add to the error of a lost connection that the VM, which was running, has ended or is lost.

    QEMU survives the daemon. When the daemon starts again it takes over each QEMU process, and stops one that it can't take over. If it
    can't even read its record of the VM, QEMU runs on without it. Whoever began the operation has to know.
    """
    domain = connection.domain(vm)
    identity, name, active = domain.UUIDString(), domain.name(), bool(domain.isActive())
    try:
        yield
    except (HostConnectionError, OperationTimeoutError) as error:
        if active and _ended(connection, identity):
            error.outcome = "unknown"
            if _lost(connection, identity):
                lost = lost_error(name)
                error.message += f"; {lost.message}"
                error.hint, error.details["vm_lost"] = lost.hint, True
            else:
                error.message += (
                    f"; the VM {name!r} was running and has ended: libvirt could not take it over when it started again"
                )
                error.hint = "start the VM again; its disks are as they were when it ended; libvirt's log says why"
                error.details["vm_ended"] = True
        raise


def is_lost(domain: Any) -> bool:
    """Whether libvirtd takes a VM for stopped without knowing why, although it ran when one of its disks was being switched."""
    if domain.isActive():
        return False
    return status_of(*domain.state(), switching=bool(VMFacts.read(parse(domain.XMLDesc(0))).switching))[1] == LOST


def lost_error(name: str) -> InvalidStateError:
    """Return the error of an operation on a VM whose QEMU process runs without libvirtd."""
    return InvalidStateError(
        f"libvirtd has lost the VM {name!r}: it takes it for stopped, but QEMU still runs it",
        resource=name,
        hint="shut the guest down from within, then start it; or let libvirtd find it again, as docs/reliability.md says",
    )


def _lost(connection: KVMConnection, identity: str) -> bool:
    try:
        return is_lost(connection.domain(identity))
    except (NovaCronError, libvirt.libvirtError):
        return False  # a transient VM is gone altogether


def _ended(connection: KVMConnection, identity: str) -> bool:
    """Whether a VM does not run any more, as soon as the daemon answers; False while that is not known."""
    until = time.monotonic() + RECONNECT_TIMEOUT
    while time.monotonic() < until:
        try:
            return not connection.bounded(_runs, connection.domain(identity), timeout=RECONNECT_TIMEOUT)
        except NotFoundError:
            return True
        except NovaCronError:
            time.sleep(POLL)  # the daemon is not back yet
        except libvirt.libvirtError:
            time.sleep(POLL)
    return False


def _runs(domain: Any) -> bool:
    try:
        domain.memoryStats()  # asks QEMU, and so waits until the daemon has taken it over or given it up
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
            raise
    return bool(domain.isActive())


__all__ = ["is_lost", "lost_error", "tell_if_vm_ended"]
