"""Records of what vSphere alone has."""

from __future__ import annotations

from typing import Any

import msgspec

from novacron.records.record import Record


class InventoryObject(Record, frozen=True):
    """A named object of the inventory."""

    name: str
    kind: str
    path: str
    id: str


class Folder(Record, frozen=True):
    """A folder of VMs, hosts, networks, datastores or datacenters."""

    name: str
    path: str
    holds: tuple[str, ...]
    children: int
    id: str


class ResourcePool(Record, frozen=True):
    """A resource pool or vApp. Limits and reservations are in MHz and bytes; a limit of None is none."""

    name: str
    path: str
    kind: str
    cpu_shares: int
    cpu_reservation_mhz: int
    cpu_limit_mhz: int | None
    memory_shares: int
    memory_reservation_bytes: int
    memory_limit_bytes: int | None
    cpu_level: str
    memory_level: str
    vms: int
    id: str


class Cluster(Record, frozen=True):
    """A cluster and its settings."""

    name: str
    path: str
    hosts: int
    drs: bool
    drs_mode: str
    ha: bool
    cpus: int
    memory_bytes: int
    admission_control: bool
    evc: str | None
    id: str


class ClusterRule(Record, frozen=True):
    """A rule of a cluster, which DRS keeps."""

    name: str
    kind: str
    enabled: bool
    mandatory: bool
    members: tuple[str, ...]
    hosts: str | None = None


class ClusterGroup(Record, frozen=True):
    """A group of VMs or of hosts of a cluster, which rules name."""

    name: str
    kind: str
    members: tuple[str, ...]


class NodeState(Record, frozen=True):
    """An ESXi as vSphere manages it."""

    name: str
    path: str
    connection: str
    maintenance: bool
    power: str
    version: str
    vms: int
    id: str


class NodeService(Record, frozen=True):
    """A service of an ESXi."""

    name: str
    label: str
    running: bool
    policy: str


class NodeTime(Record, frozen=True):
    """The time of an ESXi and its time servers."""

    name: str
    at: str
    zone: str
    servers: tuple[str, ...]


class DatastoreFile(Record, frozen=True):
    """A file or folder in a datastore."""

    name: str
    kind: str
    size_bytes: int
    modified_at: str | None
    path: str


class Switch(Record, frozen=True):
    """A standard switch of an ESXi, or a distributed switch."""

    name: str
    kind: str
    node: str | None
    ports: int
    mtu: int | None
    uplinks: tuple[str, ...]
    port_groups: tuple[str, ...]


class PortGroup(Record, frozen=True):
    """A port group of a standard or distributed switch; `vlan` is a number, or a trunk such as "0-4094"."""

    name: str
    kind: str
    switch: str
    node: str | None
    vlan: str
    promiscuous: bool | None
    forged_transmits: bool | None
    mac_changes: bool | None


class ServerTask(Record, frozen=True):
    """A task of the server."""

    id: str
    operation: str
    object: str | None
    state: str
    progress: int | None
    user: str | None
    started_at: str | None
    ended_at: str | None
    error: str | None


class ServerEvent(Record, frozen=True):
    """An event of the server's history."""

    at: str
    kind: str
    object: str | None
    user: str | None
    text: str
    key: int


class Alarm(Record, frozen=True):
    """An alarm that an object has raised, or the definition of one."""

    name: str
    status: str
    object: str | None
    acknowledged: bool
    by: str | None
    at: str | None
    description: str
    id: str


class ServerSession(Record, frozen=True):
    """A log-in at the server."""

    id: str
    user: str
    name: str
    began_at: str
    active_at: str
    address: str
    agent: str
    current: bool


class License(Record, frozen=True):
    """A licence. Only the last group of its key is shown."""

    name: str
    key: str
    edition: str
    total: int
    used: int


class Library(Record, frozen=True):
    """A content library."""

    name: str
    kind: str
    id: str
    datastore: str | None
    description: str


class LibraryItem(Record, frozen=True):
    """An item of a content library."""

    name: str
    kind: str
    size_bytes: int
    library: str
    id: str


class Customization(Record, frozen=True):
    """A customization specification for guests."""

    name: str
    kind: str
    description: str
    version: str
    changed_at: str | None


class VMDetails(Record, frozen=True):
    """What vSphere alone knows of a VM."""

    name: str
    hardware: str
    tools: str
    tools_status: str
    tools_version: str | None
    needs_consolidation: bool
    guest: str
    extra: dict[str, str] = msgspec.field(default_factory=dict)


class Setting(Record, frozen=True):
    """A setting: a name and its value."""

    name: str
    value: Any


class Role(Record, frozen=True):
    """A role: a set of privileges."""

    name: str
    id: int
    privileges: tuple[str, ...]


class Permission(Record, frozen=True):
    """A user's or group's role on an object."""

    principal: str
    group: bool
    role: str
    object: str
    propagate: bool
