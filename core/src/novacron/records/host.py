"""Hosts, their physical machines and their capabilities."""

from __future__ import annotations

from typing import Any

import msgspec

from novacron.records.record import Record


class Host(Record, frozen=True):
    """A host as users address it: a libvirt host, or a vCenter.

    Attributes:
        name: Name of the host in the fleet, or that of its URI.
        uri: URI of the connection, without secrets.
        driver: Name of the driver, such as "kvm".
        hypervisor: Name of the hypervisor, such as "QEMU".
        version: Version of the hypervisor.
        hostname: Host name as the machine itself reports it.
        arch: CPU architecture, such as "x86_64"; None if unknown.
        cpus: Number of CPU threads; None if unknown.
        memory_bytes: Memory in bytes; None if unknown.
        native: Further values in the hypervisor's own words.
    """

    name: str
    uri: str
    driver: str
    hypervisor: str
    version: str
    hostname: str
    arch: str | None = None
    cpus: int | None = None
    memory_bytes: int | None = None
    native: dict[str, Any] = msgspec.field(default_factory=dict)


class HostStats(Record, frozen=True):
    """The resources of a host and their current use.

    Attributes:
        host: Name of the host.
        cpus: Number of CPU threads.
        memory_bytes: Memory in bytes.
        memory_free_bytes: Free memory in bytes; None if unknown.
        vms_total: Number of VMs.
        vms_running: Number of running VMs.
        cpu_percent: CPU use in percent of all CPUs; None if unknown.
    """

    host: str
    cpus: int
    memory_bytes: int
    memory_free_bytes: int | None = None
    vms_total: int = 0
    vms_running: int = 0
    cpu_percent: float | None = None


class Capabilities(Record, frozen=True):
    """The capabilities of a host: operations of its driver, and limits that the driver declares.

    Attributes:
        host: Name of the host.
        driver: Name of the driver.
        operations: Names of the operations that the driver supports.
        virt_types: Ways to run a VM that the host offers, such as "kvm" and "qemu".
        virt_type: The one that new VMs get; None if there is no choice.
        virt_type_reason: Why it was chosen.
        architectures: CPU architectures of VMs that the host can run.
        machines: Machine types by architecture.
        firmwares: Firmwares that VMs can have, such as "bios" and "uefi".
        cpu_model: CPU model of the host; None if unknown.
        limits: Operations that are limited, with the reason: "snapshot_revert" to "libvirt < 10.9 can't revert external ones".
        native: Further values in the hypervisor's own words.
    """

    host: str
    driver: str
    operations: tuple[str, ...]
    virt_types: tuple[str, ...] = ()
    virt_type: str | None = None
    virt_type_reason: str = ""
    architectures: tuple[str, ...] = ()
    machines: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    firmwares: tuple[str, ...] = ()
    cpu_model: str | None = None
    limits: dict[str, str] = msgspec.field(default_factory=dict)
    native: dict[str, Any] = msgspec.field(default_factory=dict)


class Ping(Record, frozen=True):
    """The answer of a reachable host.

    Attributes:
        host: Name of the host.
        latency_seconds: Time until the answer came, in seconds.
        version: Version of the hypervisor.
    """

    host: str
    latency_seconds: float
    version: str


class Node(Record, frozen=True):
    """A physical machine of a host. A libvirt host has one: itself.

    Attributes:
        name: Name of the node.
        host: Name of the host.
        cpus: Number of CPU threads.
        memory_bytes: Memory in bytes.
        id: UUID of the machine, which all its names share; None if unknown.
        status: Status of the node, such as "up" or "maintenance".
        balanced_by: What moves VMs between this node and others by itself, such as vSphere's DRS; None if nothing does.
        restarted_by: What restarts the VMs of this node elsewhere if it fails, such as vSphere's HA; None if nothing does.
        native: Further values in the hypervisor's own words.
    """

    name: str
    host: str
    cpus: int
    memory_bytes: int
    id: str | None = None
    status: str = "up"
    balanced_by: str | None = None
    restarted_by: str | None = None
    native: dict[str, Any] = msgspec.field(default_factory=dict)


class CPUBaseline(Record, frozen=True):
    """The best CPU that a VM can have on several nodes.

    Attributes:
        model: Name of the CPU model; give it to VMs as `cpu_model`.
        features: Features besides those of the model, such as "avx2", and such as "-svm" for one that is missing; `cpu_features` of a VM.
        vendor: Vendor of the CPU; None if unknown.
        nodes: Names of the nodes.
        description: The CPU in the form of the driver: XML of libvirt, or the key of an EVC mode.
    """

    model: str
    features: tuple[str, ...] = ()
    vendor: str | None = None
    nodes: tuple[str, ...] = ()
    description: str = ""


class Expiration(Record, frozen=True):
    """Something of a host that expires at a known time.

    Attributes:
        kind: What it is, such as "license".
        name: Name of it.
        host: Name of the host.
        expires_at: When it expires, as UTC in ISO 8601.
    """

    kind: str
    name: str
    host: str
    expires_at: str


__all__ = ["CPUBaseline", "Capabilities", "Expiration", "Host", "HostStats", "Node", "Ping"]
