"""Faults of the simulated driver: what goes wrong, when, and what is true afterwards."""

import time

import pytest

import novacron
from novacron import errors
from novacron.drivers import sim


@pytest.fixture
def faults(a):
    return sim.world("a").faults


def volumes(host):
    return [v.name for v in host.pools.volumes()]


def test_a_fault_before_the_effect_prevents_it_once(a, faults, make):
    vm = make(a)
    faults.add("vm_start", error=errors.ResourceAllocationError("no memory"))
    with pytest.raises(errors.ResourceAllocationError) as raised:
        vm.start()
    assert (raised.value.outcome, vm.refresh().status, faults.pending) == ("failed", "stopped", [])
    assert vm.start().status == "running"


def test_a_fault_after_the_effect_is_of_unknown_outcome(a, faults, make):
    vm = make(a)
    faults.add("vm_start", when="after")
    with pytest.raises(errors.HostConnectionError) as raised:
        vm.start()
    assert (raised.value.outcome, raised.value.operation, vm.refresh().status) == ("unknown", "vm_start", "running")


def test_what_was_not_sent_is_tried_again_by_itself(a, faults, make):
    vm = make(a)
    faults.add("vm_start", error=errors.HostConnectionError("refused", outcome="not_sent"), times=2)
    assert vm.start().status == "running"


def test_a_fault_strikes_only_the_resource_and_as_often_as_told(a, faults, make):
    first, second = make(a), make(a, "web2")
    faults.add("vm_*", error=errors.DriverError("mine"), times=2, resource="web2")
    first.start()
    for _ in range(2):
        with pytest.raises(errors.DriverError):
            second.start()
    second.start()


@pytest.mark.parametrize(
    ("operation", "do"),
    [
        ("vm_create", lambda vm: vm.host.vms.create(name="new", disks=[{"size": "1GiB"}])),
        ("vm_clone", lambda vm: vm.clone("new")),
        ("template_create", lambda vm: vm.host.invoke("template_create", vm=vm.id, spec=novacron.specs.TemplateSpec(name="t"))),
        ("volume_create", lambda vm: vm.host.pools.create_volume(name="new", capacity="1GiB")),
        ("snapshot_create", lambda vm: vm.snapshots.create("new")),
        ("vm_migrate_storage", lambda vm: vm.host.invoke("vm_migrate_storage", vm=vm.id, pool="other", disks=())),
    ],
)
def test_a_fault_during_an_operation_leaves_nothing_of_it(a, faults, operation, do, make):
    vm = make(a, disks=[{"size": "1GiB"}])
    a.pools.create(name="other")
    faults.add(operation, error=errors.StorageError("broke"), when="during")
    before = vm.refresh().record
    with pytest.raises(errors.StorageError):
        do(vm)
    assert vm.refresh().record == before
    assert (volumes(a), a.pools.volumes("other"), len(a.vms), len(vm.snapshots)) == (["web1-vda.qcow2"], [], 1, 0)
    do(vm)


def test_a_migration_that_breaks_half_way_leaves_the_vm_at_the_source(a, b, faults, make):
    vm = make(a, disks=[{"size": "1GiB"}], start=True)
    faults.add("vm_migrate", error=errors.MigrationError("wire cut"), when="during")
    with pytest.raises(errors.MigrationError):
        vm.migrate(to=b)
    assert (vm.refresh().status, len(b.vms), volumes(b)) == ("running", 0, [])


def test_a_migration_whose_answer_is_lost_has_happened(a, b, faults, make):
    vm = make(a, start=True)
    faults.add("vm_migrate", when="after")
    with pytest.raises(errors.HostConnectionError) as raised:
        vm.migrate(to=b)
    assert (raised.value.outcome, len(a.vms), b.vms["web1"].status) == ("unknown", 0, "running")


def test_what_hangs_ends_by_itself_when_cancelled_or_when_released(a, faults, make):
    vm = make(a)
    faults.add("vm_get", hang=0.05)
    with pytest.raises(errors.OperationTimeoutError) as raised:
        vm.refresh()
    assert raised.value.outcome == "unknown"
    faults.add("vm_clone", hang=60)
    job = vm.clone("copy", wait=False)
    job.cancel()
    with pytest.raises(errors.OperationCancelledError):
        job.wait(60)
    faults.add("vm_clone", hang=60, times=None)
    job = vm.clone("copy", wait=False)
    while not job.done():
        faults.clear()
        job.wait_cancelled(0.01)
    assert job.wait(60).name == "copy"


def test_latency_comes_from_the_uri_and_from_faults(a, faults):
    with novacron.connect("sim://a?latency=30ms&jitter=1ms") as slow:
        began = time.monotonic()
        assert slow.ping().latency_seconds >= 0.03
        assert time.monotonic() - began >= 0.03
    faults.latency = faults.jitter = 0.0
    faults.add("host_info", latency=0.03, times=None)
    began = time.monotonic()
    a.info()
    assert time.monotonic() - began >= 0.03
