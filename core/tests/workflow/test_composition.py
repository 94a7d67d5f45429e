"""What wraps steps: conditions, retries, timeouts, undo and failures; and how runs of one VM take turns."""

import threading
import time

import pytest

import novacron
from novacron import errors
from novacron.drivers.sim import world
from novacron.workflow import Workflow, function, parallel, step, steps
from novacron.workflow.paths import Path
from novacron.workflow.run.engine import ProcessEngine
from novacron.workflow.run.journal import Journal

pytestmark = pytest.mark.usefixtures("own_state")


def snapshots(vm):
    return [s.name for s in vm.snapshots]


@function
def is_running(vm):
    return vm.status == "running"


def test_a_step_whose_facts_do_not_hold_is_skipped(hosts, vm):
    flow = (
        steps.stop().when(status="running") >> steps.snapshot("a").when(status="running") >> steps.snapshot("b").when(host="wf1")
    )
    assert [s.skipped for s in flow.plan(vm).steps] == [False, True, False]
    run = flow.run(vm)
    assert [s.status for s in run.steps] == ["done", "skipped", "done"]
    assert snapshots(vm) == ["b"]


def test_a_condition_may_be_a_function_and_is_stored_by_its_name(vm):
    flow = steps.stop().when(is_running) >> steps.snapshot("a").when(is_running)
    assert Workflow.from_dict(flow.as_dict()) == flow
    assert [s.status for s in flow.run(vm).steps] == ["done", "skipped"]


def test_a_lambda_works_but_is_not_stored(vm):
    flow = steps.stop().when(lambda vm: vm.status == "stopped")
    assert [s.status for s in flow.run(vm).steps] == ["skipped"]
    with pytest.raises(errors.WorkflowError, match="can't be stored"):
        flow.as_dict()


@pytest.mark.parametrize("facts", [{}, {"colour": "red"}])
def test_a_condition_of_nothing_known_is_refused(facts):
    with pytest.raises(errors.WorkflowError, match="facts of host, name, status, tag"):
        steps.stop().when(**facts)


def test_a_retry_undoes_the_failed_attempt_first(hosts, vm):
    world("wf1").faults.add("snapshot_create", error=errors.SnapshotError("busy"), resource=None, times=1)
    run = (steps.tag("t") >> steps.snapshot("a")).retry(2, 0).run(vm)
    assert run.status == "done"
    assert [(s.status, s.attempts) for s in run.steps] == [("done", 2), ("done", 2)]
    assert [e.event for e in run.history if e.path.is_within(Path("/body~1/0"))] == ["started", "done", "undoing", "undone"]


def test_a_retry_gives_up_after_its_attempts_and_at_once_where_it_can_not_help(hosts, vm):
    world("wf1").faults.add("snapshot_create", error=errors.SnapshotError("busy"), times=None)
    run = steps.snapshot("a").retry(3, 0).run(vm)
    assert (run.status, run.steps[0].attempts) == ("undone", 3)
    world("wf1").faults.clear()
    world("wf1").faults.add("snapshot_create", error=errors.UnsupportedOperationError("never"), times=None)
    run = steps.snapshot("a").retry(3, 0).run(vm)
    assert (run.status, run.steps[0].attempts) == ("undone", 1)


def test_no_attempt_follows_one_that_could_not_be_undone(hosts, vm):
    world("wf1").faults.add("snapshot_create", error=errors.SnapshotError("busy"), resource=None, times=None)
    world("wf1").faults.add("vm_start", error=errors.StorageError("gone"))
    run = (steps.stop() >> steps.snapshot("a")).retry(3, 0).run(vm)
    assert (run.status, run.steps[1].attempts) == ("failed", 1)


def test_a_timeout_cancels_the_job_and_undoes(hosts, vm):
    flow = steps.snapshot("a") >> steps.migrate("wf2", bandwidth="1MiB/s", max_downtime="1ms").timeout("300ms")
    run = flow.run(vm, hosts=hosts)
    assert run.status == "undone"
    assert isinstance(run.exception().__cause__, errors.OperationTimeoutError)
    assert (vm.host.name, vm.status, snapshots(vm)) == ("wf1", "running", [])


def test_an_undo_of_its_own_replaces_that_of_the_steps(vm):
    flow = (steps.tag("a") >> steps.snapshot("s")).undo(steps.update(description="rolled back")) >> steps.revert("none")
    assert [s.undo for s in flow.plan(vm).steps] == ["update description", "update description", None]
    run = flow.run(vm)
    assert run.status == "undone"
    assert [s.status for s in run.steps] == ["undone", "undone", "failed", "done"]
    assert (vm.tags, vm.record.description, snapshots(vm)) == ({"a"}, "rolled back", ["s"])


def test_what_can_not_be_undone_is_told(vm):
    run = (steps.snapshot("a") >> steps.delete_snapshot("a") >> steps.revert("a")).run(vm)
    assert run.status == "failed"
    assert [s.status for s in run.steps] == ["undone", "undo_failed", "failed"]
    with pytest.raises(errors.WorkflowError, match=r"could not be undone: delete the snapshot 'a' \(.*can't be undone"):
        run.result()


def test_on_failure_stop_leaves_all_as_it_is_and_the_run_can_be_resumed(hosts, vm):
    world("wf2").faults.add("snapshot_create", error=errors.SnapshotError("disk full"))
    run = (steps.migrate("wf2") >> steps.snapshot("a") >> steps.tag("t")).on_failure("stop").run(vm, hosts=hosts)
    assert run.status == "failed"
    assert [s.status for s in run.steps] == ["done", "failed", "waiting"]
    assert vm.host.name == "wf2"
    with pytest.raises(errors.WorkflowError, match="left as it is: migrate to wf2"):
        run.result()
    again = run.resume()
    assert again.status == "done"
    assert again.id == run.id
    assert [e.path for e in again.history if e.event == "started"] == ["/body/0", "/body/1", "/body/1", "/body/2"]
    assert (vm.host.name, snapshots(vm), vm.tags) == ("wf2", ["a"], {"t"})
    with pytest.raises(errors.InvalidStateError, match="only a failed one"):
        again.resume()


def test_on_failure_continue_goes_on(vm):
    run = (steps.revert("none").on_failure("continue") >> steps.snapshot("a")).run(vm)
    assert run.status == "done"
    assert [s.status for s in run.steps] == ["failed", "done"]


def test_on_failure_with_a_flow_does_that_instead(vm):
    tried = steps.tag("tried") >> steps.revert("none")
    run = (tried.on_failure(steps.snapshot("instead")) >> steps.update(description="after")).run(vm)
    assert run.status == "done"
    assert (vm.tags, snapshots(vm), vm.record.description) == (frozenset(), ["instead"], "after")


def test_a_change_whose_answer_was_lost_is_found_to_have_happened(hosts, vm):
    world("wf1").faults.add("vm_migrate", error=errors.HostConnectionError("cable cut"), when="after")
    world("wf2").faults.add("snapshot_create", error=errors.HostConnectionError("cable cut"), when="after")
    run = (steps.migrate("wf2") >> steps.snapshot("a")).run(vm, hosts=hosts)
    assert run.status == "done"
    assert (vm.host.name, snapshots(vm)) == ("wf2", ["a"])


def test_a_walk_over_a_journal_repeats_no_finished_step_and_probes_one_of_unknown_outcome(hosts, vm):
    """What a durable engine does after `kill -9`: the same walk, over the entries that were on record."""
    flow = steps.tag("t") >> steps.migrate("wf2") >> steps.snapshot("a")
    whole = flow.run(vm, hosts=hosts).history
    cut = [e for e in whole if e.number < next(x.number for x in whole if x.path == "/1" and x.event == "done")]

    class Restarted(ProcessEngine):
        def journal(self):
            return Journal(cut)

    vm.snapshots["a"].delete()
    source = vm.host.destination()
    stale = hosts["wf1"].vms
    vm.host, vm.record = hosts["wf1"], vm.record  # as it was known when the process was killed
    assert source.name == "wf2"
    assert "web1" not in stale
    run = flow.run(vm, hosts=hosts, engine=Restarted())
    assert run.status == "done", str(run)
    assert [(e.path, e.event) for e in run.history[len(cut) :]] == [("/1", "done"), ("/2", "started"), ("/2", "done")]
    assert (vm.host.name, snapshots(vm)) == ("wf2", ["a"])


def test_a_host_may_be_given_as_a_handle_or_come_from_the_fleet(hosts, vm):
    assert steps.migrate(hosts["wf2"]).run(vm).status == "done"
    novacron.fleet().add("wf1", "sim://wf1")
    stored = Workflow.from_dict((steps.migrate("wf1") >> steps.migrate(hosts["wf2"])).as_dict())
    try:
        assert stored.run(vm).status == "done"
        assert (vm.host.name, vm.status) == ("wf2", "running")
    finally:
        novacron.fleet().close()


def test_an_unknown_host_is_a_problem_of_the_plan_and_fails_the_step(vm):
    flow = steps.migrate("nowhere")
    assert flow.plan(vm).problems == ("step 1, migrate to nowhere: no host named 'nowhere' in the fleet",)
    assert isinstance(flow.run(vm).exception().__cause__, errors.HostNotFoundError)


def test_a_listener_that_raises_fails_nothing(vm):
    assert steps.snapshot("a").run(vm, on_progress=lambda p: 1 / 0).status == "done"


def test_any_operation_on_a_vm_is_a_step(hosts, vm):
    flow = steps.disk_attach(spec={"size": "1GiB"}).undo(steps.disk_detach(disk="vda", delete=True)) >> steps.vm_reboot()
    assert Workflow.from_dict(flow.as_dict()) == flow
    vm.stop()
    assert flow.plan(vm, hosts=hosts).problems == (
        f"step 2, vm_reboot: {vm.name!r} will be stopped then; vm_reboot needs running",
    )
    vm.start()
    assert flow.plan(vm, hosts=hosts).ok
    assert flow.run(vm, hosts=hosts).status == "done"
    assert len(vm.refresh().record.disks) == 1
    with pytest.raises(errors.InvalidSpecError, match=r"disk: missing.*dsik"):
        steps.disk_resize(dsik="vda", size=1)
    with pytest.raises(errors.InvalidSpecError, match="no secret") as refused:
        steps.guest_password_set(user="root", password="hunter2")
    assert "hunter2" not in str(refused.value)
    with pytest.raises(AttributeError, match="did you mean vm_reboot"):
        steps.vm_rebot()


def test_a_step_may_run_a_flow_of_its_own_for_the_vm(hosts, vm):
    """The run around it has the VM's turn, so that the inner one does not wait for it."""

    @step
    def inner(context, tag):
        return steps.tag(tag).run(context.vm(), hosts=context.hosts).status

    assert (inner(tag="a") >> inner(tag="b")).run(vm, hosts=hosts).result() == "done"
    assert parallel(inner(tag="c"), steps.snapshot("s")).run(vm, hosts=hosts).status == "done"
    assert inner(tag="d").run([vm], hosts=hosts).status == "done"
    assert vm.refresh().tags == {"a", "b", "c", "d"}


def test_runs_of_one_vm_take_turns_and_name_whom_they_wait_for(hosts, vm):
    going, go = threading.Event(), threading.Event()

    @step
    def hold(context):
        going.set()
        assert go.wait(60)

    first = hold().run(vm, hosts=hosts, wait=False)
    assert going.wait(60)
    second = steps.tag("t").run(vm, hosts=hosts, wait=False)
    runs = novacron.fleet().runs
    while not (runs[second.id].waits_for and second.progress.message):
        time.sleep(0.02)
    assert runs[second.id].waits_for == first.id
    assert first.id in second.progress.message
    assert "novacron run" not in second.progress.message
    assert second.status == "waiting"
    assert second.history == []
    go.set()
    assert (first.result(60), second.result(60)) == (None, {"changed": ["tags"]})


def test_a_run_is_paused_goes_on_and_is_cancelled_by_another_process_that_asks(hosts, vm):
    """The asking goes through the database, as from any other process."""
    reached, paused, runs = threading.Semaphore(0), threading.Event(), novacron.fleet().runs

    @step
    def linger(context):
        reached.release()
        if paused.is_set():
            context.wait(60)  # until it is cancelled
        assert paused.wait(60)

    @linger.undo
    def nothing_to_undo(context, result):
        pass

    run = (steps.tag("t") >> linger() >> linger() >> steps.snapshot("s")).run(vm, hosts=hosts, wait=False)
    assert reached.acquire(timeout=60)
    runs.pause(run.id)
    while not run.status == runs[run.id].status == "paused":
        time.sleep(0.02)
    paused.set()
    assert not reached.acquire(timeout=1), "the next step began although the run is paused"
    runs.unpause(run.id)
    assert reached.acquire(timeout=60)
    runs.cancel(run.id)
    assert runs.wait(run.id, 60).status == "cancelled"
    assert vm.refresh().tags == frozenset()
    with pytest.raises(errors.InvalidStateError, match="has ended"):
        runs.cancel(run.id)
