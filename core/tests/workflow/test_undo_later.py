"""Undo that failed or was not wanted, made up for later by any process; and steps whose end nobody knew."""

import threading

import pytest

import novacron
from novacron import errors
from novacron.drivers.sim import world
from novacron.workflow import steps

pytestmark = pytest.mark.usefixtures("own_state")


def snapshots(vm):
    return [s.name for s in vm.snapshots]


def test_what_could_not_be_undone_is_undone_later_when_a_person_has_looked(hosts, vm):
    """The way back was cut; it is mended, and the run is asked to take back what it left: all is as before."""
    world("wf2").faults.add("vm_migrate", error=errors.MigrationError("the way back is cut"))
    world("wf2").faults.add("snapshot_create", error=errors.SnapshotError("disk full"))
    run = (steps.tag("moved") >> steps.migrate("wf2") >> steps.snapshot("a")).run(vm, hosts=hosts)
    assert (run.status, [s.status for s in run.steps]) == ("failed", ["undone", "undo_failed", "failed"])
    again = run.undo()
    assert (again.status, [s.status for s in again.steps]) == ("undone", ["undone", "undone", "failed"])
    assert (again.id, vm.host.name, vm.tags) == (run.id, "wf1", set())
    assert [e.path for e in again.history if e.event == "undone"] == ["/0", "/1"], "what was undone is not undone twice"
    with pytest.raises(
        errors.WorkflowError, match=r"step 3 of 3, snapshot 'a' failed: disk full.*; undone: tag \+moved, migrate to wf2"
    ):
        again.result()
    with pytest.raises(errors.InvalidStateError, match="only a failed one"):
        again.undo()


def test_any_process_can_take_back_what_a_run_left(hosts, vm):
    """From the record alone: its flow, its hosts' addresses, its journal. The record says what to do before, and nothing is left after."""
    world("wf2").faults.add("vm_migrate", error=errors.MigrationError("the way back is cut"))
    world("wf2").faults.add("snapshot_create", error=errors.SnapshotError("disk full"))
    run = (steps.migrate("wf2") >> steps.snapshot("a")).run(vm, hosts=hosts)
    runs = novacron.fleet().runs
    told = runs[run.id]
    assert [what for what in told.left if "could not be undone: the way back is cut" in what]
    assert f"novacron run undo {run.id}" in str(told)
    assert runs.undo(run.id[:6]).exception(60)
    now = runs[run.id]
    assert (now.status, now.left, now.error["text"].count("could not")) == ("undone", (), 0)
    assert hosts["wf1"].vms["web1"].status == "running"
    for ended in (run.id, steps.tag("t").run(hosts["wf1"].vms["web1"]).id):
        with pytest.raises(errors.InvalidStateError, match=r"is (un)?done"):
            runs.undo(ended)


def test_an_undo_that_fails_again_is_told_again(hosts, vm):
    world("wf2").faults.add("vm_migrate", error=errors.MigrationError("the way back is cut"), times=2)
    world("wf2").faults.add("snapshot_create", error=errors.SnapshotError("disk full"))
    run = (steps.migrate("wf2") >> steps.snapshot("a")).run(vm, hosts=hosts)
    again = run.undo()
    assert (again.status, [s.status for s in again.steps]) == ("failed", ["undo_failed", "failed"])
    assert again.undo().status == "undone"
    assert vm.host.name == "wf1"


def test_what_was_kept_can_be_taken_back_after_all(hosts, vm):
    world("wf2").faults.add("snapshot_create", error=errors.SnapshotError("disk full"))
    run = (steps.migrate("wf2") >> steps.snapshot("a")).on_failure("stop").run(vm, hosts=hosts)
    assert (run.status, vm.host.name) == ("failed", "wf2")
    assert run.undo().status == "undone"
    assert vm.host.name == "wf1"


def test_an_undo_is_tried_again_for_what_may_pass(vm, monkeypatch):
    """The VM is busy twice; each attempt is on record."""
    monkeypatch.setattr("novacron.workflow.run.step_runner.UNDO_DELAYS", (0.01, 0.01, 0.01))
    world("wf1").faults.add("snapshot_delete", error=errors.BusyError("a backup holds it"), times=2)
    run = (steps.snapshot("a") >> steps.revert("none")).run(vm)
    assert run.status == "undone"
    assert [e.data.get("text", "") for e in run.history if e.event == "undoing"] == ["", *["a backup holds it on wf1"] * 2]
    assert snapshots(vm) == []


@pytest.mark.parametrize(("way", "ends"), [("resume", "done"), ("undo", "undone")])
def test_a_step_that_nobody_knew_the_end_of_is_looked_for_before_anything_is_done_again(vm, way, ends):
    """The snapshot was taken, its answer was lost, and so was the look at it: later it is there, and is neither taken twice nor left."""
    lost = errors.HostConnectionError("the line broke", outcome="unknown")
    world("wf1").faults.add("snapshot_create", error=lost, when="after")
    broken = errors.HostConnectionError("still broken")

    def break_the_line(progress):
        if progress.step and not run_begun.is_set():  # what must be known before was read
            run_begun.set()
            for operation in ("snapshot_get", "snapshot_list", "vm_get", "vm_settle"):
                world("wf1").faults.add(operation, error=broken, times=None)

    run_begun = threading.Event()
    run = steps.snapshot("a").run(vm, on_progress=break_the_line)
    world("wf1").faults.clear()
    assert (run.status, snapshots(vm)) == ("failed", ["a"])
    again = getattr(run, way)()
    assert (again.status, snapshots(vm)) == (ends, ["a"] if way == "resume" else [])
    assert len([e for e in again.history if e.event == "started"]) == 1
