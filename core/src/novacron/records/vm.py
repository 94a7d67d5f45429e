"""The VM."""

from __future__ import annotations

from collections.abc import Iterator
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

    Attributes:
        id: Id of the VM, a UUID.
        name: Name of the VM.
        host: Name of the host.
        status: What the VM does, such as "running" or "stopped".
        status_reason: Why it has this status, in the hypervisor's words.
        node: Node (physical machine) that the VM is on; None if unknown.
        path: Unambiguous name on hypervisors with folders, "/DC0/vm/prod/web1"; None on others.
        folder: Path without the VM's name; None on hypervisors without folders.
        vcpus: Number of vCPUs.
        memory_bytes: Memory in bytes.
        persistent: Whether the definition stays after the VM stops.
        autostart: Whether the VM starts when its host boots; None if it was not read.
        arch: CPU architecture, such as "x86_64".
        machine: Machine type in the hypervisor's own words.
        firmware: "bios", "uefi" or "uefi-secure".
        disks: Disks of the VM.
        nics: Network interfaces of the VM.
        tags: Tags of the VM.
        locked_memory: Why the host can't overcommit the VM's memory, such as "huge pages"; empty if it can.
        metadata: Keys and values that were stored with the VM.
        description: Text of the person who made it.
        created_at: When it was created, as UTC in ISO 8601; None if unknown.
        agent_connected: Whether the guest agent of a running VM is connected; None if the VM does not run, or has no channel for
            an agent.
        native: Further values in the hypervisor's own words.

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
        vm: Id of the VM; its name if the VM was not created.
        format: Format of the text, such as "libvirt domain XML".
        text: The definition.
    """

    vm: str
    format: str
    text: str


class HostFile(Record, frozen=True):
    """Something of its host that a VM uses beside its disks.

    Attributes:
        use: What the VM uses it for: "kernel", "initial RAM disk", "NVRAM", "TPM" or "shared folder".
        path: Path of the file, folder or device; None if the hypervisor chooses a place on the host.
    """

    use: str
    path: str | None = None


class VMConfiguration(Record, frozen=True):
    """The configuration of a VM for its next start.

    Attributes:
        vm: Id of the VM.
        fields: Values by the names of `VMUpdate`, as plain data.
        pending: Hardware fields that changed since the running VM was started. CPU fields are not compared, because a hypervisor
            replaces them with what the host offers when a VM starts.
        files: What the VM uses of its host beside its disks.
        secrets: Name of the secret that opens each encrypted disk, by the disk's target; None if only the host knows the secret.
    """

    vm: str
    fields: dict[str, Any]
    pending: tuple[str, ...] = ()
    files: tuple[HostFile, ...] = ()
    secrets: dict[str, str | None] = {}

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
        return cls(vm=record.id, fields=fields)


class Deleted(Record, frozen=True):
    """The result of a deletion.

    Attributes:
        name: Name of the resource.
        id: Id of the resource; None if it has none.
        removed: What was deleted with it: volumes, NVRAM, snapshots.
        kept: What was not deleted, such as volumes that others use.
        hint: Why something was kept that belongs to the resource, and what deletes it later; None if nothing was.
    """

    name: str
    id: str | None = None
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    hint: str | None = None


T = TypeVar("T")


class Page(Record, Generic[T], frozen=True):
    """One page of a listing.

    Attributes:
        items: Records of this page.
        total: Number of records of all pages.
        next: Cursor of the next page; None on the last one.
    """

    items: tuple[T, ...]
    total: int
    next: str | None = None

    _repr_html_ = html_table  # for notebooks

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> T:
        return self.items[index]


__all__ = ["VM", "Deleted", "HostFile", "NativeDefinition", "Page", "Status", "VMConfiguration"]
