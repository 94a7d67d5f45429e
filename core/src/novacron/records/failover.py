"""Failover: how VMs are protected, and what was done after a node failed."""

from __future__ import annotations

from typing import Literal

from novacron.records.record import Record

ProtectionLevel = Literal["A", "B", "C", "D"]
"""A: power fencing and a storage lease (virtlockd). B: power fencing and sanlock with a watchdog. C: power fencing alone.
D: no automatic restart."""
Stage = Literal["fencing", "waiting", "restarting", "done", "quarantined", "ended", "cancelled", "left"]
"""fencing: the node is being switched off. waiting: a person has to confirm that it is off. restarting: it is off, its VMs are started
elsewhere. done: all VMs are settled, the node has not returned. quarantined: it has returned, and its old definitions are being deleted.
ended: it is used again. cancelled: it answered again before it was fenced. left: its host was removed from the fleet."""
RestartStatus = Literal["pending", "placed", "running", "moved", "refused", "failed"]
"""pending: it waits for a node. placed: it is being started on `destination`. running: it was restarted. moved: it runs elsewhere, or
another failover restarts it. refused: it is not restarted (protection D). failed: a person has to look."""


class Protection(Record, frozen=True):
    """Whether a VM is restarted on another node if its node fails.

    Attributes:
        vm: Id of the VM.
        name: Name of the VM.
        node: Name of its node.
        level: "A": power fencing and a storage lease (virtlockd). "B": power fencing and sanlock with a watchdog. "C": power
            fencing alone. "D": no automatic restart.
        why: What is missing for a better level, and what else to know.
    """

    vm: str
    name: str
    node: str
    level: ProtectionLevel
    why: tuple[str, ...] = ()


class ProtectedVM(Record, frozen=True):
    """What is stored of a VM to restart it without its node.

    Attributes:
        vm: Id of the VM.
        node: Id of its node.
        name: Name of the VM.
        definition: Definition of the VM in the hypervisor's format.
        priority: VMs with a lower number are restarted first.
        refusals: Why it can't be restarted elsewhere; empty if it can.
        volumes: Pool and name of each volume that only this VM may write to.
    """

    vm: str
    node: str
    name: str
    definition: str
    priority: int = 1
    refusals: tuple[str, ...] = ()
    volumes: tuple[tuple[str, str], ...] = ()


class RestartedVM(Record, frozen=True):
    """A VM of a failover.

    Attributes:
        vm: Id of the VM.
        name: Name of the VM.
        status: "pending" (waits for a node), "placed" (is being started), "running" (was restarted), "moved" (runs elsewhere, or
            another failover restarts it), "refused" (protection D) or "failed" (a person has to look).
        priority: VMs with a lower number are restarted first.
        destination: Id of the node on which it is started; None until one was chosen.
        tried: Ids of nodes on which the start failed.
        reason: Why it has its status.
        taker: What the destination knows of the VM that it starts.
    """

    vm: str
    name: str
    status: RestartStatus
    priority: int = 1
    destination: str | None = None
    tried: tuple[str, ...] = ()
    reason: str = ""
    taker: dict[str, object] = {}


class Failover(Record, frozen=True):
    """The failover of a node.

    Attributes:
        id: Identifies the failover.
        node: Id of the node.
        node_name: Name of the node.
        group: Group of the node.
        stage: "fencing" (the node is being switched off), "waiting" (a person has to confirm that it is off), "restarting" (its
            VMs are started elsewhere), "done" (all VMs are settled), "quarantined" (it has returned, and its old definitions are
            being deleted), "ended" (it is used again), "cancelled" (it answered again before it was fenced) or "left" (its host was
            removed from the fleet; if the node is added again, it is quarantined first).
        reason: Why the failover began.
        began_at: When it began, in seconds since 1970.
        changed_at: When it last changed, in seconds since 1970.
        ended_at: When it ended, in seconds since 1970; None while it has not.
        confirmed_by: The person who confirmed that the node is off; empty if nobody had to.
        steps: What was done, in order.
        vms: VMs of the node.
    """

    id: str
    node: str
    node_name: str
    group: str
    stage: Stage
    reason: str = ""
    began_at: float = 0.0
    changed_at: float = 0.0
    ended_at: float | None = None
    confirmed_by: str = ""
    steps: tuple[str, ...] = ()
    vms: tuple[RestartedVM, ...] = ()


__all__ = ["Failover", "ProtectedVM", "Protection", "ProtectionLevel", "RestartStatus", "RestartedVM", "Stage"]
