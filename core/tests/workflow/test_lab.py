"""The first workflow on two real hosts: migrate, then snapshot; back again when something fails."""

import threading

import pytest

from novacron import errors
from novacron.workflow import step, steps

pytestmark = pytest.mark.lab


@pytest.fixture
def hosts(lab_hosts):
    return {host.name: host for host in lab_hosts}


def places(vm, hosts):
    found = {}
    for name, host in hosts.items():
        try:
            found[name] = host.vms[vm.id].status
        except errors.VMNotFoundError:
            pass
    return found


def test_a_real_vm_is_migrated_then_snapshotted_without_losing_a_second(hosts, lab_hosts, boot):
    a, b = lab_hosts
    vm = boot(a, "flow", ticks=2)
    flow = steps.migrate(to=b.name) >> steps.snapshot("after")
    plan = flow.plan(vm, hosts=hosts)
    assert plan.ok, str(plan)
    run = flow.run(vm, hosts=hosts)
    assert run.status == "done", str(run)
    assert places(vm, hosts) == {b.name: "running"}
    assert [s.name for s in vm.snapshots] == ["after"]
    vm.console.wait_for_more_ticks()
    ticks = [n for n, _ in vm.console.ticks]
    assert ticks == list(range(1, len(ticks) + 1))


def test_a_failed_step_brings_a_real_vm_back_still_running(hosts, lab_hosts, boot):
    a, b = lab_hosts
    vm = boot(a, "comeback", ticks=2)

    @step
    def fail(context):
        raise errors.StorageError("no")

    flow = steps.tag("moved") >> steps.snapshot("before") >> steps.migrate(to=b.name) >> steps.snapshot("after") >> fail()
    run = flow.run(vm, hosts=hosts)
    assert run.status == "undone", str(run)
    assert places(vm, hosts) == {a.name: "running"}
    assert (vm.host.name, vm.tags, vm.snapshots.list()) == (a.name, frozenset(), [])
    vm.console.wait_for_more_ticks()
    ticks = [n for n, _ in vm.console.ticks]
    assert ticks == list(range(1, len(ticks) + 1))


def test_cancelling_in_the_middle_of_a_real_migration_leaves_all_as_it_was(hosts, lab_hosts, boot):
    a, b = lab_hosts
    vm = boot(a, "halfway", ticks=2)
    moving = threading.Event()
    flow = steps.snapshot("before") >> steps.migrate(to=b.name, bandwidth="1MiB/s") >> steps.snapshot("after")
    run = flow.run(vm, hosts=hosts, wait=False, on_progress=lambda p: p.details.get("total_bytes") and moving.set())
    assert moving.wait(60)
    run.cancel()
    with pytest.raises(errors.OperationCancelledError, match="undone: snapshot 'before'"):
        run.result(120)
    assert run.status == "cancelled"
    assert places(vm, hosts) == {a.name: "running"}
    assert vm.snapshots.list() == []
