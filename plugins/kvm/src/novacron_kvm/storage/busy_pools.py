"""Storage pools that are busy: libvirt refuses to refresh or stop a pool while a volume of it is uploaded, copied or wiped."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import libvirt

PATIENCE = 30.0
"""Seconds to wait for a pool that somebody else is copying in; the caller's own deadline may be shorter."""
PAUSE = 0.2
BUSY = "has asynchronous jobs running"


def wait_until_free(change: Callable[[], Any]) -> None:
    """Change a pool as soon as nobody copies in it.

    Raises:
        libvirtError: the pool is still busy after `PATIENCE` seconds (it becomes BusyError), or libvirt refuses for another reason.
    """
    until = time.monotonic() + PATIENCE
    while True:
        try:
            change()
            return
        except libvirt.libvirtError as error:
            if BUSY not in (error.get_error_message() or "") or time.monotonic() > until:
                raise
        time.sleep(PAUSE)  # libvirt tells nobody when a copy ends


def refresh_if_free(pool: Any) -> None:
    """Refresh a pool, unless somebody copies in it: what another host made meanwhile is then found by name later."""
    try:
        pool.refresh()
    except libvirt.libvirtError as error:
        if BUSY not in (error.get_error_message() or ""):
            raise


__all__ = ["refresh_if_free", "wait_until_free"]
