"""What is undone when the connection was lost during a call: libvirt may have done, or may still do, what it was asked for.

To undo it blindly would delete the files that a VM has just begun to write to.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import libvirt

from novacron.errors import BusyError, HostConnectionError, NovaCronError, OperationTimeoutError
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import mapped
from novacron_kvm.jobs.domain_jobs import POLL, busy

SETTLE_SECONDS = 20.0
"""How long libvirt has to end what it does for a client that is gone."""


def keep_if_done(connection: KVMConnection, undo: ExitStack, vm: str, done: Callable[[Any], bool], left: str) -> None:
    """Let `undo` do nothing if the call that failed had its effect all the same, or if that can't be known.

    It is registered with `undo` as the last step before the call, so that it is the first one to run. It looks only if the connection was
    lost.

    Args:
        connection: the host.
        undo: what is undone.
        vm: the UUID of the VM that the call changes.
        done: takes libvirt's domain of the VM; returns whether the call had its effect.
        left: what is left behind if that can't be known, for the error.
    """
    under_way = sys.exc_info()[1]
    failed = mapped(under_way) if isinstance(under_way, libvirt.libvirtError) else under_way
    if not isinstance(failed, (HostConnectionError, OperationTimeoutError)):
        return

    def look(conn: Any) -> bool:
        domain = connection.domain(vm, conn)
        until = time.monotonic() + SETTLE_SECONDS
        while busy(domain):
            if time.monotonic() > until:
                raise BusyError(f"libvirt still works on {vm}")
            time.sleep(POLL)
        return done(domain)

    try:
        keep = connection.resumable(look)
    except NovaCronError:
        keep = True
        if isinstance(under_way, NovaCronError):
            under_way.details.setdefault("left", []).append(left)
    if keep:
        undo.pop_all()


__all__ = ["keep_if_done"]
