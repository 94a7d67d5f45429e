"""The VM."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

import msgspec

from novacron.display import html_table
from novacron.records.disks import Disk
from novacron.records.nics import NIC
from novacron.records.record import Record

Status = Literal["running", "suspended", "saved", "stopping", "stopped", "crashed", "sleeping", "migrating", "unknown"]
"""What a VM is doing; `status_reason` says why."""


class VM(Record, frozen=True):
    """A VM as its hypervisor reports it. In a listing, the fields from `arch` on are None unless full detail was requested.

    `path` is the unambiguous name on hypervisors with folders, "/DC0/vm/prod/web1"; `folder` is the path without the VM's name.
    `locked_memory` says why the host can't overcommit the VM's memory, such as "huge pages"; empty if it can. `agent_connected` says
    whether the guest agent of a running VM is connected; None if the VM does not run, or has no channel for an agent.

    Example:
        >>> VM(id="6b1f", name="web1", host="kvm1", status="running", vcpus=2, memory_bytes=2**31).status
        'running'
    """

    id: str
    name: str
    host: str
    status: Status
    status_reason: str = ""
    node: str | None = None
    path: str | None = None
    folder: str | None = None
    vcpus: int = 0
    memory_bytes: int = 0
    persistent: bool = True
    autostart: bool | None = None
    arch: str | None = None
    machine: str | None = None
    firmware: str | None = None
    disks: tuple[Disk, ...] | None = None
    nics: tuple[NIC, ...] | None = None
    tags: frozenset[str] | None = None
    locked_memory: tuple[str, ...] | None = None
    metadata: dict[str, str] | None = None
    description: str | None = None
    created_at: str | None = None
    agent_connected: bool | None = None
    native: dict[str, Any] = msgspec.field(default_factory=dict)


class NativeDefinition(Record, frozen=True):
    """A VM's native definition, such as libvirt domain XML.

    Attributes:
        vm: the VM's id; of a VM that was not created, its name.
        format: what the text is, such as "libvirt domain XML".
        text: the definition.
    """

    vm: str
    format: str
    text: str


class VMConfiguration(Record, frozen=True):
    """The configuration of a VM for its next start.

    Attributes:
        vm: the VM's name.
        fields: the values by the names of `VMUpdate`, as plain data.
        pending: the hardware fields that changed since the running VM was started. CPU fields are not compared, because a hypervisor
            replaces them by what the host offers when a VM starts.
    """

    vm: str
    fields: dict[str, Any]
    pending: tuple[str, ...] = ()

    @classmethod
    def of_record(cls, record: VM) -> VMConfiguration:
        """Return what a VM's full record says of its configuration."""
        fields = {
            "vcpus": record.vcpus,
            "memory": record.memory_bytes,
            "description": record.description or "",
            "tags": sorted(record.tags or ()),
            "metadata": dict(record.metadata or {}),
            "autostart": record.autostart,
        }
        return cls(vm=record.name, fields=fields)


class Deleted(Record, frozen=True):
    """The result of a deletion: the resource's name and everything that was deleted with it (volumes, NVRAM, snapshots)."""

    name: str
    id: str | None = None
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


T = TypeVar("T")


class Page(Record, Generic[T], frozen=True):
    """One page of a listing; `next` is the cursor of the next page, None on the last one."""

    items: tuple[T, ...]
    total: int
    next: str | None = None

    _repr_html_ = html_table  # for notebooks

    def __iter__(self) -> Any:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> T:
        return self.items[index]


__all__ = ["VM", "Deleted", "NativeDefinition", "Page", "Status", "VMConfiguration"]
