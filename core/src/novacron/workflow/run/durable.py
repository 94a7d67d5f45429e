"""The engine whose runs survive their process: DBOS starts, queues and hands over runs; the journal in the database has their steps.

DBOS counts a workflow's steps by their order and writes each down after it. A flow has branches in threads, and what undo and probe
must know has to be on record before a step begins; so a run is one DBOS workflow, its steps are entries of our journal, each put on
record in one statement that only the process which holds the run can do (`RunStore.append`).
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
import tenacity
from dbos import DBOS, SetWorkflowID

from novacron.errors import InvalidStateError, NovaCronError, StorageError, WorkflowError
from novacron.store.database import SQLiteConnection, database_url
from novacron.store.processes import ProcessRecord, ProcessStore
from novacron.store.runs import RunStore, StoredRun
from novacron.workflow.composition import Workflow, reference
from novacron.workflow.functions import changed_code, code_of
from novacron.workflow.hosts import Hosts
from novacron.workflow.nodes import FORMAT, EachNode, VMRef, all_nodes
from novacron.workflow.paths import ROOT
from novacron.workflow.run.engine import Outcome, conduct, follow, interrupted, scope_of, turn_back, waited
from novacron.workflow.run.journal import Entry, Journal, JournalLostError, stored
from novacron.workflow.run.run import Run
from novacron.workflow.run.scope import DetachedError, Scope

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle
    from novacron.jobs import Progress

QUEUE = "novacron"
"""Where runs wait for a worker."""
PATIENCE = 30.0
"""Seconds that an entry is tried to be put on record while the database can't be reached."""
BEAT = 5.0
"""Seconds between two signs of life."""

running: ContextVar[str | None] = ContextVar("novacron-run", default=None)
"""The run that this thread works for: what it begins needs no turn of its own."""


class StoredJournal(Journal):
    """The journal of a run in the database, for the process that holds its fence."""

    def __init__(self, store: RunStore, run_id: str, fence: int) -> None:
        super().__init__(entries_of(store, run_id))
        self._store, self._run_id, self._fence = store, run_id, fence

    def keep(self, entry: Entry) -> None:
        """Put an entry on record; tries again for a while when the database can't be reached. Raises JournalLostError."""
        try:
            patiently(self._store.append)(self._run_id, self._fence, entry)
        except NovaCronError as error:
            raise JournalLostError(error) from error


def entries_of(store: RunStore, run_id: str) -> list[Entry]:
    """Return a run's entries as the database has them."""
    return [Entry.from_dict(entry) for entry in store.entries(run_id)]


def patiently(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a call that is tried again while the database can't be reached, for `PATIENCE` seconds."""
    return tenacity.retry(
        retry=tenacity.retry_if_exception_type(StorageError), stop=tenacity.stop_after_delay(PATIENCE),
        wait=tenacity.wait_random_exponential(multiplier=0.05, max=2), reraise=True,
    )(call)  # fmt: skip


class Attended(msgspec.Struct):
    """A run that this process has at hand."""

    run: Run
    flow: Workflow
    hosts: Hosts
    scope: Scope
    vms: list[Any]
    fence: int | None = None


class DurableEngine:
    """Runs flows so that any process of the same database can go on with them. One for a process."""

    def __init__(self) -> None:
        self.store, self.processes = RunStore(), ProcessStore()
        self._attended: dict[str, Attended] = {}
        self._guard = threading.RLock()
        self._database: str | None = None
        self._process: ProcessRecord | None = None
        self._lost: list[tuple[str, int]] = []
        atexit.register(self._exit)

    # ---- this process

    def launch(self, *, worker: bool = False, concurrency: int | None = None) -> ProcessRecord:
        """Join the database: from now on this process can run flows; a worker also takes them from the queue.

        Raises:
            StorageError: the database can't be used.
        """
        with self._guard:
            if self._process is not None and self._database == database_url():
                return self._process
            self.leave()
            self._database = database_url()
            self._process = self.processes.register("worker" if worker else "")
            logging.getLogger("dbos").handlers.clear()  # one of an earlier launch may write to what is closed now
            DBOS(
                config={
                    "name": "novacron", "system_database_url": self._database, "executor_id": self._process.id,
                    "application_version": f"flows-{FORMAT}", "log_level": "CRITICAL", "scheduler_polling_interval_sec": 1.0,
                    "db_engine_kwargs": {"connect_args": {"factory": SQLiteConnection}} if self._database.startswith("sqlite") else {},
                }
            )  # fmt: skip
            DBOS.listen_queues([QUEUE] if worker else [])
            try:
                DBOS.launch()
                if worker or DBOS.retrieve_queue(QUEUE) is None:  # how many at a time is the workers' to say
                    DBOS.register_queue(QUEUE, polling_interval_sec=0.1, worker_concurrency=concurrency)
            except Exception as error:
                self.leave()
                raise StorageError(f"the state database can't be used for workflows: {error}") from error
            threading.Thread(target=self._attend, args=(self._process,), name="novacron-runs", daemon=True).start()
            return self._process

    def leave(self) -> None:
        """Leave the database; runs that are under way are gone on with by others."""
        if self._exit():
            with suppress(Exception):
                DBOS.destroy()

    def _exit(self) -> bool:
        with self._guard:
            process, self._process, self._database = self._process, None, None
            if process is not None and not self._attended:  # otherwise the others find out that it is gone
                with suppress(NovaCronError):
                    self.processes.remove(process.id)
            return process is not None

    def _attend(self, process: ProcessRecord) -> None:
        """Say that this process is alive, and do what others ask of its runs."""
        beat = 0.0
        while self._process is process:
            with suppress(NovaCronError):  # the runs themselves tell of a database that is gone
                if time.monotonic() - beat > BEAT:
                    self.processes.beat(process.id)
                    beat = time.monotonic()
                while self._lost:
                    self.store.release(*self._lost[0])
                    self._lost.pop(0)
                if self._attended:
                    for run_id, wanted in self.store.wants(process.id).items():
                        self._heed(run_id, wanted)
            time.sleep(0.3)

    def _heed(self, run_id: str, wanted: str | None) -> None:
        attended = self._attended.get(run_id)
        if attended is None or attended.fence is None:
            return
        if wanted == "cancel":
            attended.run.cancel()
        elif (wanted == "pause") != (attended.run.status == "paused"):
            status: Any = "paused" if wanted == "pause" else "running"
            if wanted == "pause":
                attended.scope.gate.open.clear()
            else:
                attended.scope.gate.open.set()
            attended.run.set_status(status)
            self.store.set_status(run_id, attended.fence, status)

    @property
    def busy(self) -> bool:
        """Whether a run is under way in this process."""
        return bool(self._attended)

    def alive(self) -> dict[str, ProcessRecord]:
        """Return the processes that live, by id."""
        return {process.id: process for process in self.processes.list() if process.alive}

    # ---- beginning and going on

    def start(
        self,
        flow: Workflow,
        vms: list[VMHandle],
        *,
        wait: bool = True,
        on_progress: Callable[[Progress], object] | None = None,
        hosts: Mapping[str, HostHandle] | None = None,
    ) -> Run:
        """Begin a run, and wait for its end when `wait`. Ctrl-C while waiting cancels it and waits until it is undone."""
        process = self.launch()
        given = {vm.host.name: vm.host for vm in vms} | dict(flow.hosts) | dict(hosts or {})
        targets = [reference(vm) for vm in vms]
        run_id = self._create(flow, targets, {name: host.uri for name, host in given.items()}, process.id)
        attended = self._at_hand(run_id, flow, targets, Hosts(hosts or {}, given), vms)
        if on_progress is not None:
            attended.run.listen(on_progress)
        self._dispatch(run_id)
        return waited(attended.run) if wait else attended.run

    def submit(self, flow: Workflow, targets: list[VMRef], hosts: Mapping[str, str], *, run_id: str | None = None) -> str:
        """Let a worker run a flow, once for each `run_id`; return the run's id."""
        self.launch()
        try:
            run_id = self._create(flow, targets, hosts, None, run_id)
        except sa.exc.IntegrityError:
            pass  # another process has just begun the same
        self._enqueue(str(run_id), 0)
        return str(run_id)

    def detach(self, run_id: str) -> None:
        """Leave a run of this process to a worker, as soon as the step that is under way has ended.

        Raises:
            InvalidStateError: this process does not run it.
        """
        attended = self._attended.get(run_id)
        if attended is None:
            raise InvalidStateError(f"the run {run_id} is not under way in this process", resource=run_id)
        attended.scope.gate.detach()

    def adopt(self) -> None:
        """Put the runs of processes that have ended into the queue (for workers)."""
        unfinished = self.store.latest(unfinished=True)
        processes = self.processes.list()
        gone = [process.id for process in processes if not process.alive]
        for process in gone:
            pending = DBOS.list_workflows(status="PENDING", executor_id=process, load_input=False)
            if pending:
                DBOS.resume_workflows([workflow.workflow_id for workflow in pending], queue_name=QUEUE)
            if not any(run.process == process for run in unfinished):
                self.processes.remove(process)
        known = {process.id for process in processes}
        for run in unfinished:
            if (run.process is None and time.time() - run.created_at > BEAT) or (
                run.process and run.process not in known - {*gone}
            ):
                self._enqueue(run.id, run.fence)

    def _enqueue(self, run_id: str, fence: int) -> None:
        """Let a worker take a run, once for each process that had it."""
        with SetWorkflowID(f"{run_id}.after{fence}"):
            DBOS.enqueue_workflow(QUEUE, run_flow, run_id)

    def go_on(self, run_id: str, *, accept_changes: bool = False, like: Attended | None = None, back: bool = False) -> Run:
        """Go on with a run here: one whose process has ended, or one that failed; that one forward, or `back`.

        Raises:
            NotFoundError: there is no such run.
            InvalidStateError: a process runs it, or nothing is left to do.
            WorkflowError: code of its steps has changed since it began, and not `accept_changes`.
        """
        process = self.launch()
        known = self.store.get(run_id)
        owner = self.alive().get(known.process or "")
        if known.ended_at is not None and known.status != "failed":
            raise InvalidStateError(
                f"the run {known.id} is {known.status}: nothing is left to do", resource=known.id,
                hint=f"novacron run retry {known.id} begins it again",
            )  # fmt: skip
        if known.ended_at is None and owner is not None and (owner.id != process.id or known.id in self._attended):
            raise InvalidStateError(
                f"the run {known.id} is under way: {owner.name} runs it", resource=known.id,
                hint=f"novacron run show {known.id} tells how far it is",
            )  # fmt: skip
        flow = like.flow if like else Workflow.from_dict(known.flow)
        changed = [] if accept_changes or like else changed_code(flow, known.code)
        if changed:
            raise WorkflowError(
                f"the code of {', '.join(changed)} has changed since the run {known.id} began, or is not here", resource=known.id,
                hint="look whether the steps that were done still fit; then resume it with accept_changes",
            )  # fmt: skip
        if known.ended_at is not None:
            self.store.reopen(known.id, "undo" if back else "resume")
        attended = self._restore(known, flow, like)
        with suppress(Exception):  # what DBOS has of the process before this one; our fence keeps that from going on
            DBOS.cancel_workflows(
                [w.workflow_id for w in DBOS.list_workflows(workflow_id_prefix=f"{known.id}.", load_input=False)]
            )
        self._dispatch(known.id)
        return attended.run

    def again(self, known: StoredRun) -> Run:
        """Begin a new run of what another was of."""
        process = self.launch()
        flow = Workflow.from_dict(known.flow)
        targets = [msgspec.convert(t, VMRef) for t in known.targets]
        run_id = self._create(flow, targets, known.hosts, process.id)
        attended = self._at_hand(run_id, flow, targets, Hosts(uris=known.hosts), [])
        self._dispatch(run_id)
        return attended.run

    def _create(
        self, flow: Workflow, targets: list[VMRef], hosts: Mapping[str, str], process: str | None, run_id: str | None = None
    ) -> str:
        vms = {vm.id for vm in targets} | {vm.id for n in all_nodes(flow.node) if isinstance(n, EachNode) for vm in n.vms}
        return self.store.create(
            flow.name, flow.plain(), [msgspec.to_builtins(t) for t in targets], hosts, code_of(flow),
            () if running.get() else vms, run_id, process,
        )  # fmt: skip

    def _at_hand(self, run_id: str, flow: Workflow, targets: list[VMRef], hosts: Hosts, vms: list[VMHandle]) -> Attended:
        run = Run(run_id, targets, flow, Journal())
        attended = self._attended[run_id] = Attended(run, flow, hosts, scope_of(run), vms)
        run.continue_by(lambda back: waited(self.go_on(run_id, like=attended, back=back)))
        return attended

    def _restore(self, known: StoredRun, flow: Workflow, like: Attended | None = None) -> Attended:
        targets = [msgspec.convert(t, VMRef) for t in known.targets]
        return self._at_hand(known.id, flow, targets, like.hosts if like else Hosts(uris=known.hosts), like.vms if like else [])

    def _dispatch(self, run_id: str) -> None:
        try:
            with SetWorkflowID(f"{run_id}.{uuid.uuid4().hex[:8]}"):
                DBOS.start_workflow(run_flow, run_id)
        except Exception as error:
            attended = self._attended.pop(run_id)
            failure = StorageError(f"the run can't be begun: {error}", resource=run_id, hint="check the state database")
            attended.run.end("interrupted", None, failure)
            raise failure from error

    # ---- the run itself, in a thread of DBOS

    def conduct(self, run_id: str) -> None:
        """Take a run that nobody runs, or whose process has ended, and bring it to its end."""
        process, attended = self._process, self._attended.get(run_id)
        if attended is not None and attended.fence is not None:
            return  # it is under way here
        known = patiently(self.store.get)(run_id)
        fence = None
        if process is not None and (known.process in (None, process.id) or known.process not in self.alive()):
            fence = patiently(self.store.claim)(run_id, process.id, instead_of=known.process)
        if fence is None:
            if attended is not None:
                self._over(
                    run_id, attended, Outcome("interrupted", None, interrupted(run_id, WorkflowError("another process runs it")))
                )
            return
        code_unknown = None
        if attended is None:
            attended = self._restore(known, Workflow.from_dict(known.flow))
            code_unknown = changed_code(attended.flow, known.code)
        attended.fence = fence
        try:
            outcome = self._walk(run_id, attended, fence, code_unknown or [])
            error = stored(outcome.error) if isinstance(outcome.error, NovaCronError) else None
            patiently(self.store.end)(run_id, fence, outcome.status, outcome.result, error)
        except (JournalLostError, NovaCronError) as lost:
            outcome = Outcome("interrupted", None, interrupted(run_id, getattr(lost, "reason", lost)))
            self._lost.append((run_id, fence))
        except DetachedError:
            outcome = Outcome(
                "interrupted", None, interrupted(run_id, WorkflowError("it was detached; a worker goes on with it"))
            )
            patiently(self.store.set_status)(run_id, fence, "waiting")
            patiently(self.store.release)(run_id, fence)
            self._enqueue(run_id, fence)
        self._over(run_id, attended, outcome)

    def _walk(self, run_id: str, attended: Attended, fence: int, changed: list[str]) -> Outcome:
        journal = StoredJournal(self.store, run_id, fence)
        attended.run.use_journal(journal)
        if changed:
            return Outcome("failed", None, WorkflowError(f"the code of {', '.join(changed)} has changed since the run began"))
        wanted = patiently(self.store.get)(run_id).wanted
        if wanted == "resume":
            attended.run.note(ROOT, "resumed")
            patiently(self.store.want)(run_id, None)
        elif wanted == "undo":
            turn_back(attended.run)
            patiently(self.store.want)(run_id, None)
        elif wanted == "cancel":
            attended.run.cancel()
        self._take_turn(run_id, attended)
        attended.run.set_status("running")
        patiently(self.store.set_status)(run_id, fence, "running")
        token = running.set(run_id)
        try:
            return conduct(attended.flow, attended.run, journal, attended.hosts, attended.scope)
        finally:
            running.reset(token)

    def _take_turn(self, run_id: str, attended: Attended) -> None:
        while attended.scope.reason is None:
            holder = patiently(self.store.before)(run_id)
            if holder is None:
                return
            owner = self.alive().get(holder.process or "")
            who = f"{owner.name} runs it" if owner else f"nobody runs it: novacron run resume {holder.id}"
            attended.run.set_status("waiting", f"waiting for run {holder.id} {holder.name}".rstrip() + f" of the same VM; {who}")
            time.sleep(0.1)

    def _over(self, run_id: str, attended: Attended, outcome: Outcome) -> None:
        follow(attended.run, attended.hosts, attended.vms)
        self._attended.pop(run_id, None)
        attended.run.end(outcome.status, outcome.result, outcome.error)


@DBOS.workflow(name="novacron.run")
def run_flow(run_id: str) -> None:
    """Do one run: the one workflow that DBOS knows of."""
    durable_engine().conduct(run_id)


@DBOS.workflow(name="novacron.schedule")
def run_schedule(due: datetime, context: Any) -> None:
    """Begin what a schedule has due."""
    from novacron.workflow.schedules import Schedule, begin, delay

    schedule = msgspec.convert(context, Schedule)
    if schedule.jitter:
        DBOS.sleep(delay(schedule, due))
    begin(schedule, due, datetime.now(UTC))


@lru_cache(maxsize=1)
def durable_engine() -> DurableEngine:
    """Return the process's engine."""
    return DurableEngine()


__all__ = ["QUEUE", "DurableEngine", "StoredJournal", "durable_engine", "entries_of", "run_flow", "run_schedule", "running"]
