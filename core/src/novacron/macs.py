"""MAC addresses for NICs: none twice in a fleet, whichever host the NIC is on and whichever process asks."""

from __future__ import annotations

import secrets
from collections.abc import Container

PREFIX = "52:54:00"
"""QEMU's own range of locally administered addresses."""


def new_mac(taken: Container[str] = ()) -> str:
    """Return an address that is not `taken` and that was never given out before by anybody who shares the state database.

    It is written down before it is returned, so two processes that ask at the same moment get two. Addresses that other tools chose are
    known where they were seen: `taken` has those of the host, `fleet().mac_clashes()` looks at all hosts.

    Raises:
        StorageError: the state database can't be used; a NIC for which an address is given needs none of this.
    """
    from novacron.store.macs import MACStore

    store = MACStore()
    while True:
        mac = candidate()
        if mac not in taken and store.claim(mac):
            return mac


def candidate() -> str:
    """Return an address of the range by chance."""
    return f"{PREFIX}:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))


__all__ = ["PREFIX", "new_mac"]
