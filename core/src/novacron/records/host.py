"""Hosts, their physical machines and their capabilities."""

from __future__ import annotations

from typing import Any

import msgspec

from novacron.records.record import Record


class Host(Record, frozen=True):
    """A host as users address it: a libvirt host, or a vCenter."""

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
    """The resources of a host and their current use."""

    host: str
    cpus: int
    memory_bytes: int
    memory_free_bytes: int | None = None
    vms_total: int = 0
    vms_running: int = 0
    cpu_percent: float | None = None


class Capabilities(Record, frozen=True):
    """The capabilities of a host: operations of its driver, and limits that the driver declares.

    `limits` maps an operation to the reason why it is limited: "snapshot_revert" to "libvirt < 10.9 can't revert external ones".
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
    """The answer of a reachable host."""

    host: str
    latency_seconds: float
    version: str


class Node(Record, frozen=True):
    """A physical machine of a host. A libvirt host has one: itself. `id` is the UUID of the machine, which all its names share."""

    name: str
    host: str
    cpus: int
    memory_bytes: int
    id: str | None = None
    status: str = "up"
    native: dict[str, Any] = msgspec.field(default_factory=dict)


class Expiration(Record, frozen=True):
    """Something of a host that expires at a known time. `kind` says what it is, such as "license"."""

    kind: str
    name: str
    host: str
    expires_at: str


__all__ = ["Capabilities", "Expiration", "Host", "HostStats", "Node", "Ping"]
