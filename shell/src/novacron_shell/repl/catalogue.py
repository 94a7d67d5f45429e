"""The names of pools, networks, images, templates and filters of the connected hosts, read in the background for completion."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from novacron.errors import NovaCronError

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle

AGE, PATIENCE = 20.0, 10.0
"""Seconds after which names are read again when completion needs them, and that a host has to answer."""
KINDS = ("pools", "networks", "templates", "filters", "images")


class Catalogue:
    """Names by kind and host.

    Args:
        hosts: the connected hosts.
    """

    def __init__(self, hosts: Mapping[str, HostHandle]) -> None:
        self._hosts = hosts
        self._names: dict[str, dict[str, Sequence[str]]] = {kind: {} for kind in KINDS}
        self.registered: dict[str, str] = {}
        """Hosts of the fleet by name, with their URIs."""
        self._read_at = float("-inf")
        self._reading = threading.Lock()

    def of(self, kind: str) -> Mapping[str, Sequence[str]]:
        """Return the names of a kind by host, as they were read last; old ones are read again in the background."""
        if time.monotonic() - self._read_at > AGE:
            threading.Thread(target=self.refresh, name="novacron-catalogue", daemon=True).start()
        return self._names[kind]

    def refresh(self) -> None:
        """Read all names now; does nothing while another thread does it."""
        from novacron import fleet

        if not self._reading.acquire(blocking=False):
            return
        try:
            self._read_at = time.monotonic()
            self.registered = {host.name: host.uri for host in fleet().list()}
            for answer in fleet().ask(list(self._hosts.values()), _names, timeout=PATIENCE):
                for kind, names in (answer.value or {}).items():
                    self._names[kind] = {**self._names[kind], answer.host: names}
        finally:
            self._reading.release()


def _names(host: HostHandle) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for kind in KINDS:
        try:
            found[kind] = [str(record.name) for record in getattr(host, kind).list()]
        except (NovaCronError, AttributeError):
            continue  # the driver has none of these, or can't list them now
    return found


__all__ = ["Catalogue"]
