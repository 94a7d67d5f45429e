"""Compares a lab with what its hosts have, and brings about the differences as a workflow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

import msgspec

from novacron.errors import InvalidSpecError, InvalidStateError, NovaCronError, SpecProblem
from novacron.labs.creation import to_remember
from novacron.labs.differences import HostState, differences
from novacron.labs.resources import SECTIONS, Action, LabContent, Resource
from novacron.store.labs import LabStore, Owned
from novacron.text import printable_line

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.jobs import Progress
    from novacron.site import Site
    from novacron.workflow.composition import Workflow
    from novacron.workflow.run.run import Run

TOGETHER = 8
"""VMs that are created or changed at the same time."""
KINDS = tuple(SECTIONS.values())


class LabPlan:
    """What has to be done for a lab. Iteration yields the actions in their order; `apply()` does them."""

    def __init__(
        self, lab: LabContent, actions: Sequence[Action], hosts: Mapping[str, HostHandle], site: Site, gone: Sequence[Owned]
    ) -> None:
        self.lab, self.actions, self.hosts = lab, tuple(actions), dict(hosts)
        self._site, self._gone = site, gone
        self.again: Callable[[], LabPlan] | None = None

    def __iter__(self) -> Iterator[Action]:
        return iter(self.actions)

    def __len__(self) -> int:
        return len(self.actions)

    def __repr__(self) -> str:
        return printable_line(f"<plan of the lab {self.lab.name}: {len(self.actions)} actions>")

    def apply(self, *, on_progress: Callable[[Progress], object] | None = None) -> LabRun:
        """Do all actions. A process that is killed meanwhile leaves a run that the next `apply` resumes.

        Returns:
            The run; its status is "done".
        Raises:
            InvalidStateError: a difference can't be removed in place. Nothing is changed.
            NovaCronError: an action failed. What was done is undone, apart from deletions, grown disks and attached devices.
        """
        if self.again is not None and resume(self.lab, self._site):
            return self.again().apply(on_progress=on_progress)
        stuck = [action for action in self.actions if action.action == "differs"]
        if stuck:
            texts = [f"{a.kind} {a.name}: {field} is {old!r}, not {new!r}" for a in stuck for field, old, new, _ in a.changes]
            needs_stop = all(applies == "needs a stop" for each in stuck for *_, applies in each.changes)
            raise InvalidStateError(
                f"the lab {self.lab.name!r} differs in what can't be changed in place: {'; '.join(texts)}",
                outcome="not_sent",
                hint="stop these VMs or networks first"
                if needs_stop
                else "delete these resources yourself, or adapt the lab file",
            )
        store = LabStore(lambda: self._site.database)
        store.remove(self.lab.name, self._gone)
        if not self.actions:
            return LabRun("done", None)
        created = {owned(self.hosts[a.host], a): to_remember(a.kind, a.fields) for a in self.actions if a.action == "create"}
        store.add(self.lab.name, created)
        run = self._run(on_progress)
        deleted = [owned(self.hosts[a.host], a) for a in self.actions if a.action == "delete"]
        try:
            run.result()
        except NovaCronError:
            store.remove(self.lab.name, [each for each in created if not self._exists(each)])
            raise
        store.remove(self.lab.name, deleted)
        return LabRun(run.status, run.id)

    def flow(self) -> Workflow:
        """Return the actions as a workflow: one kind after the other, several VMs at a time, deletions last."""
        from novacron.workflow.composition import parallel, workflow

        stages: list[Workflow] = []
        for group in _groups(self.actions):
            flows = [_step(action) for action in group]
            stages.append(flows[0] if len(flows) == 1 else parallel(*flows))
        return workflow(f"lab {self.lab.name}", *stages)

    def _run(self, on_progress: Callable[[Progress], object] | None) -> Run:
        anchor = _anchor(self.lab, next(iter(self.hosts.values())))
        return self.flow().run(anchor, hosts=self.hosts, on_progress=on_progress, engine=self._site.engine)

    def _exists(self, each: Owned) -> bool:
        from novacron.workflow.kinds.resource import DONE

        uri, kind, name = each
        host = next(host for host in self.hosts.values() if host.uri == uri)
        pool, _, rest = name.rpartition("/")
        try:
            return DONE[kind, "create"](host, {"kind": kind, "name": rest, "before": {"pool": pool}})
        except NovaCronError:
            return True  # not known, so it is not forgotten


class LabRun(msgspec.Struct, frozen=True):
    """The end of an `apply`. `id` is the run's; None if there was nothing to do."""

    status: str
    id: str | None


def make_plan(
    lab: LabContent, host: HostHandle | None, *, prune: bool = False, destroy: bool = False, site: Site | None = None
) -> LabPlan:
    """Return what has to be done for a lab; see `Lab.plan`."""
    if site is None:
        from novacron.site import default_site

        site = default_site()
    hosts: dict[str, HostHandle] = {}

    def at(name: str | None) -> HostHandle:
        asked = name or lab.host
        found = site.fleet.hosts.open(asked) if asked else host
        if found is None:
            raise InvalidSpecError(
                "no host for the lab",
                problems=[SpecProblem("host", "missing", "the name of a host in the fleet")],
                hint="add `host: NAME` to the file, or give --host NAME or -c URI",
            )
        return hosts.setdefault(found.name, found)

    placed = [(at(resource.host), resource) for resource in lab.resources]
    if not placed:
        at(None)
    mine = LabStore(lambda: site.database).owned(lab.name)
    states = {name: HostState(each) for name, each in hosts.items()}
    wanted = set[Owned]()
    actions: list[Action] = []
    for place, resource in placed:
        if not destroy:
            each = owned(place, resource)
            wanted.add(each)
            actions += differences(lab.name, resource, states[place.name], mine.get(each))
    gone: list[Owned] = []
    for each in sorted(mine.keys() - wanted, key=lambda each: (-KINDS.index(each[1]), each[2])):
        state = next((state for state in states.values() if state.host.uri == each[0]), None)
        if state is None:
            continue  # on a host that the lab no longer names
        pool, _, name = each[2].rpartition("/")
        if not state.has(each[1], name, pool):
            gone.append(each)
        elif prune or destroy:
            actions.append(Action(action="delete", kind=each[1], name=name, host=state.host.name, before={"pool": pool}))
    plan = LabPlan(lab, actions, hosts, site, gone)
    plan.again = lambda: make_plan(lab, host, prune=prune, destroy=destroy, site=site)
    return plan


def resume(lab: LabContent, site: Site) -> bool:
    """Finish runs of the lab whose process was killed. Return whether there were any."""
    identity = _identity(lab)
    left = [
        record.id
        for record in site.fleet.runs.list(unfinished=True, limit=None)
        if record.status == "interrupted" and any(vm.id == identity for vm in record.vms)
    ]
    for run_id in left:
        site.fleet.runs.resume(run_id).exception(None)
    return bool(left)


def owned(host: HostHandle, each: Resource | Action) -> Owned:
    """Return how a resource is stored as belonging to a lab."""
    pool = each.pool if isinstance(each, Resource) else each.before.get("pool", "")
    return host.uri, each.kind, f"{pool}/{each.name}" if each.kind in ("volume", "image") else each.name


def _identity(lab: LabContent) -> str:
    return str(uuid5(NAMESPACE_URL, f"novacron-lab:{lab.name}"))


def _anchor(lab: LabContent, host: HostHandle) -> Any:
    """Return what stands for the lab in runs, which are runs of VMs: two runs of one lab wait for each other."""
    from novacron.handles.vm import VMHandle
    from novacron.records.vm import VM

    return VMHandle(host, VM(id=_identity(lab), name=f"lab {lab.name}", host=host.name, status="unknown"))


def _groups(actions: Sequence[Action]) -> Iterator[list[Action]]:
    """Yield actions that can be done at the same time: creations and power changes of different VMs; all others one by one."""
    group: list[Action] = []
    for action in actions:
        together = action.kind == "vm" and action.action != "delete"
        if group and (not together or len(group) == TOGETHER or any(each.name == action.name for each in group)):
            yield group
            group = []
        if together:
            group.append(action)
        else:
            yield [action]
    if group:
        yield group


def _step(action: Action) -> Workflow:
    from novacron.workflow.composition import Workflow
    from novacron.workflow.kinds.resource import ResourceStep
    from novacron.workflow.nodes import StepNode

    kind = ResourceStep()
    arguments = kind.prepare(
        host=action.host, kind=action.kind, action=action.action, name=action.name, fields=action.fields, before=action.before
    )
    return Workflow(StepNode(kind=kind.name, arguments=arguments))


__all__ = ["LabPlan", "LabRun", "make_plan"]
