"""One VM at two places of a flow: named twice, in branches at the same time, crashed before the flow."""

import threading
from contextlib import suppress

import pytest

from novacron import errors
from novacron.drivers.sim import world
from novacron.workflow import parallel, steps
from novacron.workflow.composition import Workflow
from novacron.workflow.nodes import EachNode, StepNode, VMRef

pytestmark = pytest.mark.usefixtures("own_state")


def test_a_vm_that_is_given_twice_is_dealt_with_once(hosts, vm):
    run = steps.snapshot("a").run([vm, vm, vm], max_parallel=3)
    assert run.status == "done", str(run)
    assert (len(run.steps), [s.name for s in vm.snapshots]) == (1, ["a"])


def test_two_vms_of_one_id_are_refused(hosts, vm):
    """A copy on another host with the same UUID: the steps of both would be on record as those of one."""
    import copy

    twin = copy.copy(vm)
    twin.host = hosts["wf2"]
    with pytest.raises(errors.WorkflowError, match="web1 of wf1 and web1 of wf2 have the same id"):
        steps.snapshot("a").run([vm, twin])


def test_a_stored_loop_over_one_vm_twice_is_refused():
    body, twice = StepNode(kind="start"), VMRef("h", "1", "web1")
    stored = Workflow(EachNode(body=body, vms=(twice, twice))).plain()
    with pytest.raises(errors.WorkflowError, match="vms: got web1 twice"):
        Workflow.from_dict(stored)


@pytest.mark.parametrize("step", [steps.start, steps.stop])
def test_a_power_step_on_a_crashed_vm_is_undone_to_stopped(vm, step):
    """Nothing makes a VM crashed again, and a crashed VM is treated as stopped."""
    world("wf1").vms[vm.id].status = "crashed"
    run = (step() >> steps.revert("none")).run(vm)
    assert (run.status, vm.status) == ("undone", "stopped"), str(run)


def test_branches_that_tag_a_vm_at_the_same_time_lose_no_tag(vm, monkeypatch):
    """Both branches read the tags before either writes, if nothing makes them take turns."""
    from novacron.workflow.kinds.update import TagStep

    both, real = threading.Barrier(2), TagStep.changes

    def changes(self, context):
        found = real(self, context)
        with suppress(threading.BrokenBarrierError):
            both.wait(0.5)
        return found

    monkeypatch.setattr(TagStep, "changes", changes)
    assert parallel(steps.tag("a"), steps.tag("b")).run(vm).status == "done"
    assert vm.refresh().tags == {"a", "b"}


def test_the_undo_of_a_tag_keeps_what_others_tagged_meanwhile(vm):
    vm.update(tags=["old", "mine"])

    def meanwhile(vm):
        vm.update(tags=[*vm.tags - {"added"}, "added", "of another"])
        return False

    run = (steps.tag("added", "mine", remove=["old"]) >> steps.stop().when(meanwhile) >> steps.revert("none")).run(vm)
    assert run.status == "undone"
    assert vm.refresh().tags == {"old", "mine", "of another"}
