"""Claims of capacity: every operation that needs capacity of a managed node claims it before it is sent to the driver.

`claim_stage` calls this within the lock of the VM, where nodes are managed. A claim that does not fit is refused before anything is
changed. After the operation, the allocation is set to what the VM really takes. If the outcome is unknown, the claim is kept until a
refresh.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from novacron.dispatch.call import Call
from novacron.errors import NovaCronError, ResourceAllocationError, UnsupportedOperationError
from novacron.fleets.admission import failures_of
from novacron.fleets.demand import demand_of, locked_memory_of, taker_of
from novacron.fleets.effects import CLAIMED, CREATING, CREATING_UNSEEN, DELETING, GROWING, MOVING
from novacron.fleets.groups import settings_of
from novacron.records.capacity import Allocation, Amounts, FleetNode, PlacementRule
from novacron.records.vm import VM
from novacron.store.allocations import Admission, AllocationStore, NoRoom
from novacron.store.nodes import NodeStore, node_id
from novacron.store.takers import Taker

_log = logging.getLogger(__name__)

Proceed = Callable[[Call], Any]
Invoke = Callable[..., Any]


class ClaimPolicy:
    """Claims capacity for the operations of one connection.

    Args:
        invoke: calls an operation of the connection.
        nodes: the stored nodes.
        allocations: the allocations.
        process: joins the state database and returns the id of this process.
        reconcile: reads what the VMs of a host take, given its name; used once before a claim is refused.
    """

    def __init__(
        self,
        invoke: Invoke,
        nodes: NodeStore,
        allocations: AllocationStore,
        process: Callable[[], str],
        reconcile: Callable[[str, Invoke], object],
    ) -> None:
        self._invoke, self._nodes, self._allocations = invoke, nodes, allocations
        self._process, self._reconcile = process, reconcile
        self._ids: dict[str, Mapping[str, str]] = {}
        self._guard = threading.Lock()

    def __call__(self, call: Call, proceed: Proceed) -> Any:
        name = call.operation.name
        if name not in CLAIMED:
            return proceed(call)
        if name in MOVING:
            return self._migrate(call, proceed)
        if name in CREATING:
            return self._create(call, proceed)
        if name in CREATING_UNSEEN:
            return self._create_unseen(call, proceed)
        if name in DELETING:
            return self._delete(call, proceed)
        return self._change(call, proceed)

    # ---- the operations

    def _change(self, call: Call, proceed: Proceed) -> Any:
        vm = self._vm(str(call.locked))
        node = self._managed_node(call.host, self._invoke, vm.node) if vm is not None else None
        if vm is None or node is None:
            return proceed(call)
        change = GROWING.get(call.operation.name)
        if change is None:
            result = proceed(call)
            self._settle(node, vm.id, result)
            return result
        wanted = change(call, vm, taker_of(vm, call.actor))
        self._claim(call, node, wanted)
        return self._kept(call, proceed, node, wanted.vm)

    def _create(self, call: Call, proceed: Proceed) -> Any:
        spec = call.arguments.get("spec")
        original = self._vm(str(call.locked)) if spec is None else None
        place = spec.node if spec is not None else original.node if original is not None else None
        node = self._managed_node(call.host, self._invoke, place)
        if node is None or (spec is None and original is None):
            return proceed(call)
        wanted = _of_spec(spec, call) if spec is not None else _of_copy(original, call)  # type: ignore[arg-type]
        self._claim(call, node, wanted)
        return self._kept(call, proceed, node, wanted.vm)

    def _create_unseen(self, call: Call, proceed: Proceed) -> Any:
        """Create a VM stopped, store what it takes, and start it, which claims. If it can't start, it is deleted again."""
        node = self._managed_node(call.host, self._invoke, None)
        if node is None:
            return proceed(call)
        spec = call.arguments.get("spec")
        starts = bool(getattr(spec, "start", False))
        if starts:
            call.arguments["spec"] = spec.model_copy(update={"start": False})  # type: ignore[union-attr]
        made = proceed(call)
        self._settle(node, made.id, made, owner=call.actor)
        if not starts:
            return made
        try:
            return self._invoke("vm_start", vm=made.id)
        except NovaCronError:
            self._invoke("vm_delete", vm=made.id, keep_disks=False, force=True)
            raise

    def _delete(self, call: Call, proceed: Proceed) -> Any:
        vm = self._vm(str(call.locked))
        node = self._managed_node(call.host, self._invoke, vm.node) if vm is not None else None
        result = proceed(call)
        if vm is not None and node is not None:
            self._allocations.free(node.id, vm.id)
        return result

    def _migrate(self, call: Call, proceed: Proceed) -> Any:
        """Claim the destination; after the migration one transaction moves the allocation."""
        vm, to, spec = self._vm(str(call.locked)), call.arguments["to"], call.arguments["spec"]
        if vm is None:
            return proceed(call)
        source = self._node(call.host, self._invoke, vm.node)
        destination = self._node(to.name, to.invoke, spec.node)
        if destination is None or destination == source:
            return proceed(call)
        wanted = taker_of(vm, call.actor)
        claimed = destination.group is not None
        if claimed:
            self._claim(call, destination, wanted, invoke=to.invoke, host=to.name)
        try:
            report = proceed(call)
        except BaseException as error:
            if claimed:
                self._undo(destination, wanted.vm, error)
            raise
        places = [node.id if node is not None and node.group is not None else None for node in (source, destination)]
        self._allocations.move(places[0], places[1], taker_of(report.vm, call.actor))
        return report

    # ---- claims

    def _claim(
        self, call: Call, node: FleetNode, wanted: Taker, *, invoke: Invoke | None = None, host: str | None = None
    ) -> None:
        """Claim; if there is no room, read what the VMs of the host really take and try once more."""
        process = self._process()
        admit = None if call.operation.name in MOVING else self._admission(node, wanted)
        try:
            self._allocations.claim(node.id, wanted, process, admit=admit)
        except NoRoom:
            self._reconcile(host or call.host, invoke or self._invoke)
            try:
                self._allocations.claim(node.id, wanted, process, admit=admit)
            except NoRoom as refused:
                raise ResourceAllocationError(
                    f"{wanted.name!r} can't be placed on {node.name}: {refused.reason}",
                    host=call.host,
                    resource=wanted.name,
                    outcome="not_sent",
                    hint="`novacron fleet report` shows the capacity; `novacron fleet explain` says where the VM fits",
                ) from None

    def _admission(self, node: FleetNode, wanted: Taker) -> Admission | None:
        """Return the simulation of failures for a VM that uses CPUs and memory, if the group wants it."""
        settings = settings_of(self._nodes, node.group)
        mode, failures, domain = settings.admission or "off", settings.failures or 0, settings.failure_domain or "host"
        if mode == "off" or not failures or not wanted.active:
            return None

        def admit(nodes: Sequence[FleetNode], rules: Sequence[PlacementRule], allocations: Sequence[Allocation]) -> Iterator[str]:
            for report in failures_of(nodes, rules, allocations, failures=failures, domain=domain):
                if mode == "refuse":
                    yield str(report)
                else:
                    _log.warning("group %s: %s", node.group, report)

        return admit

    def _kept(self, call: Call, proceed: Proceed, node: FleetNode, claimed_as: str) -> Any:
        """Run an operation for which capacity was claimed."""
        try:
            result = proceed(call)
        except BaseException as error:
            self._undo(node, claimed_as, error)
            raise
        vm = claimed_as if claimed_as == call.locked else getattr(result, "id", claimed_as)
        self._settle(node, vm, result, claimed_as=claimed_as, owner=call.actor)
        return result

    def _undo(self, node: FleetNode, vm: str, error: BaseException) -> None:
        """Undo a claim of an operation that failed. If its outcome is unknown, the claim stays until the next refresh."""
        if isinstance(error, NovaCronError) and error.outcome != "unknown":
            self._allocations.restore(node.id, vm)
        else:
            self._allocations.abandon(node.id, vm)

    def _settle(self, node: FleetNode, vm: str, result: Any, *, claimed_as: str | None = None, owner: str = "") -> None:
        """Store what the VM takes now. If it can't be read, the claim stays until the next refresh."""
        record = result if isinstance(result, VM) and result.disks is not None else self._vm(vm)
        if record is None:
            self._allocations.abandon(node.id, claimed_as or vm)
        else:
            self._allocations.confirm(node.id, taker_of(record, owner), claimed_as)

    # ---- what is there

    def _vm(self, key: str) -> VM | None:
        """Return the record of a VM; None if it can't be read, which the operation itself will report."""
        try:
            found: VM = self._invoke("vm_get", vm=key)
        except NovaCronError:
            return None
        return found

    def _managed_node(self, host: str, invoke: Invoke, name: str | None) -> FleetNode | None:
        node = self._node(host, invoke, name)
        return node if node is not None and node.group is not None else None

    def _node(self, host: str, invoke: Invoke, name: str | None) -> FleetNode | None:
        """Return the stored node of a host: the one of that name, or its only one."""
        ids = self._nodes_of(host, invoke)
        found = ids.get(name or "") or (next(iter(ids.values())) if len(ids) == 1 else None)
        return None if found is None else self._nodes.find(found)

    def _nodes_of(self, host: str, invoke: Invoke) -> Mapping[str, str]:
        """Return the ids of a host's nodes by name. They are read once for each connection."""
        with self._guard:
            known = self._ids.get(host)
        if known is None:
            try:
                found = invoke("node_list")
            except UnsupportedOperationError:
                found = []  # a node that can't be listed is in no group
            known = {node.name: node_id(node, host) for node in found}
            with self._guard:
                self._ids[host] = known
        return known


def _of_spec(spec: Any, call: Call) -> Taker:
    """Return what a new VM takes. It has no UUID yet, so the claim has a name of its own."""
    demand = demand_of(spec)
    return Taker(
        vm=f"claim:{uuid.uuid4()}",
        name=spec.name,
        amounts=demand if spec.start else Amounts(storage_bytes=demand.storage_bytes),
        active=spec.start,
        owner=call.actor,
        tags=frozenset(spec.tags),
        locked_memory=locked_memory_of(spec),
    )


def _of_copy(original: VM, call: Call) -> Taker:
    """Return what a copy of a VM takes. A linked copy and an instant one share the original's disks at first."""
    now = taker_of(original, call.actor)
    instant = call.operation.name == "vm_clone_instant"
    storage = 0 if instant or call.arguments.get("linked") else now.amounts.storage_bytes
    size = Amounts(vcpus=original.vcpus, memory_bytes=original.memory_bytes) if instant else Amounts()
    return Taker(
        vm=f"claim:{uuid.uuid4()}",
        name=call.arguments["name"],
        amounts=size + Amounts(storage_bytes=storage),
        active=instant,
        owner=call.actor,
        tags=now.tags,
        locked_memory=now.locked_memory,
    )


__all__ = ["ClaimPolicy"]
