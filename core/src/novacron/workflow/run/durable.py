"""The engine whose runs survive their process.

A run is a row, its steps are entries of its journal, and an entry is one statement that only the process which holds the run's fence
can do (`RunStore.append`). Runs without a process are the queue. A run whose process is dead is taken over by claiming it: the fence
grows, and the dead process, should it still write, is refused.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import msgspec

from novacron.conversion import convert
from novacron.dispatch.audit import AuditLog
from novacron.errors import InvalidStateError, NovaCronError, StorageError, WorkflowError
from novacron.identity import Identity
from novacron.store.database import Database
from novacron.store.migration_slots import MigrationSlots
from novacron.store.processes import ProcessRecord, ProcessStore
from novacron.store.runs import NewRun, RunStore, StoredRun
from novacron.store.schedules import ScheduleStore
from novacron.store.settings import Settings
from novacron.workflow.composition import Workflow, reference
from novacron.workflow.functions import changed_code, code_of
from novacron.workflow.hosts import HostResolver, Hosts
from novacron.workflow.nodes import EachNode, VMRef, all_nodes
from novacron.workflow.paths import ROOT
from novacron.workflow.run.engine import Outcome, conduct, follow, interrupted, prepare_undo, scope_of, waited
from novacron.workflow.run.environment import Environment
from novacron.workflow.run.housekeeping import Housekeeping
from novacron.workflow.run.journal import Entry, Journal, JournalLostError, stored
from novacron.workflow.run.membership import Membership
from novacron.workflow.run.patience import Patience
from novacron.workflow.run.run import Run, RunStatus, settled
from novacron.workflow.run.scope import DetachedError, Scope
from novacron.workflow.run.slots import SharedSlots, Slots

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle
    from novacron.jobs import Progress

current_run: ContextVar[str | None] = ContextVar("novacron-run", default=None)
"""The run that this thread works for. A run that a step begins does not wait for the run around it."""
TURN_POLL = 0.1
"""Seconds between two looks whether earlier runs of the same VM have ended."""


class StoredJournal(Journal):
    """The journal of a run in the database, for the process that holds its fence.

    Attributes:
        unwritten: an entry that could not be written because the database could not be reached.
    """

    def __init__(self, store: RunStore, run_id: str, fence: int, executor: str, patience: Patience) -> None:
        super().__init__(Entry.from_dict(entry) for entry in patience.call(store.entries, run_id))
        self._store, self._run_id, self._fence, self._patience = store, run_id, fence, patience
        self.executor = executor
        self.unwritten: Entry | None = None

    def keep(self, entry: Entry) -> None:
        """Write an entry; tries again for a while if the database can't be reached. Raises JournalLostError."""
        try:
            self._patience.call(self._store.append, self._run_id, self._fence, entry)
        except StorageError as error:
            self.unwritten = self.unwritten or entry
            raise JournalLostError(error) from error
        except NovaCronError as error:
            raise JournalLostError(error) from error


class ActiveRun(msgspec.Struct):
    """A run that this process has in memory. `fence` is None until the run is this process's."""

    run: Run
    flow: Workflow
    hosts: Hosts
    scope: Scope
    vms: list[Any]
    actor: str
    fence: int | None = None


class LostRun(msgspec.Struct, frozen=True):
    """A run that was interrupted because the database could not be reached."""

    id: str
    fence: int
    unwritten: Entry | None


class DurableEngine:
    """Runs flows so that any process of the same database can continue them.

    Args:
        database: the state database. Nothing is opened before the first run.
        identity: who asks for runs that are begun here, and who executes those that others asked for.
        resolver: finds hosts by name; the fleet's when None.
        audit: where calls of functions are recorded.
        patience: how long a run waits for a database that can't be reached before it is interrupted.
        read: returns the flow that plain values describe, with the step kinds and flows of the site.
    """

    def __init__(
        self,
        database: Database,
        *,
        identity: Identity,
        resolver: HostResolver | None = None,
        audit: AuditLog | None = None,
        patience: Patience | None = None,
        read: Callable[[Any], Workflow] = Workflow.from_dict,
    ) -> None:
        self.identity, self.actor, self.executor = identity, identity.actor, identity.executor or identity.actor
        self.audit, self.read = audit or AuditLog(), read
        self.runs, self.schedules = RunStore(database), ScheduleStore(database)
        self.housekeeping = Housekeeping(self.runs, self.schedules, Settings(database))
        self.patience, self.resolver = patience or Patience(), resolver
        self.run_ended = threading.Event()
        self._membership = Membership(ProcessStore(database), self._attend, lambda: database.url)
        self._slots: Slots = SharedSlots(MigrationSlots(database), lambda: self.join().id, self.alive, self.patience)
        self._active: dict[str, ActiveRun] = {}
        self._lost: list[LostRun] = []

    def __repr__(self) -> str:
        return f"<DurableEngine of {self.executor}, {len(self._active)} runs>"

    def recording(self, operation: str, resource: str | None, **arguments: Any) -> AbstractContextManager[None]:
        """Return a block that writes an audit line about a change of a run or schedule when it ends."""
        return self.audit.recording(operation, self.identity, resource, **arguments)

    # ---- this process

    def join(self, role: str = "") -> ProcessRecord:
        """Join the database: from now on others see this process. Raises StorageError."""
        return self._membership.join(role)

    def close(self) -> None:
        """Leave the database. Runs that are under way are continued by others once this process has ended."""
        self._membership.leave(keep_row=bool(self._active))

    @property
    def active(self) -> int:
        """How many runs are under way in this process."""
        return len(self._active)

    def alive(self) -> dict[str, ProcessRecord]:
        """Return the processes that are alive, by id."""
        return self._membership.alive()

    def forget_dead(self) -> None:
        """Delete the rows of dead processes that have no runs left."""
        self._membership.forget_dead({run.process for run in self.runs.latest(unfinished=True) if run.process})

    def _attend(self) -> None:
        """Give back runs that were interrupted, and do what others ask of the runs of this process."""
        process = self._membership.process
        while self._lost:
            self._give_back(self._lost[0])
            self._lost.pop(0)
        if self._active and process is not None:
            for run_id, wanted in self.runs.wants(process.id).items():
                self._do_wanted(run_id, wanted)

    def _give_back(self, lost: LostRun) -> None:
        if lost.unwritten is not None:
            with suppress(WorkflowError):  # another process has the run
                self.runs.append(lost.id, lost.fence, lost.unwritten)
        self.runs.release(lost.id, lost.fence)

    def _do_wanted(self, run_id: str, wanted: str | None) -> None:
        active = self._active.get(run_id)
        if active is None or active.fence is None:
            return
        if wanted == "cancel":
            active.run.cancel()
        elif (wanted == "pause") != (active.run.status == "paused"):
            status: RunStatus = "paused" if wanted == "pause" else "running"
            if wanted == "pause":
                active.scope.gate.open.clear()
            else:
                active.scope.gate.open.set()
            active.run.set_status(status)
            self.runs.set_status(run_id, active.fence, status)

    # ---- beginning runs

    def start(
        self,
        flow: Workflow,
        vms: list[VMHandle],
        *,
        wait: bool = True,
        on_progress: Callable[[Progress], object] | None = None,
        hosts: Mapping[str, HostHandle] | None = None,
    ) -> Run:
        """Begin a run, and wait for its end if `wait`. Ctrl-C while waiting cancels it and waits until it is undone."""
        process = self.join()
        given = {vm.host.name: vm.host for vm in vms} | dict(flow.hosts) | dict(hosts or {})
        targets = [reference(vm) for vm in vms]
        actor = vms[0].host.identity.actor
        new = self.new_run(flow, targets, {name: host.uri for name, host in given.items()}, actor)
        active: ActiveRun | None = None
        try:
            self.runs.create(new, process=process.id, executor=self.executor)
            active = self._activate(new.id, flow, targets, self._hosts(actor, hosts or {}, given), vms, actor)
            if on_progress is not None:
                active.run.listen(on_progress)
            self._begin(new.id, active, 1)
        except KeyboardInterrupt as interrupt:
            interrupt.add_note(f"run {new.id}: {self._end_at_once(new.id, active)}")
            raise
        return waited(active.run, lambda: self._keep_cancelled(new.id)) if wait else active.run

    def _keep_cancelled(self, run_id: str) -> None:
        """Put on record that a run is cancelled. Whoever continues it then undoes it, should this process end before that."""
        with suppress(NovaCronError):
            self.runs.want(run_id, "cancel")

    def _end_at_once(self, run_id: str, active: ActiveRun | None) -> str:
        """Cancel a run that Ctrl-C met while it began; return its status. Otherwise a worker would continue it later."""
        if active is not None and (active.run.done() or any(each.name == _thread_of(run_id) for each in threading.enumerate())):
            active.run.cancel()
            return settled(active.run).status
        self._active.pop(run_id, None)
        self.runs.end(run_id, 1, "cancelled", None, None)  # nothing, if it was not stored yet
        return "cancelled"

    def submit(self, flow: Workflow, targets: list[VMRef], hosts: Mapping[str, str], actor: str | None = None) -> str:
        """Put a run into the queue for a worker; return its id."""
        new = self.new_run(flow, targets, hosts, actor or self.actor)
        self.runs.create(new)
        return new.id

    def repeat(self, known: StoredRun) -> Run:
        """Begin a new run with the flow and VMs of another."""
        process, flow = self.join(), self.read(known.flow)
        flow.check_code()
        targets = [convert(target, VMRef) for target in known.targets]
        new = self.new_run(flow, targets, known.hosts, self.actor)
        self.runs.create(new, process=process.id, executor=self.executor)
        active = self._activate(new.id, flow, targets, self._hosts(self.actor, uris=known.hosts), [], self.actor)
        self._begin(new.id, active, 1)
        return active.run

    def new_run(
        self, flow: Workflow, targets: list[VMRef], hosts: Mapping[str, str], actor: str, run_id: str | None = None
    ) -> NewRun:
        """Return the row of a new run."""
        vms = {vm.id for vm in targets} | {vm.id for n in all_nodes(flow.node) if isinstance(n, EachNode) for vm in n.vms}
        more = {} if run_id is None else {"id": run_id}
        return NewRun(
            name=flow.name,
            flow=flow.plain(),
            actor=actor,
            targets=[msgspec.to_builtins(t) for t in targets],
            hosts=dict(hosts),
            code=code_of(flow),
            vms=() if current_run.get() else tuple(sorted(vms)),
            **more,
        )

    # ---- continuing runs

    def resume(self, run_id: str, *, accept_changes: bool = False, undo: bool = False, memory: ActiveRun | None = None) -> Run:
        """Continue a run in this process: one whose process is dead, or one that failed.

        Args:
            accept_changes: continue although code of its steps has changed.
            undo: undo what a failed run has left, instead of going forward.
            memory: what this process knows of the run: its flow, with functions that can't be stored, and its handles.

        Raises:
            NotFoundError: there is no such run.
            InvalidStateError: a process runs it, or nothing is left to do.
            WorkflowError: code of its steps has changed since it began, and not `accept_changes`.
        """
        process, known = self.join(), self.runs.get(run_id)
        self._check_resumable(known, process)
        flow = memory.flow if memory else self.read(known.flow)
        changed = [] if accept_changes or memory else changed_code(flow, known.code)
        if changed:
            raise WorkflowError(
                f"the code of {', '.join(changed)} has changed since the run {known.id} began, or is not here",
                resource=known.id,
                hint="check whether the finished steps still fit; then resume it with accept_changes",
            )
        if known.ended_at is not None:
            self._check_alone(known)
            fence = self.runs.reopen(known, "undo" if undo else "resume", process.id, self.executor)
        else:  # also a run that this process has just lost: it must not be given back any more
            fence = self.runs.claim(known, process.id, self.executor)
        if fence is None:
            raise InvalidStateError(f"another process continues the run {known.id}", resource=known.id)
        active = self._restore(known, flow, memory)
        self._begin(known.id, active, fence)
        return active.run

    def _check_resumable(self, known: StoredRun, process: ProcessRecord) -> None:
        owner = self.alive().get(known.process or "")
        if known.ended_at is not None and known.status != "failed":
            raise InvalidStateError(
                f"the run {known.id} is {known.status}: nothing is left to do",
                resource=known.id,
                hint=f"novacron run retry {known.id} begins it again",
            )
        if known.ended_at is None and owner is not None and (owner.id != process.id or known.id in self._active):
            raise InvalidStateError(
                f"the run {known.id} is under way: {owner.name} runs it",
                resource=known.id,
                hint=f"novacron run show {known.id} shows its progress",
            )

    def _check_alone(self, known: StoredRun) -> None:
        """Make sure that no later run of the same VM is under way: it would not wait for a run that failed before it began."""
        other = self.runs.before(known.id, or_after=True)
        if other is not None:
            raise InvalidStateError(
                f"the run {known.id} can't be continued now: the run {other.id} {other.name}".rstrip()
                + " of the same VM has not ended",
                resource=known.id,
                hint=f"wait for it or cancel it; novacron run show {other.id} shows its progress",
            )

    def work_on(self, limit: int) -> int:
        """Claim runs from the queue and of dead processes, and begin them (for workers); return how many."""
        process = self.join("worker")
        claimed = self.runs.claim_next(process.id, self.executor, self.alive(), limit)
        for known in claimed:
            fence = known.fence + 1
            try:
                flow = self.read(known.flow)
                changed = changed_code(flow, known.code)
                active = self._restore(known, flow)  # the last: from here on the run is under way
            except Exception as error:  # noqa: BLE001 - one bad row must not end a worker
                try:
                    self.runs.end(known.id, fence, "failed", None, stored(_told(error)))
                except StorageError:  # it is given back; the others that were claimed are still begun
                    self._lost.append(LostRun(known.id, fence, None))
                continue
            self._begin(known.id, active, fence, changed)
        return len(claimed)

    def detach(self, run_id: str) -> None:
        """Leave a run of this process to a worker, as soon as the step that is under way has ended.

        Raises:
            InvalidStateError: this process does not run it.
        """
        active = self._active.get(run_id)
        if active is None:
            raise InvalidStateError(f"the run {run_id} is not under way in this process", resource=run_id)
        active.scope.gate.detach()

    def _hosts(self, actor: str, *given: Mapping[str, HostHandle], uris: Mapping[str, str] | None = None) -> Hosts:
        def acting(host: HostHandle) -> HostHandle:
            return host if host.identity.actor == actor else host.acting_for(actor)

        return Hosts(*given, uris=uris, resolver=self.resolver, acting=acting)

    def _activate(
        self, run_id: str, flow: Workflow, targets: list[VMRef], hosts: Hosts, vms: list[VMHandle], actor: str
    ) -> ActiveRun:
        run = Run(run_id, targets, flow, Journal())
        active = self._active[run_id] = ActiveRun(run, flow, hosts, scope_of(run), vms, actor)
        run.continue_by(lambda undo: waited(self.resume(run_id, memory=active, undo=undo)))
        return active

    def _restore(self, known: StoredRun, flow: Workflow, memory: ActiveRun | None = None) -> ActiveRun:
        targets = [convert(target, VMRef) for target in known.targets]
        hosts = memory.hosts if memory else self._hosts(known.actor, uris=known.hosts)
        return self._activate(known.id, flow, targets, hosts, memory.vms if memory else [], known.actor)

    # ---- a run, in a thread of its own

    def _begin(self, run_id: str, active: ActiveRun, fence: int, changed: list[str] | None = None) -> None:
        active.fence = fence
        arguments = (run_id, active, fence, changed or [])
        threading.Thread(target=self._conduct, args=arguments, name=_thread_of(run_id), daemon=True).start()

    def _conduct(self, run_id: str, active: ActiveRun, fence: int, changed: list[str]) -> None:
        journal: StoredJournal | None = None
        try:
            try:
                journal = StoredJournal(self.runs, run_id, fence, self.executor, self.patience)
                outcome = self._walk(run_id, active, fence, journal, changed)
            except NovaCronError:
                raise
            except Exception as defect:  # noqa: BLE001 - another process would meet it again, and so without end
                outcome = Outcome("failed", None, _told(defect))
            error = stored(outcome.error) if isinstance(outcome.error, NovaCronError) else None
            if not self.patience.call(self.runs.end, run_id, fence, outcome.status, outcome.result, error):
                raise WorkflowError("another process has taken the run over", resource=run_id)
        except DetachedError:
            try:
                self.patience.call(self.runs.release, run_id, fence, "waiting")
            except NovaCronError:
                self._lost.append(LostRun(run_id, fence, None))
            outcome = Outcome("interrupted", None, interrupted(run_id, WorkflowError("it was detached; a worker continues it")))
        except BaseException as lost:  # noqa: BLE001 - whoever waits must get an answer, and the run must be continued
            outcome = Outcome("interrupted", None, interrupted(run_id, getattr(lost, "reason", lost)))
            self._lost.append(LostRun(run_id, fence, journal.unwritten if journal else None))
        with suppress(Exception):  # a connection that can't be closed must not keep the end from whoever waits for it
            follow(active.run, active.hosts, active.vms)
        self._active.pop(run_id, None)
        active.run.end(outcome.status, outcome.result, outcome.error)
        self.run_ended.set()

    def _walk(self, run_id: str, active: ActiveRun, fence: int, journal: StoredJournal, changed: list[str]) -> Outcome:
        active.run.use_journal(journal)
        if changed:
            text = f"the code of {', '.join(changed)} has changed since the run began, or is not here"
            return Outcome("failed", None, WorkflowError(text, hint=f"novacron run resume {run_id} --accept-changes"))
        wanted = self.patience.call(self.runs.get, run_id).wanted
        if wanted == "resume":
            active.run.note(ROOT, "resumed")
            self.patience.call(self.runs.want, run_id, None)
        elif wanted == "undo":
            prepare_undo(active.run)
            self.patience.call(self.runs.want, run_id, None)
        elif wanted == "cancel":
            active.run.cancel()
        self._wait_for_turn(run_id, active)
        active.run.set_status("running")
        self.patience.call(self.runs.set_status, run_id, fence, "running")
        if wanted == "pause":  # before its first step
            self._do_wanted(run_id, wanted)
        token = current_run.set(run_id)
        try:
            environment = Environment(active.hosts, self._slots, lambda *call: self._record(active.actor, *call))
            return conduct(active.flow, active.run, journal, environment, active.scope)
        finally:
            current_run.reset(token)

    def _record(self, actor: str, function: str, vm: VMRef, error: BaseException | None, seconds: float) -> None:
        identity = self.identity.acting_for(actor)
        self.audit.write(
            "flow_function",
            identity,
            host=vm.host,
            resource=vm.name or vm.id,
            arguments={"function": function},
            error=error,
            seconds=seconds,
        )

    def _wait_for_turn(self, run_id: str, active: ActiveRun) -> None:
        while active.scope.reason is None:
            earlier = self.patience.call(self.runs.before, run_id)
            if earlier is None:
                return
            owner = self.patience.call(self.alive).get(earlier.process or "")
            who = f"{owner.name} runs it" if owner else f"nobody runs it: novacron run resume {earlier.id}"
            name = f"run {earlier.id} {earlier.name}".rstrip()
            active.run.set_status("waiting", f"waiting for {name} of the same VM; {who}")
            time.sleep(TURN_POLL)


def _told(error: Exception) -> NovaCronError:
    """Return the error of a run that can't be read or continued by this version."""
    if isinstance(error, NovaCronError):
        return error
    text = f"the run can't be continued here: {type(error).__name__}: {error}"
    return WorkflowError(
        text, outcome="unknown", hint="it may be of another version; look at what is done, then resume or undo it"
    )


def _thread_of(run_id: str) -> str:
    """The name of the thread that works for a run."""
    return f"novacron-run-{run_id}"


__all__ = ["DurableEngine", "StoredJournal", "current_run"]
