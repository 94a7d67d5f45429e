"""The balloon: how a running guest gives memory back to its host, and takes it again."""

from __future__ import annotations

import time
from typing import Any

import libvirt

from novacron.errors import OperationTimeoutError
from novacron.units import format_size

POLL = 0.05
"""Seconds between two looks at the size of the memory."""
STANDSTILL = 10.0
"""Seconds without any change after which the guest is not waited for any longer."""


def wait_for_balloon(domain: Any, size: int) -> None:
    """Wait until a running VM has the memory that was asked for.

    libvirt passes the wish on and returns at once; the guest fulfils it in its own time. A migration in between takes the memory as it is
    then, and the wish is lost. A suspended guest can do nothing, so it is not waited for.

    Raises:
        OperationTimeoutError: the guest has stopped halfway, or never began. The caller then sets the former size.
    """
    if domain.state()[0] != libvirt.VIR_DOMAIN_RUNNING:
        return
    before, wanted = domain.info()[2], size // 1024
    changed_at, last = time.monotonic(), before
    while (now := domain.info()[2]) != wanted:
        if now != last:
            changed_at, last = time.monotonic(), now
        elif time.monotonic() - changed_at > STANDSTILL:
            raise OperationTimeoutError(
                f"the guest of {domain.name()!r} has {format_size(now * 1024)} of memory, {format_size(size)} were asked for",
                resource=domain.name(),
                outcome="failed",
                hint="its size is what it was before; a guest needs its balloon driver, once it has started, and enough free memory",
            )
        time.sleep(POLL)


__all__ = ["wait_for_balloon"]
