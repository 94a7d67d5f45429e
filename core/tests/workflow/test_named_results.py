"""Results of named steps in what undoes a part: each VM sees its own, also when another process, or a person later, takes it back."""

import itertools
import sys
import threading

import pytest

import novacron
from novacron import errors
from novacron.drivers.sim import world
from novacron.workflow import step, steps
from novacron.workflow.nodes import StepNode, VMRef
from novacron.workflow.paths import ROOT
from novacron.workflow.run.step_runner import Results

pytestmark = pytest.mark.usefixtures("own_state")


@step
def own_name(context):
    """return the VM's name"""
    return {"name": context.read().name}


@step
def describe(context, text):
    """describe the VM"""
    context.do("vm_update", changes=novacron.VMUpdate(description=text))


def undone_with_its_name():
    return own_name().named("mine").undo(describe(text="undone for {mine.name}"))


def test_what_undoes_a_part_of_one_vm_sees_the_results_of_that_vm(hosts, vm):
    """Ten VMs; the results of all are there before the first is undone."""
    vms = [vm, *(hosts["wf1"].vms.create(name=f"web{n}", memory="64MiB") for n in range(2, 11))]
    flow = undone_with_its_name() >> steps.revert("none")
    run = flow.run(vms, max_parallel=10)
    assert run.status == "failed"
    assert {v.name: hosts["wf1"].vms[v.name].record.description for v in vms} == {v.name: f"undone for {v.name}" for v in vms}


def test_a_result_from_before_the_vms_of_a_loop_is_seen_by_what_undoes_each(hosts, vm):
    other = hosts["wf1"].vms.create(name="other", memory="64MiB")
    one = (steps.nothing().undo(describe(text="after {first.name}")) >> steps.revert("none")).each([other])
    (own_name().named("first") >> one.on_failure("continue")).run(vm)
    assert other.refresh().record.description == "after web1"


@pytest.mark.parametrize("by", ["the run", "another process"])
def test_what_is_undone_later_still_sees_the_results(hosts, vm, by):
    world("wf1").faults.add("vm_update", error=errors.StorageError("not now"))
    run = (undone_with_its_name() >> steps.revert("none")).run(vm)
    assert run.status == "failed", "it could not be undone at once"
    again = run.undo() if by == "the run" else novacron.fleet().runs.undo(run.id)
    assert again.exception(60)
    assert (again.status, vm.refresh().record.description) == ("undone", "undone for web1")


def test_an_undo_sees_the_results_while_another_branch_adds_to_them():
    results, over = Results(StepNode(kind="tag"), VMRef("", "", "")), threading.Event()

    def add():
        for number in itertools.count():
            results.add(ROOT, f"n{number}", number)
            if over.is_set():
                return

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    adding = threading.Thread(target=add)
    adding.start()
    try:
        while len(results.seen_from(ROOT)) < 20_000:
            pass
    finally:
        over.set()
        adding.join()
        sys.setswitchinterval(interval)
