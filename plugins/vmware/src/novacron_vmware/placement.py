"""Where things go: the datacenter, folder, resource pool and node of a VM, the datastore of a disk, the port group of a NIC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from novacron.errors import (
    ImageNotFoundError,
    InvalidSpecError,
    InvalidStateError,
    NetworkNotFoundError,
    NotFoundError,
    SpecProblem,
    StoragePoolNotFoundError,
)
from novacron.specs.sources import refuse_url
from novacron_vmware.devices import split_path
from novacron_vmware.finder import ambiguous
from novacron_vmware.names import canonical_path, plain_name
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
NODE = ["name", "parent", "summary.hardware.memorySize", "runtime.connectionState", "runtime.inMaintenanceMode"]
Nodes = list[tuple[Any, dict[str, Any]]]


def find_placement(
    connection: VMwareConnection,
    name: str,
    *,
    node: str | None = None,
    memory: int = 0,
    native: Mapping[str, Any] | None = None,
    pools: Iterable[str] = (),
    networks: Iterable[str] = (),
) -> Placement:
    """Return the folder, resource pool and node for a VM.

    Args:
        connection: where.
        name: the VM's, for errors.
        node: the ESXi that it has to be on.
        memory: bytes that a node must have.
        native: `cluster` and `resource_pool` by name, path or id; `folder` by its path below the datacenter's VM folder, "prod/web",
            by its inventory path, "/DC0/vm/prod/web", or by id.
        pools: the datastores of its disks; the VM goes to the datacenter that has them.
        networks: the networks of its NICs; likewise.

    Raises:
        InvalidSpecError: no such place, several of that name, or no node has that much memory.
        InvalidStateError: no node could run it there.
        StoragePoolNotFoundError, NetworkNotFoundError
    """
    wanted = {key: str(value) for key, value in (native or {}).items() if key in PLACES and value}
    nodes: Nodes = connection.collect(vim.HostSystem, NODE)
    if node:
        chosen = _place(connection, vim.HostSystem, name, "node", node, nodes)
        nodes = [each for each in nodes if each[0] == chosen]
    if "cluster" in wanted:
        cluster = _place(connection, vim.ComputeResource, name, "native.cluster", wanted["cluster"])
        nodes = [each for each in nodes if each[1]["parent"] == cluster]
    pool = None
    if "resource_pool" in wanted:
        pool = _place(connection, vim.ResourcePool, name, "native.resource_pool", wanted["resource_pool"])
        owner = connection.read(pool, ["owner"])["owner"]
        nodes = [each for each in nodes if each[1]["parent"] == owner]
    folder = _folder(connection, name, wanted["folder"], nodes) if "folder" in wanted else None
    nodes = _in_datacenters(connection, nodes, folder, pools, networks)
    able = {
        read["name"]: (thing, read)
        for thing, read in nodes
        if read.get("runtime.connectionState") == "connected" and not read.get("runtime.inMaintenanceMode")
    }
    if not able:
        raise InvalidStateError(
            f"{node or connection.name} has no node that could run it there",
            resource=name,
            hint="a node has to be connected, not in maintenance mode, and in the cluster and datacenter that are asked for",
        )
    largest = max(int(read.get("summary.hardware.memorySize", 0)) for _, read in able.values())
    if memory > largest:
        problem = SpecProblem("memory", str(memory), f"at most what a node has, {largest} bytes")
        raise InvalidSpecError("no node can run that VM", resource=name, problems=[problem])
    thing, read = able[min(able)]
    known = connection.finder.ancestors([read["parent"]], {vim.ComputeResource: ["resourcePool"], vim.Datacenter: ["vmFolder"]})
    datacenter = connection.finder.datacenter_in(known, read["parent"])
    pool = pool or known[read["parent"]]["resourcePool"]
    folder = folder or known[datacenter]["vmFolder"]
    return Placement(folder, pool, thing if node or "cluster" in wanted else None, thing, datacenter)


def _place(connection: VMwareConnection, kind: Any, name: str, field: str, given: str, among: Nodes | None = None) -> Any:
    """Find an object that a spec's field names; an error names the field."""
    noun = field.rpartition(".")[2].replace("_", " ")
    try:
        return connection.finder.find(kind, given, noun=noun, error=NotFoundError, among=among)
    except NotFoundError as error:
        raise _no_place(name, field, given, (error.hint or "").removeprefix("there are: ")) from None


def _no_place(name: str, field: str, given: str, known: str) -> InvalidSpecError:
    noun = field.rpartition(".")[2].replace("_", " ")
    return InvalidSpecError(f"no such {noun}", resource=name, problems=[SpecProblem(field, given, f"one of {known}")])


def find_folder(connection: VMwareConnection, text: str) -> list[Any]:
    """Return the VM folders that a text names: a path below a datacenter's VM folder, an inventory path, a name or an id."""
    read = connection.collect(vim.Folder, ["name", "childType"])
    folders = [(thing, each) for thing, each in read if "VirtualMachine" in (each.get("childType") or ())]
    if "/" in text.strip("/") and not text.startswith("/"):
        end = canonical_path(text)
        last = plain_name(end.rpartition("/")[2])
        paths = connection.finder.paths([thing for thing, each in folders if plain_name(each["name"]) == last])
        return [thing for thing, path in paths.items() if path.partition("/vm/")[2] == end.lstrip("/")]
    tops = [(thing, each) for thing, each in folders if each["name"] != "vm"] if not text.startswith("/") else folders
    return connection.finder.named(tops, text)


def _folder(connection: VMwareConnection, name: str, text: str, nodes: Nodes) -> Any:
    """Return the VM folder that a spec names, in a datacenter of these nodes."""
    folders = find_folder(connection, text)
    if len(folders) > 1:
        homes = set(connection.finder.datacenters([thing for thing, _ in nodes]).values())
        folders = [folder for folder, home in connection.finder.datacenters(folders).items() if home in homes]
    if len(folders) > 1:
        raise ambiguous("folder", text, connection.finder.paths(folders).values())
    if not folders:
        known = {plain_name(read["name"]) for _, read in connection.collect(vim.Folder, ["name"])} - {
            "vm",
            "host",
            "network",
            "datastore",
        }
        raise _no_place(name, "native.folder", text, ", ".join(sorted(known)) or "none")
    return folders[0]


def _in_datacenters(
    connection: VMwareConnection, nodes: Nodes, folder: Any, pools: Iterable[str], networks: Iterable[str]
) -> Nodes:
    """Return the nodes in the datacenters that have everything the VM needs; where several have it, the names are ambiguous."""
    if isinstance(connection.root, vim.Datacenter) or connection.is_esxi:
        return nodes
    homes = connection.finder.datacenters([thing for thing, _ in nodes])
    possible = set(homes.values())
    if folder is not None:
        possible &= {connection.datacenter_thing(folder)}
    needed: list[tuple[Any, str, type[NotFoundError], str]] = [
        (vim.Datastore, "datastore", StoragePoolNotFoundError, pool) for pool in set(pools) if pool != DEFAULT
    ]
    needed += [(vim.Network, "network", NetworkNotFoundError, network) for network in set(networks)]
    for kind, noun, error, text in needed:
        things = connection.collect(kind, ["name"])
        named = connection.finder.named(things, text)
        if not named and kind is vim.Network:
            find_network(connection, text)
        elif not named:
            connection.finder.find(kind, text, noun=noun, error=error, among=things)
        where = connection.finder.datacenters(named)
        here = [thing for thing in named if where[thing] in possible]
        if len({where[thing] for thing in here}) > 1:
            raise ambiguous(noun, text, connection.finder.paths(here).values())
        possible &= {where[thing] for thing in here}
    return [(thing, read) for thing, read in nodes if homes[thing] in possible]


def datastores(connection: VMwareConnection, wanted: Iterable[str] = (DEFAULT,), datacenter: Any = None) -> dict[str, str]:
    """Return the datastore's name for each pool that is wanted; see `stores`."""
    return {pool: name for pool, (name, _) in stores(connection, wanted, datacenter).items()}


def find_store(connection: VMwareConnection, pool: str, datacenter: Any = None) -> tuple[str, Any]:
    """Return the name and the datastore of a pool; see `stores`."""
    return stores(connection, [pool], datacenter)[pool]


def stores(connection: VMwareConnection, wanted: Iterable[str], datacenter: Any = None) -> dict[str, tuple[str, Any]]:
    """Return name and datastore for each pool that is wanted, from one look at all.

    Args:
        connection: where.
        wanted: names, inventory paths or ids; "default" is the one with the most free space.
        datacenter: look in this datacenter only.

    Raises:
        StoragePoolNotFoundError
        InvalidSpecError: several datastores have that name.
    """
    read = connection.collect(vim.Datastore, ["name", "summary.freeSpace", "summary.accessible"], datacenter)
    usable = [(thing, each) for thing, each in read if each.get("summary.accessible", True) and "name" in each]
    names = {thing: str(each["name"]) for thing, each in usable}
    free = {thing: (int(each.get("summary.freeSpace", 0)), each["name"]) for thing, each in usable}
    found: dict[str, tuple[str, Any]] = {}
    for pool in wanted:
        if pool == DEFAULT and usable and not connection.finder.named(usable, pool):
            thing = max(free, key=lambda each: free[each])
        else:
            thing = connection.finder.find(vim.Datastore, pool, noun="datastore", error=StoragePoolNotFoundError, among=usable)
        found[pool] = names[thing], thing
    return found


def pool_of_vm(connection: VMwareConnection, thing: Any, pool: str, datacenter: Any = None) -> str:
    """Return the pool that is meant for a disk or medium of a VM: "default" is the datastore of the VM's own files.

    A datastore that is itself named "default" is that one.

    Raises:
        StoragePoolNotFoundError: the datastore of the VM's own files can't be reached.
    """
    if pool != DEFAULT:
        return pool
    read = connection.collect(vim.Datastore, ["name", "summary.accessible"], datacenter)
    if connection.finder.named(read, pool):
        return pool
    path = connection.read(thing, ["config.files.vmPathName"]).get("config.files.vmPathName") or ""
    home = path.partition("]")[0].lstrip("[")
    for store, each in read:
        if plain_name(each.get("name", "")) == plain_name(home) and each.get("summary.accessible", True):
            return f"Datastore:{store._moId}"
    raise StoragePoolNotFoundError(
        f"the datastore {home!r}, where the VM's own files are, can't be reached", resource=home, hint="name another pool"
    )


def image_path(connection: VMwareConnection, source: str, pool: str, datacenter: Any = None) -> str:
    """Return the datastore path of an image or volume: "image:NAME" (in the pool), "POOL/PATH", or a datastore path itself.

    Raises:
        ImageNotFoundError: it is none of these.
        StoragePoolNotFoundError
        InvalidSpecError: it is a URL.
    """
    if split_path(source):
        return source
    refuse_url(source, pool)
    if source.startswith("image:"):
        store, name = datastores(connection, [pool], datacenter)[pool], source.removeprefix("image:")
    else:
        store, _, name = source.partition("/")
        if not name or not store:
            raise ImageNotFoundError(
                f"no image {source!r}",
                resource=source,
                hint='name a file as "image:NAME", "DATASTORE/PATH" or "[DATASTORE] PATH"; `novacron pool list` lists the datastores',
            )
        store = datastores(connection, [store], datacenter)[store]
    return f"[{store}] {name}"


def find_network(connection: VMwareConnection, network: str, datacenter: Any = None) -> Any:
    """Return a network by name, inventory path or id. Raises NetworkNotFoundError, InvalidSpecError for an ambiguous name."""
    things = connection.collect(vim.Network, ["name"], datacenter)
    try:
        return connection.finder.find(vim.Network, network, noun="network", error=NetworkNotFoundError, among=things)
    except NetworkNotFoundError:  # the names of uplinks are no help: no NIC may be there
        hidden = uplinks(connection)
        there = [each for each in things if each[0] not in hidden]
        return connection.finder.find(vim.Network, network, noun="network", error=NetworkNotFoundError, among=there)


def uplinks(connection: VMwareConnection) -> set[Any]:
    """Return the port groups that are distributed switches' uplinks: no NIC may be there."""
    switches = connection.collect(vim.DistributedVirtualSwitch, ["config.uplinkPortgroup"])
    return {group for _, read in switches for group in read.get("config.uplinkPortgroup") or ()}


def backing(connection: VMwareConnection, network: str, datacenter: Any = None) -> Any:
    """Return how a NIC is plugged into a network: a port group of a standard or a distributed switch.

    Args:
        connection: where.
        network: its name, inventory path or id.
        datacenter: the VM's; only its networks can be used.

    Raises:
        NetworkNotFoundError
        InvalidSpecError: several networks have that name.
    """
    return backing_of(connection, find_network(connection, network, datacenter))


def backing_of(connection: VMwareConnection, thing: Any) -> Any:
    """Return how a NIC is plugged into one of vSphere's networks."""
    if isinstance(thing, vim.OpaqueNetwork):
        about = connection.read(thing, ["summary"])["summary"]
        return vim.vm.device.VirtualEthernetCard.OpaqueNetworkBackingInfo(
            opaqueNetworkId=about.opaqueNetworkId, opaqueNetworkType=about.opaqueNetworkType
        )
    if not isinstance(thing, vim.dvs.DistributedVirtualPortgroup):
        return vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(
            deviceName=plain_name(connection.read(thing, ["name"])["name"])
        )
    group = connection.read(thing, ["key", "config.distributedVirtualSwitch"])
    switch = connection.read(group["config.distributedVirtualSwitch"], ["uuid"])["uuid"]
    port = vim.dvs.PortConnection(portgroupKey=group["key"], switchUuid=switch)
    return vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(port=port)


__all__ = [
    "DEFAULT",
    "Placement",
    "backing",
    "backing_of",
    "datastores",
    "find_folder",
    "find_network",
    "find_placement",
    "find_store",
    "image_path",
    "pool_of_vm",
    "stores",
    "uplinks",
]
