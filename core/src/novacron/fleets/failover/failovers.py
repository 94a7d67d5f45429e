"""Failover as people see it: `fleet.failover.protection()`, `fleet.failover.list()`, `fleet.failover.controller()`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidStateError, NovaCronError, UnsupportedOperationError
from novacron.fleets.asking import Askable
from novacron.fleets.demand import INACTIVE
from novacron.fleets.failover.controller import FailoverController
from novacron.fleets.failover.leases import witness
from novacron.fleets.failover.presence import Presences
from novacron.fleets.failover.protecting import levels, read_protected
from novacron.fleets.failover.restarting import Restarter
from novacron.fleets.failover.watching import unwatched
from novacron.fleets.groups import GroupCollection, settings_of
from novacron.fleets.nodes import NodeCollection, Recorded
from novacron.handles.host import HostHandle
from novacron.records.capacity import FleetNode
from novacron.records.failover import Failover, Protection
from novacron.specs.query import VMQuery
from novacron.store.allocations import AllocationStore
from novacron.store.failovers import FailoverStore, Right
from novacron.store.fencing import FenceStore
from novacron.store.nodes import NodeStore

if TYPE_CHECKING:
    from novacron.fleets.fencing.fencer import Fencer
    from novacron.fleets.placement.placer import Placer


class Failovers:
    """Failover of the fleet. It is off until it is switched on for a group.

    Args:
        fleet: the fleet.
        nodes: the nodes.
        groups: the groups.
        node_store: where nodes are stored.
        store: where failovers are stored.
        devices: where fence devices are stored.
        allocations: the allocations.
        fencer: returns what operates the fence devices.
        placer: returns what decides where VMs go.
        right: takes the lease of the controller; returns None if another process has it.
        person: who confirms that a node is off.
        recorded: writes audit lines.
        secrets: returns the value of a secret.

    Example:
        >>> import novacron
        >>> fleet = novacron.fleet()
        >>> for name in ("over-a", "over-b"):
        ...     _ = fleet.add(name, f"sim://{name}?vms=1")
        ...     _ = fleet.nodes.refresh([name])
        ...     _ = fleet.nodes.set(name, group="over")
        ...     _ = fleet.fencing.set(name, "manual")
        >>> _ = fleet.groups.set("over", failover="on", shared_pools=["default"])
        >>> [(vm.level, vm.why) for vm in fleet.failover.protection("over-a")]
        [('C', ('a person has to confirm that the node is off',))]
        >>> fleet.failover.list()
        []
        >>> fleet.remove("over-a"), fleet.remove("over-b")
        (None, None)
    """

    def __init__(
        self,
        fleet: Askable,
        nodes: NodeCollection,
        groups: GroupCollection,
        node_store: NodeStore,
        store: FailoverStore,
        devices: FenceStore,
        allocations: AllocationStore,
        fencer: Callable[[], Fencer],
        placer: Callable[[], Placer],
        right: Callable[[], Right | None],
        person: str,
        recorded: Recorded,
        secrets: Callable[[str], str],
    ) -> None:
        self._fleet, self._nodes, self._groups, self._node_store = fleet, nodes, groups, node_store
        self._store, self._devices, self._allocations = store, devices, allocations
        self._fencer, self._placer, self._right = fencer, placer, right
        self._person, self._recorded, self._secrets = person, recorded, secrets

    def __repr__(self) -> str:
        return "<failover of the fleet>"

    def controller(self, **options: Any) -> FailoverController:
        """Return a failover controller for this process. One process at a time works; the others wait for its end.

        Args:
            options: `interval` and `timeout` of `FailoverController`.
        """
        placer, clock = self._placer(), options.get("clock", time.monotonic)
        self._fleet.controls_failover = True
        return FailoverController(
            self._fleet,
            self._node_store,
            self._store,
            self._devices,
            self._allocations,
            options.pop("fencer", None) or self._fencer(),
            Restarter(self._fleet, self._store, self._allocations, placer.planner, placer.view, clock=clock),
            self._right,
            self._nodes.refresh,
            self._secrets,
            self._recorded,
            **options,
        )

    def list(self, *, unended: bool = False) -> Sequence[Failover]:
        """Return the failovers without their VMs, the latest first.

        Args:
            unended: only those that have not ended.
        """
        return self._store.all(unended=unended)

    def __getitem__(self, node: str) -> Failover:
        """Return the latest failover of a node, with its VMs.

        Raises:
            NodeNotFoundError: there is no such node.
            InvalidStateError: the node had no failover.
        """
        found = self._nodes[node]
        latest = next((each for each in self._store.all() if each.node == found.id), None)
        if latest is None:
            raise InvalidStateError(f"{found.name} had no failover", resource=found.name, hint="`novacron fleet failover list`")
        shown: Failover = latest.replace(vms=tuple(self._store.vms(latest.id)))
        return shown

    def protection(self, node: str | None = None, *, refresh: bool = True) -> Sequence[Protection]:
        """Return for each active VM whether it is restarted if its node fails, and if not why not. Hosts that answer are read.

        Args:
            node: name or UUID of a node; None for all nodes of groups.
            refresh: read the hosts first. False reports what is stored, so that a VM whose definition is not stored yet has the level D.
        """
        chosen = [self._nodes[node]] if node is not None else [each for each in self._nodes.list() if each.group]
        stored = self._store.protected()
        places = {each.host: (each, settings_of(self._node_store, each.group)) for each in chosen}
        answers = self._fleet.ask(
            sorted(places) if refresh else (),
            lambda host: (
                read_protected(host, places[host.name][0], places[host.name][1].shared_pools or [], {}, self._secrets)[0],
                [(vm.id, vm.name) for vm in host.invoke("vm_list", query=VMQuery()) if vm.status not in INACTIVE],
                _lock_manager(host) if places[host.name][1].storage_lease not in (None, "none") else None,
            ),
        )
        read = {answer.host: answer.value for answer in answers if answer.error is None}
        found: list[Protection] = []
        nodes, hosts = self._nodes.list(), {host.name for host in self._fleet.list()}
        for each in chosen:
            name, settings = each.host, settings_of(self._node_store, each.group)
            fresh, vms, lock_manager = read.get(name) or ([], self._allocated(each.id), None)
            why = unwatched(each, nodes, hosts)
            if why:  # the host may list the VMs of other nodes too
                vms = self._allocated(each.id)
            known = {**stored, **{vm.vm: vm for vm in fresh}}
            found += levels(each, vms, known, self._devices.list(each.id), settings, why, lock_manager)
        return sorted(found, key=lambda vm: (vm.node, vm.name))

    def confirm_fenced(self, node: str) -> Failover:
        """Confirm as a person that a node is off. Its VMs are then started elsewhere, so that a wrong answer destroys their disks.

        Args:
            node: name or UUID of the node.

        Raises:
            NodeNotFoundError: there is no such node.
            InvalidStateError: no failover waits for it, its host answers, or another host sees on the shared storage that one of its VMs
                still has a disk open: it is not off. Nothing is changed then.
        """
        found = self._nodes[node]
        failover = self._store.of_node(found.id)
        if failover is None or failover.stage not in ("fencing", "waiting"):
            raise InvalidStateError(
                f"no failover waits for {found.name} to be off",
                resource=found.name,
                hint="`novacron fleet failover list` shows them",
            )
        if Presences(self._fleet, 5.0).now(found) == "itself":
            raise InvalidStateError(f"{found.name} is not off: its host answers", resource=found.name, hint="switch it off first")
        if used := self._witness(found):
            hint = "switch it off, or find out which VM uses the disk, before anything is started a second time"
            raise InvalidStateError(f"{found.name} is not off: {used}", resource=found.name, hint=hint)
        with self._recorded("host_confirm_fenced", found.name, {}):
            self._store.confirm(failover.id, self._person)
        return self[found.id]

    def disarm(self, group: str | None = None) -> None:
        """Suspend failover for a group, or for the whole fleet: nothing is fenced until `arm`. Restarts that have begun continue.

        Args:
            group: the group; None for the whole fleet.
        """
        self._groups.set(group or "fleet", failover_disarmed=True)

    def arm(self, group: str | None = None) -> None:
        """End what `disarm` with the same group began."""
        self._groups.set(group or "fleet", failover_disarmed=None)

    def _witness(self, node: FleetNode) -> str:
        """Ask another host of the group which disks of the node's VMs are in use."""
        volumes = [each for vm in self._store.protected().values() if vm.node == node.id for each in vm.volumes]
        others = [each.host for each in self._nodes.list(group=node.group) if each.id != node.id and each.status == "up"]
        answers = self._fleet.ask(others[:3], lambda host: witness([host], volumes), timeout=30.0) if volumes else ()
        return next((answer.value for answer in answers if answer.error is None and answer.value), "")

    def _allocated(self, node: str) -> Sequence[tuple[str, str]]:
        return [(each.vm, each.name) for each in self._allocations.list(node) if each.active]


def _lock_manager(host: HostHandle) -> str | None:
    """Return the lock manager of a host; None if its hypervisor has none that could be tried. One that does not answer is named too."""
    try:
        return host.lock_manager() if host.supports("host_lock_manager") else None
    except UnsupportedOperationError:
        return None
    except NovaCronError as error:
        return f"unknown: {error}"


__all__ = ["Failovers"]
