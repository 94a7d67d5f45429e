"""A simulated VM."""

from __future__ import annotations

from typing import Any, NamedTuple

from novacron.drivers.sim.state.content import Content
from novacron.drivers.sim.state.hardware import locked_memory
from novacron.records.disks import Disk
from novacron.records.nics import NIC
from novacron.records.snapshots import Checkpoint
from novacron.records.vm import VM, Status

ACTIVE = frozenset({"running", "suspended", "sleeping"})
"""The statuses in which a VM uses memory of the host."""


class Load(NamedTuple):
    """What the metrics of a VM depend on.

    Attributes:
        id: the VM's UUID.
        status: its status.
        started: when it was started, None while it is off.
        vcpus: number of vCPUs.
        memory: memory in bytes.
        disks: the targets of its disks.
        nics: the MAC addresses of its NICs.
    """

    id: str
    status: Status
    started: float | None
    vcpus: int
    memory: int
    disks: tuple[str, ...]
    nics: tuple[str, ...]

    @property
    def active(self) -> bool:
        """Whether the VM uses memory of the host."""
        return self.status in ACTIVE


Place = tuple[str, str]
"""A volume's pool and name."""


class Snapshotted:
    """The state of a VM in a snapshot."""

    __slots__ = (
        "contents",
        "created_at",
        "description",
        "disks",
        "files",
        "kind",
        "memory",
        "memory_bytes",
        "name",
        "nics",
        "options",
        "parent",
        "status",
        "vcpus",
    )

    def __init__(self, name: str, *, created_at: str, parent: str | None, description: str, kind: str, memory: bool) -> None:
        self.name, self.created_at, self.parent, self.description = name, created_at, parent, description
        self.kind, self.memory = kind, memory
        self.status: Status = "stopped"
        self.vcpus = 0
        self.memory_bytes = 0
        self.disks: tuple[Disk, ...] = ()
        self.nics: tuple[NIC, ...] = ()
        self.options: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}
        self.contents: dict[Place, tuple[int, Content]] = {}


class SimVM:
    """One VM. Disks and NICs are frozen records; a change replaces the record.

    Attributes:
        hardware: settings that are kept and reported only, by the names of `VMSpec`.
        checkpoints: other programs make them, as for a real VM.
        options: settings of disks (by target) and NICs (by MAC address) that their records do not have.
    """

    __slots__ = (
        "after_stop",
        "agent",
        "arch",
        "autostart",
        "checkpoints",
        "created_at",
        "current",
        "description",
        "disks",
        "files",
        "filters",
        "firmware",
        "frozen",
        "hardware",
        "id",
        "iothreads",
        "limits",
        "machine",
        "made",
        "max_memory",
        "memory",
        "memory_max",
        "metadata",
        "migration",
        "modules",
        "name",
        "native",
        "nics",
        "node",
        "options",
        "pinning",
        "snapshots",
        "started",
        "status",
        "status_reason",
        "tags",
        "vcpus",
        "vcpus_max",
    )

    def __init__(self, *, id: str, name: str, vcpus: int, memory: int, created_at: str | None) -> None:
        self.id, self.name, self.vcpus, self.memory, self.created_at = id, name, vcpus, memory, created_at
        self.vcpus_max, self.memory_max = vcpus, memory
        self.status: Status = "stopped"
        self.status_reason = ""
        self.autostart = False
        self.arch, self.machine, self.firmware = "x86_64", "q35", "bios"
        self.disks: tuple[Disk, ...] = ()
        self.nics: tuple[NIC, ...] = ()
        self.made: frozenset[Place] = frozenset()
        self.tags: frozenset[str] = frozenset()
        self.metadata: dict[str, str] = {}
        self.description = ""
        self.node: str | None = None
        self.native: dict[str, Any] = {}
        self.agent = True
        self.frozen = False
        self.files: dict[str, bytes] = {}
        self.filters: dict[str, str] = {}
        self.limits: dict[str, Any] = {}
        self.pinning: dict[str, str] = {}
        self.iothreads: tuple[int, ...] = ()
        self.max_memory: int | None = None
        self.modules: tuple[int, ...] = ()
        self.snapshots: dict[str, Snapshotted] = {}
        self.current: str | None = None
        self.checkpoints: tuple[Checkpoint, ...] = ()
        self.started: float | None = None
        self.hardware: dict[str, Any] = {}
        self.options: dict[str, dict[str, Any]] = {}
        self.after_stop: dict[str, Any] = {}
        self.migration: Any = None

    @property
    def display(self) -> dict[str, Any] | None:
        """The graphical display as requested, None without one."""
        return self.hardware.get("display")

    @property
    def active(self) -> bool:
        """Whether it uses memory of the host."""
        return self.status in ACTIVE

    def load(self) -> Load:
        """Return what its metrics depend on."""
        disks, nics = tuple([disk.target for disk in self.disks]), tuple([nic.mac for nic in self.nics])
        return Load(self.id, self.status, self.started, self.vcpus, self.memory, disks, nics)

    def places(self) -> set[Place]:
        """Return the volumes that it uses through disks or snapshots, or that were created for it."""
        disks = [*self.disks, *(disk for snapshot in self.snapshots.values() for disk in snapshot.disks)]
        return {(disk.pool, disk.volume) for disk in disks if disk.pool and disk.volume} | self.made

    def record(
        self,
        host: str,
        node: str,
        *,
        full: bool = True,
        disks: tuple[Disk, ...] | None = None,
        nics: tuple[NIC, ...] | None = None,
    ) -> VM:
        """Return the record. A summary omits the fields from `arch` on. `disks` and `nics` replace the stored ones."""
        status: Status = "migrating" if self.migration is not None and self.status == "running" else self.status
        if not full:
            return VM(
                id=self.id,
                name=self.name,
                host=host,
                status=status,
                status_reason=self.status_reason,
                node=node,
                vcpus=self.vcpus,
                memory_bytes=self.memory,
                autostart=self.autostart,
            )
        return VM(
            id=self.id,
            name=self.name,
            host=host,
            status=status,
            status_reason=self.status_reason,
            node=node,
            vcpus=self.vcpus,
            memory_bytes=self.memory,
            autostart=self.autostart,
            arch=self.arch,
            machine=self.machine,
            firmware=self.firmware,
            disks=self.disks if disks is None else disks,
            nics=self.nics if nics is None else nics,
            tags=self.tags,
            locked_memory=locked_memory(self.hardware),
            metadata=dict(self.metadata),
            description=self.description,
            created_at=self.created_at,
            agent_connected=self.agent if status == "running" else None,
            native=dict(self.native),
        )


__all__ = ["ACTIVE", "Load", "Place", "SimVM", "Snapshotted"]
