"""Branches that run side by side, and runs of several VMs."""

import threading

import pytest

from novacron import errors
from novacron.drivers.sim import world
from novacron.workflow import parallel, step, steps

pytestmark = pytest.mark.usefixtures("own_state")


def test_parallel_does_all_at_once(vm):
    meet = threading.Barrier(2, timeout=60)

    @step
    def here(context, n):
        meet.wait()
        return n

    assert parallel(here(n=1), here(n=2)).run(vm).result() == [1, 2]


def test_a_failure_stops_what_runs_beside_it_and_undoes_all(hosts, vm):
    moving = threading.Event()

    @step
    def fail(context):
        assert moving.wait(60)
        raise errors.StorageError("no")

    move = steps.migrate("wf2", bandwidth="1MiB/s", max_downtime="1ms")
    run = (steps.tag("t") >> parallel(move, fail())).run(
        vm, hosts=hosts, on_progress=lambda p: "migrating" in p.message and moving.set()
    )
    assert run.status == "undone"
    assert isinstance(run.exception().__cause__, errors.StorageError)
    assert (vm.host.name, vm.tags) == ("wf1", frozenset())


def test_several_vms_fail_and_are_undone_each_on_its_own(hosts):
    vms = [hosts["wf1"].vms.create(name=f"v{n}", memory="64MiB", start=True) for n in range(4)]
    world("wf2").faults.add("snapshot_create", error=errors.SnapshotError("disk full"), resource="v2")
    run = (steps.migrate("wf2") >> steps.snapshot("a")).run(vms, hosts=hosts, max_parallel=2)
    assert run.status == "failed"
    assert [vm.host.name for vm in vms] == ["wf2", "wf2", "wf1", "wf2"]
    assert [s.status for s in run.steps if s.vm == "v2"] == ["undone", "failed"]
    with pytest.raises(errors.WorkflowError) as caught:
        run.result()
    assert str(caught.value).startswith("snapshot 'a' failed: 1 of 4 VMs failed: v2: disk full on wf2; undone: migrate to wf2; ")


def test_equal_errors_of_several_vms_are_said_once(hosts):
    vms = [hosts["wf1"].vms.create(name=f"v{n}", memory="64MiB") for n in range(5)]
    run = (steps.start() >> steps.migrate("nowhere")).run(vms, hosts=hosts)
    with pytest.raises(errors.WorkflowError) as caught:
        run.result()
    assert str(caught.value).startswith(
        "migrate to nowhere failed: 5 of 5 VMs failed: v0, v1, v2 and 2 more: no host named 'nowhere' in the fleet; "
        "undone: start (5 times)"
    )


def test_errors_that_differ_by_the_name_of_their_vm_alone_are_said_once(hosts):
    vms = [hosts["wf1"].vms.create(name=f"v{n}", memory="64MiB", start=True) for n in range(3)]
    for vm in vms[:2]:
        vm.suspend()
    run = steps.start().run(vms, hosts=hosts)
    with pytest.raises(errors.WorkflowError) as caught:
        run.result()
    assert "2 of 3 VMs failed: v0, v1: can't start the VM: it is suspended on wf1" in str(caught.value)


def test_the_lines_of_a_run_of_several_vms_name_them(hosts):
    vms = [hosts["wf1"].vms.create(name=f"v{n}", memory="64MiB") for n in range(2)]
    run = steps.start().run(vms, hosts=hosts)
    run.result()
    assert {line.split(" start")[0].strip() for line in str(run).splitlines()[1:]} == {"+ v0:", "+ v1:"}
    assert str(steps.stop().run(vms[0], hosts=hosts)).splitlines()[1].startswith("  + stop")


def test_a_run_of_several_vms_does_no_more_at_a_time_than_asked(hosts):
    vms = [hosts["wf1"].vms.create(name=f"v{n}", memory="64MiB") for n in range(6)]
    guard, now, most, both = threading.Lock(), [0], [0], threading.Barrier(2)

    @step
    def busy(context):
        with guard:
            now[0] += 1
            most[0] = max(most[0], now[0])
        both.wait(60)
        context.wait(0.02)
        with guard:
            now[0] -= 1

    assert busy().run(vms, max_parallel=2).status == "done"
    assert most[0] == 2


def test_cancelling_a_run_of_several_vms_keeps_those_that_are_done(hosts):
    vms = [hosts["wf1"].vms.create(name=f"v{n}", memory="64MiB") for n in range(3)]
    second = threading.Event()

    @step
    def linger(context):
        if context.ref.name == "v1":
            second.set()
            context.wait(60)

    run = (steps.tag("t") >> linger()).run(vms, max_parallel=1, wait=False)
    assert second.wait(60)
    run.cancel()
    with pytest.raises(errors.OperationCancelledError):
        run.result(60)
    assert run.status == "cancelled"
    assert [sorted(vm.refresh().tags) for vm in vms] == [["t"], [], []]
