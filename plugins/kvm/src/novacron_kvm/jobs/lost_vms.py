"""A daemon that dies in the middle of an operation may take a running VM with it: the operation's error then says so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import libvirt

from novacron.errors import HostConnectionError, NotFoundError, NovaCronError, OperationTimeoutError
from novacron_kvm.connection import RECONNECT_TIMEOUT, KVMConnection

POLL = 0.2


@contextmanager
def tell_if_vm_ended(connection: KVMConnection, vm: str) -> Iterator[None]:
    """Add to the error of a lost connection that the VM, which was running, has ended.

    QEMU survives the daemon. When the daemon starts again it takes over each QEMU process, and stops one that it can't take over, for
    instance because it died between two steps of a block job. Whoever began the operation has to know.
    """
    domain = connection.domain(vm)
    identity, name, active = domain.UUIDString(), domain.name(), bool(domain.isActive())
    try:
        yield
    except (HostConnectionError, OperationTimeoutError) as error:
        if active and _ended(connection, identity):
            error.message += f"; the VM {name!r} was running and has ended: libvirt could not take it over when it started again"
            error.hint = "start the VM again; its disks are as they were when it ended; libvirt's log says why"
            error.details["vm_ended"] = True
            error.outcome = "unknown"
        raise


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


__all__ = ["tell_if_vm_ended"]
