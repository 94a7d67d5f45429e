"""A host's networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias, Unpack

from novacron.handles.collection import Collection
from novacron.records.networks import DHCPLease, Network

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.records.vm import Deleted
    from novacron.specs.keywords import NetworkFields, NetworkOptions

# The collection has a method named list, so annotations below it need another name.
_Leases: TypeAlias = list[DHCPLease]


class NetworkCollection(Collection[Network]):
    """A host's networks."""

    _title = "networks"

    def __init__(self, host: HostHandle) -> None:
        self._host = host

    def list(self) -> list[Network]:
        """Return all networks, sorted by name."""
        result: list[Network] = self._host.invoke("network_list")
        return result

    def _all(self) -> Sequence[Network]:
        return self.list()

    def _find(self, network: str) -> Network:
        result: Network = self._host.invoke("network_get", network=network)
        return result

    def create(self, **fields: Unpack[NetworkFields]) -> Network:
        """Create a network from `NetworkSpec`'s fields."""
        from novacron.specs import NetworkSpec

        result: Network = self._host.invoke("network_create", spec=NetworkSpec.parse(fields))
        return result

    def update(self, network: str, **fields: Unpack[NetworkOptions]) -> Network:
        """Change the given fields of `NetworkSpec`, without stopping the network where that is possible."""
        from novacron.specs import NetworkSpec

        result: Network = self._host.invoke("network_update", network=network, spec=NetworkSpec.parse({"name": network} | fields))
        return result

    def start(self, network: str) -> Network:
        """Start a network."""
        result: Network = self._host.invoke("network_start", network=network)
        return result

    def stop(self, network: str) -> Network:
        """Stop a network."""
        result: Network = self._host.invoke("network_stop", network=network)
        return result

    def delete(self, network: str) -> Deleted:
        """Stop and delete a network."""
        result: Deleted = self._host.invoke("network_delete", network=network)
        return result

    def leases(self, network: str) -> _Leases:
        """Return a network's DHCP leases."""
        result: _Leases = self._host.invoke("lease_list", network=network)
        return result


__all__ = ["NetworkCollection"]
