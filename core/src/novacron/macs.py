"""MAC addresses for NICs. No address is assigned twice in a fleet, on any host and by any process."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable
from typing import Protocol

PREFIX = "52:54:00"
"""QEMU's own range of locally administered addresses."""


class Addresses(Protocol):
    """Stores the addresses that were assigned or seen."""

    def claim(self, mac: str) -> bool:
        """Store an address. Return whether it was new."""
        ...

    def add(self, addresses: Iterable[str]) -> int:
        """Store addresses. Return the number of new ones."""
        ...


class MACAddresses:
    """Assigns MAC addresses. Each is stored in the state database before it is returned, so two processes never get the same one.

    Args:
        store: returns the store of known addresses; None for random addresses without a store.
    """

    def __init__(self, store: Callable[[], Addresses] | None = None) -> None:
        self._store = store

    def new(self, taken: Container[str] = ()) -> str:
        """Return an address that is not in `taken` and was never assigned before.

        Addresses that other tools chose are known if they were seen: `taken` has those of the host, and `fleet.mac_clashes()` reads
        all hosts.

        Raises:
            StorageError: the state database can't be used. A NIC with a given address does not need it.
        """
        store = self._store() if self._store is not None else None
        while True:
            mac = candidate()
            if mac not in taken and (store is None or store.claim(mac)):
                return mac

    def remember(self, addresses: Iterable[str]) -> None:
        """Store addresses that were seen, so that they are not assigned."""
        if self._store is not None:
            self._store().add(addresses)


def candidate() -> str:
    """Return a random address of the range."""
    return f"{PREFIX}:" + ":".join(f"{byte:02x}" for byte in os.urandom(3))


__all__ = ["PREFIX", "MACAddresses"]
