"""A host's storage pools, networks and templates.

These records need no handle of their own: the collection acts on them by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from novacron.errors import NovaCronError, VolumeNotFoundError
from novacron.handles.files import new_file
from novacron.handles.following import finish
from novacron.records.network import DHCPLease, Network, TrafficFilter
from novacron.records.storage import StoragePool, Volume
from novacron.records.templates import Template
from novacron.units import parse_size

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle

# The collections have a method named list, so that annotation needs another name below it.
_Volumes: TypeAlias = list[Volume]
_Leases: TypeAlias = list[DHCPLease]
_Templates: TypeAlias = list[Template]


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

    def start(self, pool: str) -> StoragePool:
        """Let a storage pool's volumes be used; one that is active stays so."""
        result: StoragePool = self._host.invoke("pool_start", pool=pool)
        return result

    def stop(self, pool: str) -> StoragePool:
        """Make a storage pool's volumes unavailable; its content stays."""
        result: StoragePool = self._host.invoke("pool_stop", pool=pool)
        return result

    def refresh(self, pool: str) -> StoragePool:
        """Look again at what a storage pool has: other hosts and tools may have changed it."""
        result: StoragePool = self._host.invoke("pool_refresh", pool=pool)
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

    def resize_volume(self, volume: str, size: int | str, pool: str = "default", *, shrink: bool = False) -> Volume:
        """Set a volume's capacity; less than now only with `shrink`, which loses what is beyond."""
        result: Volume = self._host.invoke("volume_resize", pool=pool, volume=volume, size=parse_size(size), shrink=shrink)
        return result

    def clone_volume(self, volume: str, name: str, pool: str = "default", *, wait: bool = True) -> Any:
        """Copy a volume under another name."""
        return finish(self._host, "volume_clone", lambda r: r, wait=wait, pool=pool, volume=volume, name=name)

    def convert_volume(self, volume: str, name: str, format: str, pool: str = "default", *, wait: bool = True) -> Any:
        """Copy a volume into another format."""
        return finish(self._host, "volume_convert", lambda r: r, wait=wait, pool=pool, volume=volume, name=name, format=format)

    def wipe_volume(self, volume: str, pool: str = "default", *, wait: bool = True) -> Any:
        """Overwrite a volume's content."""
        return finish(self._host, "volume_wipe", lambda r: r, wait=wait, pool=pool, volume=volume)

    def upload(self, file: str | Path, volume: str, pool: str = "default") -> Any:
        """Write a file of this machine into a volume, which is made when it is not there; holes stay holes."""
        from novacron.specs import VolumeSpec

        path, made = Path(file), False
        with path.open("rb") as source:
            try:
                self.volume(volume, pool)
            except VolumeNotFoundError:
                spec = VolumeSpec(name=volume, capacity=max(1, path.stat().st_size), format="raw")
                self._host.invoke("volume_create", pool=pool, spec=spec)
                made = True
            try:
                return self._host.invoke("volume_upload", pool=pool, volume=volume, source=source)
            except NovaCronError:
                if made:
                    self._host.invoke("volume_delete", pool=pool, volume=volume)
                raise

    def download(self, volume: str, file: str | Path, pool: str = "default") -> Volume:
        """Write a volume's content into a file of this machine, which must not be there; holes stay holes."""
        with new_file(file) as target:
            result: Volume = self._host.invoke("volume_download", pool=pool, volume=volume, target=target)
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

    def update(self, network: str, **fields: Any) -> Network:
        """Change what is given of `NetworkSpec`'s fields, without stopping the network where that can be."""
        from novacron.specs import NetworkSpec

        result: Network = self._host.invoke("network_update", network=network, spec=NetworkSpec.parse({"name": network} | fields))
        return result

    def start(self, network: str) -> Network:
        """Make a network usable."""
        result: Network = self._host.invoke("network_start", network=network)
        return result

    def stop(self, network: str) -> Network:
        """Take a network out of use."""
        result: Network = self._host.invoke("network_stop", network=network)
        return result

    def delete(self, network: str) -> Any:
        """Stop and forget a network."""
        return self._host.invoke("network_delete", network=network)

    def leases(self, network: str) -> _Leases:
        """Return a network's DHCP leases."""
        result: _Leases = self._host.invoke("lease_list", network=network)
        return result


class FilterCollection:
    """A host's traffic filters.

    Example:
        >>> import novacron
        >>> filters = novacron.connect("sim://filters").filters
        >>> filters.create("no-ping", rules=[{"action": "deny", "direction": "in", "protocol": "icmp"}]).rules[0]["protocol"]
        'icmp'
    """

    def __init__(self, host: HostHandle) -> None:
        self._host = host

    def list(self) -> list[TrafficFilter]:
        """Return all traffic filters, sorted by name."""
        result: list[TrafficFilter] = self._host.invoke("filter_list")
        return result

    def __getitem__(self, name: str) -> TrafficFilter:
        result: TrafficFilter = self._host.invoke("filter_get", filter=name)
        return result

    def create(self, name: str, **fields: Any) -> TrafficFilter:
        """Define a traffic filter from `TrafficFilterSpec`'s fields."""
        return self._put("filter_create", name, fields)

    def update(self, name: str, **fields: Any) -> TrafficFilter:
        """Put other rules in place of a filter's, also for running VMs."""
        return self._put("filter_update", name, fields, filter=name)

    def delete(self, name: str) -> Any:
        """Delete a traffic filter that no NIC has."""
        return self._host.invoke("filter_delete", filter=name)

    def _put(self, operation: str, name: str, fields: dict[str, Any], **arguments: Any) -> TrafficFilter:
        from novacron.specs import TrafficFilterSpec

        result: TrafficFilter = self._host.invoke(operation, spec=TrafficFilterSpec.parse({"name": name} | fields), **arguments)
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

    def versions(self, template: str) -> _Templates:
        """Return a template's versions, oldest first."""
        result: _Templates = self._host.invoke("template_versions", template=template)
        return result

    def create(self, vm: VMHandle | str, name: str, *, wait: bool = True, **fields: Any) -> Any:
        """Make a template, or its next version, from a stopped VM; `fields` of `TemplateSpec`."""
        from novacron.specs import TemplateSpec

        spec = TemplateSpec.parse({"name": name} | fields)
        return finish(self._host, "template_create", lambda r: r, wait=wait, vm=getattr(vm, "id", vm), spec=spec)

    def update(self, template: str, *, description: str | None = None, tags: Iterable[str] | None = None) -> Template:
        """Change what is given of a template's latest version."""
        wanted = None if tags is None else frozenset(tags)
        result: Template = self._host.invoke("template_update", template=template, description=description, tags=wanted)
        return result

    def delete(self, template: str, version: int | None = None) -> Any:
        """Delete a version, or all of them."""
        return self._host.invoke("template_delete", template=template, version=version)

    def deploy(
        self, template: str, name: str, *, version: int | None = None, linked: bool = True, wait: bool = True, **fields: Any
    ) -> Any:
        """Make a VM from a template; `fields` of `VMSpec` take the place of what the template says. Returns the VM's handle."""
        from novacron.handles.vm import VMHandle
        from novacron.specs import VMSpec

        spec = VMSpec.parse({"name": name} | fields)
        wrap = lambda record: VMHandle(self._host, record)  # noqa: E731
        return finish(
            self._host, "template_deploy", wrap, wait=wait, template=template, spec=spec, version=version, linked=linked
        )


__all__ = ["FilterCollection", "NetworkCollection", "PoolCollection", "TemplateCollection"]
