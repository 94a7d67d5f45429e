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
    """An ESXi as vSphere manages it; `evc` is the highest EVC mode that its CPU supports."""

    name: str
    path: str
    connection: str
    maintenance: bool
    power: str
    version: str
    vms: int
    evc: str | None
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


class Teaming(Record, frozen=True):
    """Which uplinks carry the traffic of a port group. What is None follows the switch."""

    name: str
    kind: str
    active: tuple[str, ...]
    standby: tuple[str, ...]
    balance: str | None
    failback: bool | None
    notify: bool | None


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
    enabled: bool = True


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


class LinkedVCenter(Record, frozen=True):
    """A vCenter of the same single sign-on domain."""

    name: str
    address: str
    uri: str
    current: bool
    id: str


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


class LibraryVersion(Record, frozen=True):
    """A version of a VM template in a content library."""

    item: str
    library: str
    version: str


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
    connection: str
    file: str
    encrypted: bool
    fault_tolerance: str
    latency_sensitivity: str
    cpu_hot_add: bool
    memory_hot_add: bool
    secure_boot: bool
    boot_delay_ms: int
    enter_setup: bool
    cores_per_numa_node: int | None
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


class Recommendation(Record, frozen=True):
    """A migration that DRS recommends.

    Attributes:
        key: Key of the recommendation, by which it is applied.
        vm: Id of the VM; None if DRS recommends something else than a migration.
        name: Name of the VM; None if there is none.
        source: Name of the node that the VM leaves.
        destination: Name of the node that it moves to.
        rating: Its priority; 5 is the highest.
        reason: Why DRS recommends it.
        cluster: Name of the cluster.
    """

    key: str
    vm: str | None
    name: str | None
    source: str | None
    destination: str | None
    rating: int
    reason: str
    cluster: str


class VApp(Record, frozen=True):
    """A vApp and the power of its VMs: `state` is started, stopped, starting or stopping."""

    name: str
    path: str
    state: str
    vms: tuple[str, ...]
    running: int
    id: str


class StoragePolicy(Record, frozen=True):
    """A storage policy."""

    name: str
    id: str
    description: str
    default: bool


class PolicyState(Record, frozen=True):
    """The storage policy of a VM's home (`disk` is None) or of one of its disks, and whether it is kept. `vm` is the id of the VM."""

    vm: str
    disk: str | None
    policy: str | None
    compliance: str
    checked_at: str | None


class DatastoreState(Record, frozen=True):
    """A datastore as vSphere manages it; `maintenance` is normal, enteringMaintenance or inMaintenance."""

    name: str
    path: str
    kind: str
    capacity_bytes: int
    free_bytes: int
    accessible: bool
    maintenance: str
    nodes: int
    vms: int
    id: str


class DatastoreCluster(Record, frozen=True):
    """A datastore cluster; `drs` is storage DRS."""

    name: str
    path: str
    datastores: tuple[str, ...]
    capacity_bytes: int
    free_bytes: int
    drs: bool
    id: str


class VMDevice(Record, frozen=True):
    """A virtual device. Disks have a `mode` and their `sharing`; `lun` is that of a raw device mapping (RDM)."""

    key: int
    label: str
    kind: str
    summary: str
    controller: str | None
    connected: bool | None
    file: str | None
    provisioning: str | None
    mode: str | None
    sharing: str | None
    lun: str | None


class UnregisteredVM(Record, frozen=True):
    """The .vmx file of a VM that is not in the inventory."""

    name: str
    path: str
    datastore: str
    modified_at: str | None


class MetricCounter(Record, frozen=True):
    """A counter that an object has; `instances` are the devices that it counts for each alone."""

    name: str
    unit: str
    description: str
    level: int
    instances: tuple[str, ...]
    key: int


class MetricInterval(Record, frozen=True):
    """A historical interval: a sample each `seconds`, kept for `kept_seconds`."""

    name: str
    seconds: int
    kept_seconds: int
    level: int
    enabled: bool


class MetricSample(Record, frozen=True):
    """A sample of a counter; `instance` is empty for the whole object."""

    at: str
    name: str
    instance: str
    value: float
    unit: str


class LogFile(Record, frozen=True):
    """A log of the server or of a node."""

    key: str
    file: str
    label: str
    node: str | None


class LogBundle(Record, frozen=True):
    """A support bundle that was written to a local file."""

    file: str
    size_bytes: int
    node: str | None


class CertificateInfo(Record, frozen=True):
    """The TLS certificate of the server or of a node."""

    of: str
    subject: str
    issuer: str
    begins_at: str
    ends_at: str
    sha256: str
    status: str


class EVCCheck(Record, frozen=True):
    """Whether a node can be in a cluster of an EVC mode; `most` is the highest mode that its CPU supports."""

    node: str
    mode: str
    most: str | None
    fits: bool | None
