"""What workers and engines meet at night: rows of other versions, lost answers, a process that was silent, a second Ctrl-C."""

import threading
import time

import pytest
import sqlalchemy as sa

from novacron import Site, errors
from novacron.plugins import hookimpl
from novacron.store.migration_slots import LIMIT
from novacron.store.processes import ProcessStore
from novacron.store.runs import RunStore
from novacron.store.settings import DEFAULTS
from novacron.store.tables import run_entries, runs
from novacron.workflow import StepKind, parallel, steps
from novacron.workflow.composition import once_each
from novacron.workflow.nodes import VMRef
from novacron.workflow.run import durable, membership, scheduler
from novacron.workflow.run.engine import waited
from novacron.workflow.run.journal import stored
from novacron.workflow.run.run import settled
from novacron.workflow.run.scheduler import Scheduler


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path / "state", actor="ann") as made:
        yield made


@pytest.fixture
def hosts(site, request):
    return {name: site.connect(f"sim://{request.node.name}-{name}", name=name) for name in ("one", "two")}


@pytest.fixture
def vm(hosts):
    return hosts["one"].vms.create(name="web1", memory="64MiB", start=True)


def wait_for(what):
    until = time.monotonic() + 30
    while not what():
        assert time.monotonic() < until
        time.sleep(0.01)


def begin_work(site):
    """Let the site's engine begin what is in the queue."""
    assert site.engine.work_on(8)


def test_a_process_that_was_removed_while_it_was_silent_is_seen_again(site):
    store = ProcessStore(site.database)
    process = store.register("worker")
    store.remove(process.id)
    store.beat(process)
    assert [found.name for found in store.list()] == [process.name]


def test_a_defect_does_not_end_the_heartbeat(site, monkeypatch):
    monkeypatch.setattr(membership, "POLL", 0.01)
    seen = []

    def attend():
        seen.append(1)
        raise ValueError("a defect")

    member = membership.Membership(ProcessStore(site.database), attend, lambda: site.database.url)
    member.join()
    try:
        wait_for(lambda: len(seen) > 2)
    finally:
        member.leave()


def test_a_row_that_raises_anything_stops_no_other_run(site, vm, monkeypatch):
    other = vm.host.vms.create(name="web2", memory="64MiB")
    bad = site.fleet.runs.submit(steps.tag("bad"), [vm])
    good = site.fleet.runs.submit(steps.tag("good"), [other])
    real = site.engine.read

    def read(stored):
        if "bad" in str(stored):
            raise ValueError("of another version")
        return real(stored)

    monkeypatch.setattr(site.engine, "read", read)
    begin_work(site)
    wait_for(lambda: site.engine.runs.get(good).status == "done")
    known = site.engine.runs.get(bad)
    assert (known.status, known.error["text"]) == ("failed", "the run can't be continued here: ValueError: of another version")


def test_a_bad_row_whose_end_can_not_be_stored_keeps_no_other_run_from_its_begin(site, vm, monkeypatch):
    """All were claimed together, and no other process may take those of one that is alive."""
    other = vm.host.vms.create(name="web2", memory="64MiB")
    bad = site.fleet.runs.submit(steps.tag("bad"), [vm])
    good = site.fleet.runs.submit(steps.tag("good"), [other])
    real_end, real_code = site.engine.runs.end, durable.changed_code
    away = [errors.StorageError("the database is away")]

    def end(run, *more):
        if run == bad and away:
            raise away.pop()
        return real_end(run, *more)

    def changed_code(flow, code):
        if flow.node.arguments["add"] == ["bad"]:
            raise ValueError("of another version")
        return real_code(flow, code)

    monkeypatch.setattr(site.engine.runs, "end", end)
    monkeypatch.setattr(durable, "changed_code", changed_code)
    begin_work(site)
    wait_for(lambda: site.engine.runs.get(good).status == "done")
    wait_for(lambda: site.engine.runs.get(bad).process is None)
    begin_work(site)
    assert site.engine.runs.get(bad).status == "failed"
    wait_for(lambda: site.engine.active == 0)  # a run that was never begun takes no place in the worker


def test_a_journal_of_another_version_fails_its_run_and_is_not_met_again_and_again(site, vm):
    run = site.fleet.runs.submit(steps.tag("a"), [vm])
    entry = {"run": run, "number": 0, "at": 0.0, "path": "/9/9", "event": "started", "data": {}, "executor": ""}
    with site.database.transaction() as connection:
        connection.execute(run_entries.insert().values(**entry))
    begin_work(site)
    wait_for(lambda: site.engine.runs.get(run).status == "failed")
    assert "can't be continued here" in site.engine.runs.get(run).error["text"]


def test_a_run_whose_plugin_is_missing_is_left_as_it_is(site, vm):
    """Nothing is undone or called failed in part: with the plugin it can be resumed."""

    class Greet(StepKind):
        name = "greet_missing"

        def run(self, context):
            return "hello"

    class Plugin:
        @hookimpl
        def register_steps(self):
            return [Greet()]

    site.plugins.register(Plugin(), "greeter")
    greeting = site.engine.read({"format": 1, "flow": {"node": "step", "kind": "greet_missing"}})
    run = site.fleet.runs.submit(steps.tag("t") >> greeting, [vm])
    site.plugins.disable("greeter")
    begin_work(site)
    wait_for(lambda: site.engine.runs.get(run).status == "failed")
    assert "the code of greet_missing has changed since the run began, or is not here" in site.engine.runs.get(run).error["text"]
    assert site.fleet.runs.history(run) == ()
    with pytest.raises(errors.WorkflowError, match="greet_missing"):
        site.fleet.runs.resume(run)


def test_a_run_that_is_paused_in_the_queue_begins_no_step(site, vm):
    run = site.fleet.runs.submit(steps.tag("a"), [vm])
    site.fleet.runs.pause(run)
    begin_work(site)
    wait_for(lambda: site.engine.runs.get(run).status == "paused")
    assert site.fleet.runs.history(run) == ()
    site.fleet.runs.unpause(run)
    wait_for(lambda: site.engine.runs.get(run).status == "done")


def test_a_run_that_ctrl_c_cancelled_is_cancelled_for_whoever_continues_it(site, vm, monkeypatch):
    """A second Ctrl-C ends the process before all is undone: a worker must not go forward with the run."""
    wanted = []

    def interrupted(run, cancelled):
        def interrupt(run, timeout=None):
            monkeypatch.setattr("novacron.workflow.run.engine.settled", settled)
            raise KeyboardInterrupt

        monkeypatch.setattr("novacron.workflow.run.engine.settled", interrupt)
        return waited(run, lambda: (cancelled(), wanted.append(site.engine.runs.get(run.id).wanted)))

    monkeypatch.setattr(durable, "waited", interrupted)
    monkeypatch.setattr(site.engine, "_walk", lambda *a: time.sleep(1) or durable.Outcome("cancelled"))
    with pytest.raises(KeyboardInterrupt):
        steps.tag("a").run(vm)
    assert wanted == ["cancel"]


def test_a_slow_process_can_not_write_into_a_run_that_was_reopened(site, vm):
    run = steps.revert("none").on_failure("stop").run(vm)
    known = site.engine.runs.get(run.id)
    fence = site.engine.runs.reopen(known, "resume", site.engine.join().id, "bob")
    assert fence == known.fence + 1
    assert not site.engine.runs.end(run.id, known.fence, "failed", None, None)
    assert site.engine.runs.get(run.id).ended_at is None
    assert site.engine.runs.end(run.id, fence, "done", None, None)


def test_the_end_of_a_run_whose_answer_was_lost_is_its_end(site, vm):
    run = steps.tag("a").run(vm)
    fence = site.engine.runs.get(run.id).fence
    assert site.engine.runs.end(run.id, fence, "done", None, None), "asked again, as after a lost answer"
    assert not site.engine.runs.end(run.id, fence, "failed", None, None)


def test_a_failed_run_is_not_continued_while_a_later_one_of_its_vm_is_under_way(site, vm):
    failed = steps.revert("none").on_failure("stop").run(vm)
    later = site.fleet.runs.submit(steps.tag("a"), [vm])
    for continue_ in (site.fleet.runs.resume, site.fleet.runs.undo):
        with pytest.raises(errors.InvalidStateError, match=f"the run {later} of the same VM has not ended"):
            continue_(failed.id)
    assert site.engine.runs.get(failed.id).status == "failed"
    begin_work(site)
    wait_for(lambda: site.engine.runs.get(later).status == "done")
    assert site.fleet.runs.undo(failed.id).exception(60)


def test_a_migration_counts_although_its_slot_could_not_be_released(site, hosts, vm, monkeypatch):
    site.engine.patience.seconds = 0.0
    slots = site.engine._slots
    real, broken = slots._store.release, []

    def release(migration):
        if not broken:
            broken.append(migration)
            raise errors.StorageError("the database is away")
        real(migration)

    monkeypatch.setattr(slots._store, "release", release)
    run = steps.migrate("two").run(vm, hosts=hosts)
    assert (run.status, vm.host.name) == ("done", "two"), str(run)
    assert steps.migrate("one").run(vm, hosts=hosts).status == "done"
    with site.database.transaction() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM migration_slots")).scalar() == 0


def test_a_migration_that_waits_for_a_slot_that_could_not_be_released_goes_on(site, hosts, vm):
    """No other migration of this process may ever begin that would release it."""
    slots, process = site.engine._slots, site.engine.join().id
    before = [f"before-{number}" for number in range(DEFAULTS[LIMIT])]
    for migration in before:
        assert slots._store.take(migration, "other", {vm.host.uri: "one"}, process, ()) is None
    waits = threading.Event()
    run = steps.migrate("two").run(vm, hosts=hosts, wait=False, on_progress=lambda told: "waits" in told.message and waits.set())
    assert waits.wait(30)
    slots._ended.update(before)  # the database was away when they ended
    assert settled(run, 30).status == "done"


def test_a_run_that_can_not_be_given_to_a_worker_ends_for_whoever_waits(site, vm, monkeypatch):
    site.engine.patience.seconds = 0.0
    begun, go_on = threading.Event(), threading.Event()
    run = (steps.tag("a") >> steps.tag("b")).run(vm, wait=False, on_progress=lambda progress: begun.set() or go_on.wait(30))
    assert begun.wait(30)
    real, broken = RunStore.release, []

    def release(self, *arguments):
        if not broken:
            broken.append(arguments)
            raise errors.StorageError("the database is away")
        real(self, *arguments)

    monkeypatch.setattr(RunStore, "release", release)
    site.engine.detach(run.id)
    go_on.set()
    assert settled(run, 30).status == "interrupted"
    wait_for(lambda: site.engine.runs.get(run.id).process is None)


def test_a_schedule_that_was_removed_meanwhile_begins_nothing(site, vm, monkeypatch):
    """The worker has read it when a person removes it."""
    site.fleet.schedules.add("s", steps.tag("a"), cron="* * * * *", vms=[vm], misfire="once")
    scheduler, store = Scheduler(site.engine), site.engine.schedules
    monkeypatch.setattr(store, "now", lambda: time.time() + 120)
    real = scheduler._vms

    def located(*arguments):
        found = real(*arguments)
        site.fleet.schedules.remove("s")
        return found

    monkeypatch.setattr(scheduler, "_vms", located)
    assert scheduler.begin_due() == []
    with site.database.transaction() as connection:
        assert connection.execute(sa.select(runs.c.id)).all() == []


def test_a_schedule_for_no_vm_at_a_time_is_refused(site, vm):
    with pytest.raises(errors.InvalidSpecError, match="max_parallel: got '0'"):
        site.fleet.schedules.add("s", steps.tag("a"), cron="0 3 * * *", vms=[vm], max_parallel=0)


def test_the_branch_that_failed_by_itself_is_named_after_a_take_over(site, vm):
    """The process ended once both branches had failed, one because of the other."""
    run = site.fleet.runs.submit(parallel(steps.tag("a"), steps.tag("b")), [vm])
    full, stopped = errors.StorageError("the pool is full"), errors.OperationCancelledError("stopped")
    where = {"id": vm.id, "host": "one", "name": "web1"}
    told = [
        *((path, "started", {"before": {"values": {"tags": []}}, "vm": where}) for path in ("/0", "/1")),
        ("/1", "failed", stored(full)),
        ("/0", "failed", stored(stopped)),
    ]
    rows = [
        {"run": run, "number": number, "at": 0.0, "path": path, "event": event, "data": data, "executor": ""}
        for number, (path, event, data) in enumerate(told)
    ]
    with site.database.transaction() as connection:
        connection.execute(run_entries.insert(), rows)
    begin_work(site)
    wait_for(lambda: site.engine.runs.get(run).ended_at)
    assert "the pool is full" in site.engine.runs.get(run).error["text"]


def test_a_host_with_two_names_gets_a_schedules_run_once_for_each_vm(site, vm, monkeypatch):
    """Its VMs were found twice by their tag, and the run was refused for all of them."""
    vm.update(tags=["nightly"])
    vm.host.vms.create(name="web2", memory="64MiB", tags=["nightly"])
    uris = {"one": vm.host.uri, "again": vm.host.uri}
    site.fleet.schedules.add("s", steps.tag("a"), cron="* * * * *", tag="nightly", hosts=uris, misfire="once")
    monkeypatch.setattr(site.engine.schedules, "now", lambda: time.time() + 120)
    (run,) = Scheduler(site.engine).begin_due()
    begin_work(site)
    wait_for(lambda: site.engine.runs.get(run).ended_at)
    assert site.engine.runs.get(run).status == "done"
    assert len(site.fleet.runs.history(run)) == 2 * len(("started", "done"))


def test_a_vm_that_two_hosts_have_is_waited_for():
    """While it is migrated, both may list it: the schedule is tried again in the next sweep."""
    both = [VMRef("one", "id-1", "web1"), VMRef("two", "id-1", "web1")]
    with pytest.raises(errors.WorkflowError, match="web1 of one and web1 of two have the same id"):
        once_each(both, lambda vm: (vm.host, f"sim://{vm.host}"), scheduler.ALSO_ELSEWHERE)
    assert once_each(both, lambda vm: (vm.host, "sim://one"), scheduler.ALSO_ELSEWHERE) == [both[0]]
