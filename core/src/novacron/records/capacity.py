"""The capacity of nodes: what they have, what is allocated to VMs, and what is in use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from novacron.records.failover import Protection
from novacron.records.record import Record

NodeStatus = Literal["up", "suspect", "fencing", "fenced", "quarantined", "maintenance", "unreachable"]
"""The status of a node. VMs are placed on nodes that are up and not cordoned."""


class Amounts(Record, frozen=True):
    """Amounts of the three resources that are claimed.

    Attributes:
        vcpus: Number of vCPUs.
        memory_bytes: Memory in bytes.
        storage_bytes: Storage in bytes.

    Example:
        >>> Amounts(vcpus=2) + Amounts(vcpus=1, memory_bytes=2**30)
        Amounts(vcpus=3, memory_bytes=1073741824, storage_bytes=0)
    """

    vcpus: int = 0
    memory_bytes: int = 0
    storage_bytes: int = 0

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(
            vcpus=self.vcpus + other.vcpus,
            memory_bytes=self.memory_bytes + other.memory_bytes,
            storage_bytes=self.storage_bytes + other.storage_bytes,
        )

    def __sub__(self, other: Amounts) -> Amounts:
        return Amounts(
            vcpus=self.vcpus - other.vcpus,
            memory_bytes=self.memory_bytes - other.memory_bytes,
            storage_bytes=self.storage_bytes - other.storage_bytes,
        )

    def largest(self, other: Amounts) -> Amounts:
        """Return the larger amount of each resource."""
        return Amounts(
            vcpus=max(self.vcpus, other.vcpus),
            memory_bytes=max(self.memory_bytes, other.memory_bytes),
            storage_bytes=max(self.storage_bytes, other.storage_bytes),
        )


class Inventory(Record, frozen=True):
    """One resource of a node.

    Attributes:
        total: What the node has: a number of CPU threads, or bytes.
        reserved: What is kept for the node itself: a number of CPU threads, or bytes.
        ratio: VMs may be given this multiple of `total - reserved`; None if the resource is not limited.
        allocated: What is claimed for VMs: a number of vCPUs, or bytes.
        used: What is in use now, as measured: busy CPUs, or bytes; None if unknown.

    Example:
        >>> cpus = Inventory(total=16, reserved=1, ratio=4.0, allocated=20)
        >>> cpus.limit, cpus.free
        (60.0, 40.0)
    """

    total: int
    reserved: int = 0
    ratio: float | None = None
    allocated: int = 0
    used: float | None = None

    @property
    def limit(self) -> float:
        """The most that can be allocated; infinite if the resource is not limited."""
        return float("inf") if self.ratio is None else max(0, self.total - self.reserved) * self.ratio

    @property
    def free(self) -> float:
        """What can still be allocated; 0 if more than the limit is allocated."""
        return max(0.0, self.limit - self.allocated)


class FleetNode(Record, frozen=True):
    """A node of the fleet: a physical machine that runs VMs.

    Attributes:
        id: UUID of the machine. Two names in the fleet that lead to one machine are one node.
        name: Name of the node.
        host: Name in the fleet through which the node is reached.
        hosts: All names in the fleet that lead to the node.
        status: Status of the node. VMs are placed only on nodes that are "up".
        cordoned: Whether no further VMs are placed on the node.
        reason: Why the node is cordoned or not up.
        group: Group that the node belongs to; None if its capacity is not managed.
        labels: Place and properties of the node, such as {"rack": "r1", "zone": "east"}. Rules and failure domains refer to them.
        vcpus: CPU threads of the node, and the vCPUs that are allocated.
        memory: Memory of the node in bytes.
        storage: Storage of the node in bytes.
        cpu_percent: CPU use in percent of all CPUs; None if unknown.
        balanced_by: What moves VMs between this node and others by itself, such as vSphere's DRS; None if nothing does.
        restarted_by: What restarts the VMs of this node elsewhere if it fails, such as vSphere's HA; None if nothing does.
        seen_at: When the node last answered, in seconds since 1970; None if it never has.
    """

    id: str
    name: str
    host: str
    hosts: tuple[str, ...] = ()
    status: NodeStatus = "up"
    cordoned: bool = False
    reason: str = ""
    group: str | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    vcpus: Inventory = Inventory(total=0)
    memory: Inventory = Inventory(total=0)
    storage: Inventory = Inventory(total=0)
    cpu_percent: float | None = None
    balanced_by: str | None = None
    restarted_by: str | None = None
    seen_at: float | None = None

    @property
    def accepts_vms(self) -> bool:
        """Whether further VMs may be placed on the node."""
        return self.status == "up" and not self.cordoned

    def domain(self, scope: str) -> str | None:
        """Return the failure domain of the node: its id for the scope "host", otherwise the value of that label; None without one."""
        return self.id if scope == "host" else self.labels.get(scope)


class Allocation(Record, frozen=True):
    """What a VM takes of a node.

    Attributes:
        vm: Id of the VM.
        name: Name of the VM.
        node: Id of the node.
        amounts: The allocated vCPUs, memory and storage.
        active: Whether the VM uses CPUs and memory. A stopped VM takes storage only.
        owner: Who created the VM; empty if another tool did.
        tags: Tags of the VM.
        locked_memory: Why the node can't overcommit the VM's memory, such as "huge pages"; empty if it can.
        pending: Whether an operation that has claimed the amounts has not ended yet.
    """

    vm: str
    name: str
    node: str
    amounts: Amounts
    active: bool = True
    owner: str = ""
    tags: frozenset[str] = frozenset()
    locked_memory: tuple[str, ...] = ()
    pending: bool = False


class Drift(Record, frozen=True):
    """A difference between the allocations and the hypervisor, which was corrected: the hypervisor is right.

    Attributes:
        vm: Id of the VM.
        name: Name of the VM.
        node: Id of the node.
        what: What differed.
    """

    vm: str
    name: str
    node: str
    what: str


class PlacementRule(Record, frozen=True):
    """VMs that belong together, or apart.

    Attributes:
        name: Name of the rule.
        kind: "affinity" keeps the VMs in one domain, "anti-affinity" allows at most one VM in each.
        tag: The rule holds for the VMs with this tag.
        scope: What a domain is: "host", or the name of a label such as "rack" or "zone".
        must: Whether claims that break the rule are refused. Otherwise placement only prefers nodes that follow it.

    Example:
        >>> rule = PlacementRule(name="apart", kind="anti-affinity", tag="db")
        >>> rule.broken_by("n1", ["n2"]), rule.broken_by("n1", ["n1"])
        (False, True)
    """

    name: str
    kind: Literal["affinity", "anti-affinity"]
    tag: str
    scope: str = "host"
    must: bool = True

    def broken_by(self, domain: str | None, others: Sequence[str | None]) -> bool:
        """Return whether a VM in a domain breaks the rule, given the domains of the other VMs."""
        if domain is None:
            return True
        if self.kind == "anti-affinity":
            return domain in others
        return bool(others) and domain not in others


class Quota(Record, frozen=True):
    """The most that the VMs of an owner or with a tag may take.

    vCPUs and memory count while a VM is active, storage and the number of VMs always.

    Attributes:
        subject: Whose quota it is: "owner:NAME" or "tag:TAG".
        vms: Largest number of VMs; None is no limit.
        vcpus: Largest number of vCPUs; None is no limit.
        memory_bytes: Largest memory in bytes; None is no limit.
        storage_bytes: Largest storage in bytes; None is no limit.
        used: The vCPUs, memory and storage that the VMs take now.
        used_vms: Number of VMs now.
    """

    subject: str
    vms: int | None = None
    vcpus: int | None = None
    memory_bytes: int | None = None
    storage_bytes: int | None = None
    used: Amounts = Amounts()
    used_vms: int = 0


class Candidate(Record, frozen=True):
    """A node that can take a VM.

    Attributes:
        node: Name of the node.
        id: Id of the node.
        host: Name in the fleet through which the node is reached.
        group: Group of the node; None without one.
        score: How well the node fits; a higher score is better.
    """

    node: str
    id: str
    host: str
    group: str | None = None
    score: float = 0.0


class Rejection(Record, frozen=True):
    """A node that can't take a VM.

    Attributes:
        node: Name of the node.
        id: Id of the node.
        reasons: All reasons why it can't.
    """

    node: str
    id: str
    reasons: tuple[str, ...]


class Placement(Record, frozen=True):
    """Where a VM fits.

    Attributes:
        name: Name of the VM.
        candidates: Nodes that can take the VM, the best first.
        rejected: All other nodes, with the reasons.
    """

    name: str
    candidates: tuple[Candidate, ...]
    rejected: tuple[Rejection, ...]


class PlannedMove(Record, frozen=True):
    """A planned migration.

    Attributes:
        vm: Id of the VM.
        name: Name of the VM.
        node: Name of the node that it moves to.
        node_id: Id of the node that it moves to.
        host: Name in the fleet through which that node is reached.
        source: Name of the host that the VM leaves.
    """

    vm: str
    name: str
    node: str
    node_id: str
    host: str
    source: str


class StuckVM(Record, frozen=True):
    """A VM that can't move.

    Attributes:
        vm: Id of the VM.
        name: Name of the VM.
        why: Why it can't move.
    """

    vm: str
    name: str
    why: str


class DrainPlan(Record, frozen=True):
    """How a node is emptied, or how its VMs return.

    Attributes:
        node: Name of the node.
        id: Id of the node.
        moves: The migrations, in their order.
        stuck: VMs that can't move.
    """

    node: str
    id: str
    moves: tuple[PlannedMove, ...] = ()
    stuck: tuple[StuckVM, ...] = ()


class BalanceMove(Record, frozen=True):
    """A migration in a plan to balance a group.

    Attributes:
        vm: Id of the VM.
        name: Name of the VM.
        source: Name of the node that the VM leaves.
        source_host: Name in the fleet through which that node is reached.
        node: Name of the node that it moves to.
        node_id: Id of the node that it moves to.
        host: Name in the fleet through which the destination is reached.
        gain: How much the migration lowers the imbalance.
        memory_bytes: Memory of the VM in bytes.
    """

    vm: str
    name: str
    source: str
    source_host: str
    node: str
    node_id: str
    host: str
    gain: float
    memory_bytes: int


class BalancePlan(Record, frozen=True):
    """How a group is balanced.

    Attributes:
        group: Name of the group.
        before: Imbalance now, as `novacron.fleets.balancing` defines it.
        after: Imbalance after all moves.
        threshold: Nothing moves unless the imbalance is above this value.
        moves: The migrations, the one with the largest gain first.
        cooling_down: Number of VMs that were moved a short time ago, and therefore stay.
        without_metrics: Nodes whose CPUs were not measured. They take no part.
        stuck: VMs whose pre-checks failed, and why.
        carried_out: How many of the moves were carried out, from the first on.
        hold: Seconds for which the imbalance has to last before anything moves; 0 if it has lasted long enough.
    """

    group: str
    before: float
    after: float
    threshold: float
    moves: tuple[BalanceMove, ...] = ()
    cooling_down: int = 0
    without_metrics: tuple[str, ...] = ()
    stuck: tuple[StuckVM, ...] = ()
    carried_out: int = 0
    hold: float = 0.0


class NodeGroup(Record, frozen=True):
    """A group of nodes with the settings of its members. The group "fleet" has the settings of the whole fleet.

    Attributes:
        name: Name of the group.
        nodes: Names of its nodes.
        settings: The settings that were given, by the names of `GroupSettings`.
    """

    name: str
    nodes: tuple[str, ...] = ()
    settings: dict[str, Any] = msgspec.field(default_factory=dict)


class FailureReport(Record, frozen=True):
    """A failure after which VMs can't restart.

    Attributes:
        domains: The failure domains that fail.
        nodes: Names of the nodes that fail.
        vms: Names of the VMs that can't restart.
    """

    domains: tuple[str, ...]
    nodes: tuple[str, ...]
    vms: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.vms[:3]) + (f" and {len(self.vms) - 3} more" if len(self.vms) > 3 else "")
        return f"{shown} could not restart if {', '.join(self.nodes)} failed"


class GroupCapacity(Record, frozen=True):
    """The capacity of a group: the sums of its nodes that are up and not cordoned.

    Attributes:
        name: Name of the group; None for nodes without a group.
        nodes: Number of all its nodes.
        usable_nodes: Number of nodes that are up and not cordoned.
        vcpus: CPU threads of these nodes, and the vCPUs that are allocated.
        memory: Memory of these nodes in bytes.
        storage: Storage of these nodes in bytes.
        failures: Failures after which VMs can't restart. They are simulated if the group's setting `failures` is at least 1.
    """

    name: str | None
    nodes: int
    usable_nodes: int
    vcpus: Inventory
    memory: Inventory
    storage: Inventory
    failures: tuple[FailureReport, ...] = ()


class CapacityReport(Record, frozen=True):
    """The capacity of the fleet.

    Attributes:
        groups: Capacity of each group.
        nodes: Capacity of each node.
        protection: Whether each active VM of a group is restarted if its node fails.
    """

    groups: tuple[GroupCapacity, ...]
    nodes: tuple[FleetNode, ...]
    protection: tuple[Protection, ...] = ()


__all__ = [
    "Allocation",
    "Amounts",
    "Candidate",
    "BalanceMove",
    "BalancePlan",
    "CapacityReport",
    "DrainPlan",
    "Drift",
    "FailureReport",
    "FleetNode",
    "GroupCapacity",
    "Inventory",
    "NodeGroup",
    "NodeStatus",
    "Placement",
    "PlacementRule",
    "PlannedMove",
    "Quota",
    "Rejection",
    "StuckVM",
]
