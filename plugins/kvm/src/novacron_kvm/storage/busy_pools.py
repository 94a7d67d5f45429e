"""Storage pools and volumes that another client copies, wipes or uploads to: an operation waits for that, then raises BusyError.

libvirt refuses to refresh or stop a pool while it copies or wipes a volume of it, and refuses to change that volume. It does not know
who uploads to a volume, and would let others delete or resize it meanwhile. An upload changes the time of the file's last change, so two
looks a moment apart tell. A client that uploads nothing for that long is not noticed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import libvirt

from novacron.dispatch.call import time_left
from novacron.errors import BusyError
from novacron_kvm.xml.parsing import parse, text_of

PATIENCE = 30.0
"""Seconds to wait for what another client does."""
IN_TIME = 0.9
"""The part of the time that the caller waits after which the operation gives up, so that its error reaches the caller."""
PAUSE = 0.2
BUSY = re.compile(r"has asynchronous jobs running|is still (in use|being allocated)")
LOOK = 0.3
"""Seconds between two looks at a file that somebody may be writing to."""
LONG_AGO = 60.0
"""Seconds without a change after which nobody writes to a file. The clocks of hosts may differ by less than that."""


def wait_until_free(change: Callable[[], Any]) -> Any:
    """Change a pool or a volume as soon as libvirt copies and wipes nothing of it; return the result.

    Raises:
        libvirtError: it is still busy when the time is over (it becomes BusyError), or libvirt refuses for another reason.
    """
    until = _give_up_at()
    while True:
        try:
            return change()
        except libvirt.libvirtError as error:
            if not BUSY.search(error.get_error_message() or "") or time.monotonic() > until:
                raise
        time.sleep(PAUSE)  # libvirt tells nobody when a copy ends


def wait_until_written(volume: Any) -> None:
    """Wait until nobody uploads to a volume.

    Raises:
        BusyError: somebody still does when the time is over. Nothing was changed.
    """
    until = _give_up_at()
    seen = _last_change(volume)
    while abs(time.time() - seen[0]) < LONG_AGO:
        time.sleep(LOOK)
        before, seen = seen, _last_change(volume)
        if seen == before:
            return
        if time.monotonic() > until:
            raise BusyError(
                f"another client writes to the volume {volume.name()!r}",
                resource=volume.name(),
                outcome="not_sent",
                hint="try again when its upload has ended",
            )


def refresh_if_free(pool: Any) -> None:
    """Refresh a pool, unless somebody copies in it: what another host made meanwhile is then found by name later."""
    try:
        pool.refresh()
    except libvirt.libvirtError as error:
        if not BUSY.search(error.get_error_message() or ""):
            raise


def _give_up_at() -> float:
    left = time_left()
    return time.monotonic() + (PATIENCE if left is None else min(PATIENCE, IN_TIME * left))


def _last_change(volume: Any) -> tuple[float, ...]:
    """Return when a volume was last written to, by the clock of its host, and what else a write changes. 0 if it is no file."""
    root = parse(volume.XMLDesc(0))
    return tuple(float(text_of(root, path) or 0) for path in ("target/timestamps/mtime", "physical", "allocation"))


__all__ = ["refresh_if_free", "wait_until_free", "wait_until_written"]
