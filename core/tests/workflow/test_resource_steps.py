"""The undo of what a lab is composed of: it takes back what its own step did, and nothing that others did before."""

import pytest

from novacron import errors
from novacron.drivers.sim import world
from novacron.workflow import steps

pytestmark = pytest.mark.usefixtures("own_state")
FAILS = steps.revert("none")


def test_a_vm_that_ran_before_the_step_is_not_stopped_by_its_undo(vm):
    """The lab was compared while it was stopped; somebody started it before the step."""
    run = (steps.resource(host="wf1", kind="vm", action="start", name="web1") >> FAILS).run(vm)
    assert (run.status, vm.refresh().status) == ("undone", "running")


def test_a_vm_that_the_step_started_is_stopped_by_its_undo(vm):
    vm.stop()
    run = (steps.resource(host="wf1", kind="vm", action="start", name="web1") >> FAILS).run(vm)
    assert (run.status, vm.refresh().status) == ("undone", "stopped")


def test_a_vm_of_somebody_else_is_neither_ours_nor_deleted(hosts, vm):
    """Another made one of this name, and the answer to our request was lost."""
    theirs = hosts["wf1"].vms.create(name="db1", memory="64MiB")
    lost = errors.HostConnectionError("the line broke", outcome="unknown")
    world("wf1").faults.add("vm_create", error=lost)
    made = steps.resource(host="wf1", kind="vm", action="create", name="db1", fields={"memory": "64MiB"})
    run = (made >> FAILS).run(vm)
    assert run.status == "undone", str(run)
    assert hosts["wf1"].vms["db1"].id == theirs.id
