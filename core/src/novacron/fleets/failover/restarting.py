"""Restarts the VMs of a node that is off. Each step is stored before it is done, and each looks first at what is there.

A VM never has a second destination while the first one may still start it: the definition on the first one is deleted before another
one is chosen. A controller that was halted and acts late then finds no VM there to start.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from novacron.conversion import convert
from novacron.errors import (
    BusyError,
    DiskLockedError,
    DriverError,
    HostConnectionError,
    InvalidStateError,
    NovaCronError,
    OperationTimeoutError,
    StorageError,
    VMNotFoundError,
)
from novacron.fleets.asking import Askable
from novacron.fleets.demand import INACTIVE
from novacron.fleets.failover.leases import held
from novacron.fleets.failover.places import Seen, place_unknown
from novacron.fleets.placement.planner import Planner
from novacron.fleets.placement.view import FleetView, Request
from novacron.records.capacity import Allocation, Amounts, FleetNode
from novacron.records.failover import Failover, ProtectedVM, RestartedVM
from novacron.records.vm import VM
from novacron.store.allocations import AllocationStore
from novacron.store.failovers import FailoverStore, Right
from novacron.store.takers import Taker
from novacron.threads import fan_out

AT_ONCE = 8
"""How many VMs are restarted at a time."""
LEASE_SECONDS = 120.0
"""How long a VM waits for the lock of its disks: the server of a network file system keeps the locks of a dead client for a while."""
SETTLE_SECONDS = 10.0
"""How long a node may take to end what a former controller has asked of it."""


class Restarter:
    """Restarts VMs.

    Args:
        fleet: the fleet.
        store: where failovers are stored.
        allocations: the allocations.
        planner: returns what chooses nodes.
        view: returns the nodes and rules.
        at_once: how many VMs are restarted at a time.
        clock: returns a time that never jumps, in seconds.
    """

    def __init__(
        self,
        fleet: Askable,
        store: FailoverStore,
        allocations: AllocationStore,
        planner: Callable[[], Planner],
        view: Callable[[], FleetView],
        at_once: int = AT_ONCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fleet, self._store, self._allocations = fleet, store, allocations
        self._planner, self._view, self._at_once = planner, view, at_once
        self._clock, self._locked_since = clock, dict[str, float]()

    def restart(self, right: Right, failover: Failover, seen: Seen) -> int:
        """Restart the VMs of a failover that are not settled, those with the highest priority first.

        Args:
            right: the right of the controller; lost if another one takes over.
            failover: the failover; its node is off.
            seen: which nodes do not answer, and what the others report. The failed node is asked as well if it answers again.

        Returns:
            How many VMs are not settled yet.
        """
        waiting = [vm for vm in self._store.vms(failover.id) if vm.status in ("pending", "placed")]
        stored = self._store.protected({vm.vm for vm in waiting})
        held, view, planner, left = self._allocations.by_vm(), self._view(), self._planner(), 0
        for priority in sorted({vm.priority for vm in waiting}):
            batch = [vm for vm in waiting if vm.priority == priority]
            chosen = [self._choose(failover, vm, seen, held.get(vm.vm, ()), view, planner) for vm in batch]
            self._store.save_vms(right, failover.id, [new for old, new in zip(batch, chosen, strict=True) if new != old])
            placed = [vm for vm in chosen if vm.status == "placed" and vm.destination not in seen.silent]
            answers = fan_out(
                placed,
                lambda vm: self._start(right, failover, vm, stored.get(vm.vm), seen, view.nodes),
                seconds=None,
                limit=self._at_once,
                name="novacron-failover",
            )
            results = {vm.vm: answer.result() for vm, answer in zip(placed, answers, strict=True)}
            left += sum(results.get(vm.vm, vm).status in ("pending", "placed") for vm in chosen)
        return left

    # ---- which node

    def _choose(
        self,
        failover: Failover,
        vm: RestartedVM,
        seen: Seen,
        held: Sequence[Allocation],
        view: FleetView,
        planner: Planner,
    ) -> RestartedVM:
        """Choose the destination of a VM, which is stored before anything is done there. A VM that has one keeps it."""
        if vm.destination is not None:
            return vm
        if (elsewhere := self._elsewhere(vm, seen)) is not None:
            return elsewhere
        if why := place_unknown(held, seen.silent, view.nodes):
            return _changed(vm, reason=why)
        taker = convert(vm.taker, Taker)
        excluded = seen.silent | {failover.node, *vm.tried}
        found = planner.best(Request(taker=taker, group=failover.group, excluded=excluded), view)
        if found is None:
            reasons = planner.explain(Request(taker=taker, group=failover.group, excluded=excluded), view).rejected
            shown = "; ".join(f"{each.node}: {', '.join(each.reasons)}" for each in reasons[:3] if each.id != failover.node)
            return _changed(vm, reason=f"no node can take it: {shown}"[:500], tried=())
        view.add(taker, found.id)
        return _changed(vm, status="placed", destination=found.id, reason="")

    def _elsewhere(self, vm: RestartedVM, seen: Seen, destination: Collection[str] = ()) -> RestartedVM | None:
        """Return a VM that a host reports as active, or that may be; None if none does. `destination` are names of its destination."""
        for record in seen.vms.get(vm.vm, ()):
            if record.status in INACTIVE or record.host in destination:
                continue
            # a migration that was arriving when the node failed may still be undone there: only its end counts
            try:
                arrived = _found(self._fleet.hosts[record.host], vm.vm)
            except NovaCronError as error:
                return _changed(vm, reason=f"it may run on {record.host}: {error}")
            if arrived is not None and arrived.status not in INACTIVE:
                return _changed(vm, status="moved", reason=f"it runs on {record.host}")
        return None

    def _saved(self, right: Right, failover: Failover, vm: RestartedVM) -> RestartedVM:
        self._store.save_vms(right, failover.id, [vm])
        return vm

    # ---- start

    def _start(
        self,
        right: Right,
        failover: Failover,
        vm: RestartedVM,
        stored: ProtectedVM | None,
        seen: Seen,
        nodes: Mapping[str, FleetNode],
    ) -> RestartedVM:
        """Define and start a VM on its destination, or find out that it was done. Errors are part of the result."""
        node = nodes.get(vm.destination or "")
        if node is None or stored is None:
            what = "its destination has left the fleet" if node is None else "its definition is not stored"
            return self._saved(right, failover, vm.replace(status="failed", reason=what))
        try:
            if (elsewhere := self._elsewhere(vm, seen, node.hosts)) is not None:  # somebody was quicker since it was placed
                if elsewhere.status == "moved":
                    self._remove(right, vm, node)
                return self._saved(right, failover, elsewhere)
            return self._attempt(right, failover, vm, stored, node)
        except (BusyError, StorageError):
            raise  # another controller has taken over, or the database can't be used: nothing more is done
        except DiskLockedError as error:
            return self._locked(right, failover, vm, node, str(error))
        except (HostConnectionError, OperationTimeoutError) as error:
            return self._saved(right, failover, vm.replace(reason=str(error)))
        except NovaCronError as error:
            if error.outcome == "unknown":
                return self._saved(right, failover, vm.replace(reason=str(error)))
            return self._give_up(right, failover, vm, node, str(error))

    def _attempt(self, right: Right, failover: Failover, vm: RestartedVM, stored: ProtectedVM, node: FleetNode) -> RestartedVM:
        host = self._fleet.hosts[node.host]
        record = _found(host, vm.vm)
        if record is None:
            self._store.check(right)
            record = invoke_host(host, "vm_import", definition=stored.definition, validate=True)
        if record.status in INACTIVE:
            if used := held(host, stored.volumes):
                raise DiskLockedError(f"a running VM has {', '.join(used)} open", resource=vm.name, host=node.host)
            self._store.check(right)
            try:
                record = invoke_host(host, "vm_start", vm=vm.vm)
            except InvalidStateError:
                if _status(host, vm.vm) in (None, *INACTIVE):
                    raise  # otherwise it runs: a former controller has started it
        if owner := str(vm.taker.get("owner", "")):
            self._allocations.set_owner(vm.vm, owner)
        return self._saved(right, failover, vm.replace(status="running", reason=""))

    def _give_up(self, right: Right, failover: Failover, vm: RestartedVM, node: FleetNode, why: str) -> RestartedVM:
        """Delete the definition on a node that refused the VM; its disks are kept. Only then another node may be chosen."""
        try:
            self._remove(right, vm, node)
        except (BusyError, StorageError):
            raise
        except NovaCronError as error:
            return self._saved(right, failover, vm.replace(reason=f"{why}; its definition is still there: {error}"))
        tried = (*vm.tried, node.id)
        return self._saved(
            right, failover, vm.replace(status="pending", destination=None, tried=tried, reason=f"{node.name}: {why}")
        )

    def _locked(self, right: Right, failover: Failover, vm: RestartedVM, node: FleetNode, why: str) -> RestartedVM:
        """Wait for the lock of a VM's disks. If it is not released, give the VM up: a person has to look who holds it."""
        since = self._locked_since.setdefault(vm.vm, self._clock())
        if self._clock() - since < LEASE_SECONDS:
            return self._saved(right, failover, vm.replace(reason=f"it waits until its disks are free: {why}"))
        del self._locked_since[vm.vm]
        return self._gone_elsewhere(right, failover, vm, node, f"its disks are still in use after {LEASE_SECONDS:.0f} s: {why}")

    def _gone_elsewhere(self, right: Right, failover: Failover, vm: RestartedVM, node: FleetNode, why: str) -> RestartedVM:
        """Give a VM up for good whose disk somebody else uses: another copy may run, and no other node can be better."""
        self._remove(right, vm, node)
        return self._saved(right, failover, vm.replace(status="failed", reason=why))

    def _remove(self, right: Right, vm: RestartedVM, node: FleetNode) -> None:
        self._store.check(right)
        host = self._fleet.hosts[node.host]
        try:
            host.invoke("vm_settle", vm=vm.vm, seconds=SETTLE_SECONDS)
        except (HostConnectionError, OperationTimeoutError):
            raise  # what was asked of it may still start the VM
        except NovaCronError:
            pass  # it is not there, or its driver can't tell
        try:
            # without force: if the VM runs after all, it is not stopped, and the next round finds it running
            invoke_host(host, "vm_delete", vm=vm.vm, keep_disks=True, force=False)
        except VMNotFoundError:
            return


def taker_of_allocation(allocation: Allocation) -> dict[str, object]:
    """Return what a VM takes when it is restarted, as plain values."""
    taker = Taker(
        vm=allocation.vm,
        name=allocation.name,
        amounts=Amounts(vcpus=allocation.amounts.vcpus, memory_bytes=allocation.amounts.memory_bytes),
        owner=allocation.owner,
        tags=allocation.tags,
        locked_memory=allocation.locked_memory,
    )
    plain: dict[str, object] = msgspec.to_builtins(taker)
    return plain


def _changed(vm: RestartedVM, **changes: Any) -> RestartedVM:
    changed: RestartedVM = vm.replace(**changes)
    return changed


def invoke_host(host: Any, operation: str, **arguments: Any) -> Any:
    """Call an operation. Errors of the host must not be mistaken for those of the state database, which end the work at once."""
    try:
        return host.invoke(operation, **arguments)
    except BusyError as error:
        raise OperationTimeoutError(str(error), host=error.host) from error
    except StorageError as error:
        raise DriverError(str(error), host=error.host, outcome=error.outcome) from error


def _found(host: Any, vm: str) -> VM | None:
    try:
        host.invoke("vm_settle", vm=vm, seconds=SETTLE_SECONDS)
    except (VMNotFoundError, OperationTimeoutError) as error:
        if isinstance(error, VMNotFoundError):
            return None
        raise
    except NovaCronError as error:
        if isinstance(error, HostConnectionError):
            raise
    try:
        record: VM = host.invoke("vm_get", vm=vm)
    except VMNotFoundError:
        return None
    return record


def _status(host: Any, vm: str) -> str | None:
    try:
        return str(host.invoke("vm_get", vm=vm).status)
    except NovaCronError:
        return None


__all__ = ["AT_ONCE", "Restarter", "invoke_host", "taker_of_allocation"]
