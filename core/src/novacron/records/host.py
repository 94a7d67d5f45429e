"""Hosts, their member nodes and what they can do."""

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
    """What a host has and uses now."""

    host: str
    cpus: int
    memory_bytes: int
    memory_free_bytes: int | None = None
    vms_total: int = 0
    vms_running: int = 0
    cpu_percent: float | None = None


class Capabilities(Record, frozen=True):
    """What a host can do: operations derived from the driver's hooks, and limits it declares.

    `limits` maps an operation to why it can't be done here, "snapshot_revert" to "libvirt < 10.9 can't revert external ones".
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
    """The answer of a host that is alive."""

    host: str
    latency_seconds: float
    version: str


class Node(Record, frozen=True):
    """A machine that runs VMs within a host (a libvirt host has one: itself)."""

    name: str
    host: str
    cpus: int
    memory_bytes: int
    status: str = "up"
    native: dict[str, Any] = msgspec.field(default_factory=dict)


__all__ = ["Capabilities", "Host", "HostStats", "Node", "Ping"]
