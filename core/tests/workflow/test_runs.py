"""Workflows: composed as data, planned, run step by step, undone when one fails."""

import json
import subprocess
import sys
import threading

import pytest

import novacron
from novacron import errors
from novacron.drivers.sim import world
from novacron.store.runs import RunStore
from novacron.workflow import Workflow, parallel, steps, workflow

pytestmark = pytest.mark.usefixtures("own_state")


def state(hosts):
    """All that the steps can change, on all hosts."""
    return {
        (name, vm.name): (vm.refresh().status, vm.tags, vm.record.description or "", tuple(s.name for s in vm.snapshots))
        for name, host in hosts.items()
        for vm in host.vms
    }


MOVE = steps.migrate(to="wf2") >> steps.snapshot("after")


def test_importing_workflows_loads_nothing_heavy():
    code = "import novacron.workflow, sys; print([m for m in ('sqlalchemy','dbos','libvirt','pydantic') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_flow_is_data_that_survives_json():
    flow = workflow(
        "move",
        steps.shutdown(timeout="2m").when(status="running") >> steps.migrate(to="kvm2", live=False).retry(2, "5s").timeout("1h"),
        parallel(steps.tag("moved", remove=["old"]), steps.update(description="x")).on_failure("continue"),
        steps.start().undo(steps.stop()).on_failure(steps.snapshot("failed")),
    )
    again = Workflow.from_dict(json.loads(json.dumps(flow.as_dict())))
    assert again == flow
    assert repr(again) == repr(flow)
    assert "migrate to kvm2 up to 2 times within 3600 s" in repr(flow)


@pytest.mark.parametrize(
    ("stored", "why"), [({"format": 99}, "format 99"), ({"format": 1, "flow": {"node": "x"}}, "not a stored")]
)
def test_what_is_no_stored_flow_is_refused(stored, why):
    with pytest.raises(errors.WorkflowError, match=why):
        Workflow.from_dict(stored)


def test_bad_arguments_are_refused_when_the_flow_is_composed():
    with pytest.raises(errors.InvalidSpecError, match="bandwith"):
        steps.migrate(to="kvm2", bandwith="1GiB")
    with pytest.raises(errors.InvalidSpecError):
        steps.snapshot("../x")
    with pytest.raises(errors.InvalidSpecError, match=r"otherwise: got 'x', allowed: 'fail' or 'stop'; timeout: got 'soon'"):
        steps.shutdown(timeout="soon", otherwise="x")
    with pytest.raises(errors.InvalidSpecError, match="children: got 'no', allowed: true or false"):
        steps.delete_snapshot("a", children="no")
    with pytest.raises(AttributeError, match=r"no step 'migrat'.*migrate"):
        steps.migrat  # noqa: B018


def test_a_run_moves_the_vm_and_snapshots_it_at_the_destination(hosts, vm):
    seen = []
    run = MOVE.run(vm, hosts=hosts, on_progress=seen.append)
    assert run.status == "done"
    assert [(s.description, s.status) for s in run.steps] == [("migrate to wf2", "done"), ("snapshot 'after'", "done")]
    assert run.steps[0].result["destination"] == "wf2"
    assert all(s.seconds is not None for s in run.steps)
    assert run.result()["name"] == "after"
    assert (vm.host.name, vm.status) == ("wf2", "running")
    assert state(hosts) == {("wf2", "web1"): ("running", frozenset(), "", ("after",))}
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    json.dumps(run.as_dict())


def test_a_plan_follows_the_vm_to_the_destination_and_changes_nothing(hosts, vm):
    before = state(hosts)
    plan = (steps.suspend() >> MOVE >> steps.resume()).plan(vm, hosts=hosts)
    assert plan.ok
    assert [(s.description, s.host) for s in plan.steps] == [
        ("suspend", "wf1"),
        ("migrate to wf2", "wf1"),
        ("snapshot 'after'", "wf2"),
        ("resume", "wf2"),
    ]
    assert plan.steps[1].undo == "migrate back from wf2"
    assert state(hosts) == before
    text = str(plan)
    assert "wf1 -> wf2, live, disks shared" in text
    assert "delete the snapshot 'after'" in text
    assert text.endswith("All pre-checks passed.")
    json.dumps(plan.as_dict())


def test_a_plan_names_every_problem_of_every_step(hosts, vm):
    vm.snapshots.create("after")
    hosts["wf2"].vms.create(name="web1", memory="64MiB")
    plan = (steps.resume() >> MOVE >> steps.revert("none")).plan(vm, hosts=hosts)
    assert not plan.ok
    text = "\n".join(plan.problems)
    assert "web1" in text
    assert "step 2, migrate to wf2" in text
    assert "step 3, snapshot 'after': 'web1' will have a snapshot 'after' already" in text
    assert "will have no snapshot 'none'" in text
    assert "CAN NOT BE UNDONE" in str(plan)


def test_a_failed_snapshot_brings_the_vm_back_to_the_source(hosts, vm):
    before = state(hosts)
    world("wf2").faults.add("snapshot_create", error=errors.SnapshotError("disk full"))
    run = MOVE.run(vm, hosts=hosts)
    assert run.status == "undone"
    assert [s.status for s in run.steps] == ["undone", "failed"]
    assert state(hosts) == before
    assert (vm.host.name, vm.status) == ("wf1", "running")
    with pytest.raises(
        errors.WorkflowError, match="step 2 of 2, snapshot 'after' failed: disk full on wf2; undone: migrate to wf2"
    ) as e:
        run.result()
    assert isinstance(e.value.__cause__, errors.SnapshotError)
    assert e.value.outcome == "failed"


def test_an_undo_that_fails_is_told_and_the_others_still_run(hosts, vm):
    world("wf2").faults.add("vm_migrate", error=errors.MigrationError("the way back is cut"))
    world("wf2").faults.add("snapshot_create", error=errors.SnapshotError("disk full"))
    run = (steps.tag("moved") >> MOVE).run(vm, hosts=hosts)
    assert run.status == "failed"
    assert [s.status for s in run.steps] == ["undone", "undo_failed", "failed"]
    assert state(hosts) == {("wf2", "web1"): ("running", frozenset(), "", ())}
    with pytest.raises(
        errors.WorkflowError, match=r"undone: tag \+moved; could not be undone: migrate to wf2 \(the way back is"
    ) as e:
        run.result()
    assert e.value.outcome == "unknown"
    assert vm.host.name == "wf2"


def test_cancelling_stops_the_running_job_and_undoes_what_was_finished(hosts, vm):
    before = state(hosts)
    moving = threading.Event()
    flow = steps.snapshot("before") >> steps.migrate(to="wf2", bandwidth="1MiB/s", max_downtime="1ms")
    run = flow.run(vm, hosts=hosts, wait=False, on_progress=lambda p: "migrating" in p.message and moving.set())
    assert moving.wait(60)
    assert run.status == "running"
    assert run.progress.step == "migrate to wf2"
    assert run.progress.details["total_bytes"] == 64 * 2**20
    assert run.cancel()
    with pytest.raises(
        errors.OperationCancelledError, match="cancelled at step 2 of 2, migrate to wf2; undone: snapshot 'before'"
    ):
        run.result(60)
    assert run.status == "cancelled"
    assert not run.cancel()
    assert state(hosts) == before


def test_an_id_that_no_run_has_is_told_without_reading_all_runs(monkeypatch):
    monkeypatch.setattr(RunStore, "latest", lambda *arguments, **options: pytest.fail("all runs are read"))
    with pytest.raises(errors.NotFoundError) as caught:
        novacron.fleet().runs["0" * 12]
    assert caught.value.hint == "`novacron run list` shows them"
    assert novacron.fleet().runs.get("0" * 12) is None
