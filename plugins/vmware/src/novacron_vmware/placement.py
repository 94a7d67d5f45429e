"""Where things go: the datacenter, folder, resource pool and node of a VM, the datastore of a disk, the port group of a NIC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from novacron.errors import (
    ImageNotFoundError,
    InvalidSpecError,
    InvalidStateError,
    NetworkNotFoundError,
    SpecProblem,
    StoragePoolNotFoundError,
)
from novacron_vmware.devices import split_path
from novacron_vmware.sdk import vim

if TYPE_CHECKING:
    from novacron_vmware.connection import VMwareConnection

DEFAULT = "default"
"""The pool's name that means: the datastore with the most free space."""


class Placement(NamedTuple):
    """Where a VM is to be; `node` is None where the cluster may choose, `able` is one that could run it."""

    folder: Any
    pool: Any
    node: Any
    able: Any
    datacenter: Any


PLACES = ("cluster", "resource_pool", "folder")
"""What `native` of a VM's spec may say of where it goes."""


def find_placement(
    connection: VMwareConnection, name: str, *, node: str | None = None, memory: int = 0, native: Mapping[str, Any] | None = None
) -> Placement:
    """Return the folder, resource pool and node for a VM.

    Args:
        connection: where.
        name: the VM's, for errors.
        node: the ESXi that it has to be on.
        memory: bytes that a node must have.
        native: `cluster` and `resource_pool` by name, `folder` by its path below the datacenter's VM folder, "prod/web".

    Raises:
        InvalidSpecError: no such place, or none has that much memory.
        InvalidStateError: there is no node at all that could run it.
    """
    wanted = {key: str(value) for key, value in (native or {}).items() if key in PLACES and value}
    paths = ["name", "parent", "summary.hardware.memorySize", "runtime.connectionState", "runtime.inMaintenanceMode"]
    found = {read["name"]: (thing, read) for thing, read in connection.collect(vim.HostSystem, paths)}
    if node and node not in found:
        raise _no_place(name, "node", node, found)
    if "cluster" in wanted:
        clusters = {read["name"]: thing for thing, read in connection.collect(vim.ComputeResource, ["name"])}
        if wanted["cluster"] not in clusters:
            raise _no_place(name, "native.cluster", wanted["cluster"], clusters)
        found = {n: each for n, each in found.items() if each[1]["parent"] == clusters[wanted["cluster"]]}
    pool = None
    if "resource_pool" in wanted:
        pools = {read["name"]: (thing, read["owner"]) for thing, read in connection.collect(vim.ResourcePool, ["name", "owner"])}
        if wanted["resource_pool"] not in pools:
            raise _no_place(name, "native.resource_pool", wanted["resource_pool"], pools)
        pool, owner = pools[wanted["resource_pool"]]
        found = {n: each for n, each in found.items() if each[1]["parent"] == owner}
    able = {
        n: each
        for n, each in found.items()
        if each[1].get("runtime.connectionState") == "connected" and not each[1].get("runtime.inMaintenanceMode")
    }
    if not able or (node and node not in able):
        raise InvalidStateError(
            f"{node or connection.name} has no node that could run it there",
            resource=name,
            hint="a node has to be connected, not in maintenance mode, and in the cluster that is asked for",
        )
    largest = max(int(read.get("summary.hardware.memorySize", 0)) for _, read in able.values())
    if memory > largest:
        problem = SpecProblem("memory", str(memory), f"at most what a node has, {largest} bytes")
        raise InvalidSpecError("no node can run that VM", resource=name, problems=[problem])
    thing, read = able[node or min(able)]
    datacenter = connection.datacenter_thing(read["parent"])
    pool = pool or connection.read(read["parent"], ["resourcePool"])["resourcePool"]
    folder = _folder(connection, name, connection.read(datacenter, ["vmFolder"])["vmFolder"], wanted.get("folder", ""))
    return Placement(folder, pool, thing if node or "cluster" in wanted else None, thing, datacenter)


def _folder(connection: VMwareConnection, name: str, folder: Any, path: str) -> Any:
    """Return the folder at a path below a VM folder."""
    for part in filter(None, path.split("/")):
        children = connection.read(folder, ["childEntity"]).get("childEntity") or ()
        inner = [child for child in children if isinstance(child, vim.Folder)]
        known = {read["name"]: thing for thing, read in connection.read_all(inner, vim.Folder, ["name"])}
        if part not in known:
            raise _no_place(name, "native.folder", path, known)
        folder = known[part]
    return folder


def _no_place(name: str, field: str, given: str, known: Iterable[str]) -> InvalidSpecError:
    allowed = "one of " + (", ".join(sorted(known)) or "none")
    return InvalidSpecError(f"no such {field.rpartition('.')[2]}", resource=name, problems=[SpecProblem(field, given, allowed)])


def datastores(connection: VMwareConnection, wanted: Iterable[str] = (DEFAULT,)) -> dict[str, str]:
    """Return the datastore's name for each pool that is wanted. Raises StoragePoolNotFoundError."""
    return {pool: name for pool, (name, _) in stores(connection, wanted).items()}


def find_store(connection: VMwareConnection, pool: str) -> tuple[str, Any]:
    """Return the name and the datastore of a pool. Raises StoragePoolNotFoundError."""
    return stores(connection, [pool])[pool]


def stores(connection: VMwareConnection, wanted: Iterable[str]) -> dict[str, tuple[str, Any]]:
    """Return name and datastore for each pool that is wanted, from one look at all. Raises StoragePoolNotFoundError."""
    wanted = list(wanted)
    found = {
        read["name"]: (thing, read.get("summary.freeSpace", 0))
        for thing, read in connection.collect(vim.Datastore, ["name", "summary.freeSpace", "summary.accessible"])
        if read.get("summary.accessible", True)
    }
    free = {name: space for name, (_, space) in found.items()}
    missing = sorted(set(wanted) - {DEFAULT} - set(free))
    if missing or not free:
        raise StoragePoolNotFoundError(
            f"no datastore {', '.join(missing)}", hint=f"there are: {', '.join(sorted(free)) or 'none'}"
        )
    roomiest = max(free, key=lambda name: (free[name], name))
    names = {pool: roomiest if pool == DEFAULT and DEFAULT not in free else pool for pool in wanted}
    return {pool: (name, found[name][0]) for pool, name in names.items()}


def image_path(connection: VMwareConnection, source: str, pool: str) -> str:
    """Return the datastore path of an image or volume: "image:NAME" (in the pool), "POOL/PATH", or a datastore path itself.

    Raises:
        ImageNotFoundError: it is none of these.
        StoragePoolNotFoundError
    """
    if split_path(source):
        return source
    if source.startswith("image:"):
        store, name = datastores(connection, [pool])[pool], source.removeprefix("image:")
    else:
        store, _, name = source.partition("/")
        if not name or not store:
            raise ImageNotFoundError(
                f"no image {source!r}", resource=source, hint='write "image:NAME", "DATASTORE/PATH" or "[DATASTORE] PATH"'
            )
        store = datastores(connection, [store])[store]
    return f"[{store}] {name}"


def backing(connection: VMwareConnection, network: str) -> Any:
    """Return how a NIC is plugged into a network: a port group of one switch, or of a distributed one. Raises NetworkNotFoundError."""
    known = {r["name"]: t for t, r in connection.collect(vim.Network, ["name"])}
    if network not in known:
        raise NetworkNotFoundError(
            f"no network {network!r}", resource=network, hint=f"there are: {', '.join(sorted(known)) or 'none'}"
        )
    thing = known[network]
    if isinstance(thing, vim.OpaqueNetwork):
        about = connection.read(thing, ["summary"])["summary"]
        return vim.vm.device.VirtualEthernetCard.OpaqueNetworkBackingInfo(
            opaqueNetworkId=about.opaqueNetworkId, opaqueNetworkType=about.opaqueNetworkType
        )
    if not isinstance(thing, vim.dvs.DistributedVirtualPortgroup):
        return vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName=network)
    group = connection.read(thing, ["key", "config.distributedVirtualSwitch"])
    switch = connection.read(group["config.distributedVirtualSwitch"], ["uuid"])["uuid"]
    port = vim.dvs.PortConnection(portgroupKey=group["key"], switchUuid=switch)
    return vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(port=port)


__all__ = ["DEFAULT", "Placement", "backing", "datastores", "find_store", "image_path", "find_placement"]
