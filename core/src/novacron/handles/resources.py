"""A host's storage pools, networks and templates.

These records need no handle of their own: the collection acts on them by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from novacron.records.network import DHCPLease, Network
from novacron.records.storage import StoragePool, Volume
from novacron.records.templates import Template

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle

# The collections have a method named list, so that annotation needs another name below it.
_Volumes: TypeAlias = list[Volume]
_Leases: TypeAlias = list[DHCPLease]


class PoolCollection:
    """A host's storage pools and their volumes."""

    def __init__(self, host: HostHandle) -> None:
        self._host = host

    def list(self) -> list[StoragePool]:
        """Return all storage pools, sorted by name."""
        result: list[StoragePool] = self._host.invoke("pool_list")
        return result

    def __getitem__(self, pool: str) -> StoragePool:
        result: StoragePool = self._host.invoke("pool_get", pool=pool)
        return result

    def create(self, **fields: Any) -> StoragePool:
        """Create a storage pool from `StoragePoolSpec`'s fields."""
        from novacron.specs import StoragePoolSpec

        result: StoragePool = self._host.invoke("pool_create", spec=StoragePoolSpec.parse(fields))
        return result

    def delete(self, pool: str) -> Any:
        """Forget a storage pool; its content stays."""
        return self._host.invoke("pool_delete", pool=pool)

    def volumes(self, pool: str = "default") -> _Volumes:
        """Return a pool's volumes, sorted by name."""
        result: _Volumes = self._host.invoke("volume_list", pool=pool)
        return result

    def volume(self, volume: str, pool: str = "default") -> Volume:
        """Return one volume."""
        result: Volume = self._host.invoke("volume_get", pool=pool, volume=volume)
        return result

    def create_volume(self, pool: str = "default", **fields: Any) -> Volume:
        """Create a volume from `VolumeSpec`'s fields."""
        from novacron.specs import VolumeSpec

        result: Volume = self._host.invoke("volume_create", pool=pool, spec=VolumeSpec.parse(fields))
        return result

    def delete_volume(self, volume: str, pool: str = "default") -> Any:
        """Delete a volume."""
        return self._host.invoke("volume_delete", pool=pool, volume=volume)


class NetworkCollection:
    """A host's networks."""

    def __init__(self, host: HostHandle) -> None:
        self._host = host

    def list(self) -> list[Network]:
        """Return all networks, sorted by name."""
        result: list[Network] = self._host.invoke("network_list")
        return result

    def __getitem__(self, network: str) -> Network:
        result: Network = self._host.invoke("network_get", network=network)
        return result

    def create(self, **fields: Any) -> Network:
        """Create a network from `NetworkSpec`'s fields."""
        from novacron.specs import NetworkSpec

        result: Network = self._host.invoke("network_create", spec=NetworkSpec.parse(fields))
        return result

    def delete(self, network: str) -> Any:
        """Stop and forget a network."""
        return self._host.invoke("network_delete", network=network)

    def leases(self, network: str) -> _Leases:
        """Return a network's DHCP leases."""
        result: _Leases = self._host.invoke("lease_list", network=network)
        return result


class TemplateCollection:
    """A host's templates."""

    def __init__(self, host: HostHandle) -> None:
        self._host = host

    def list(self) -> list[Template]:
        """Return the latest version of each template, sorted by name."""
        result: list[Template] = self._host.invoke("template_list")
        return result

    def __getitem__(self, template: str) -> Template:
        result: Template = self._host.invoke("template_get", template=template, version=None)
        return result


__all__ = ["NetworkCollection", "PoolCollection", "TemplateCollection"]
