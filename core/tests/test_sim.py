"""The simulated driver: the contract in memory."""

import threading

import pytest

import novacron
from novacron import errors
from novacron.drivers import sim


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path))


@pytest.fixture(autouse=True)
def no_worlds_left():
    yield
    for name in ("a", "b", "full"):
        sim.forget(name)


@pytest.fixture
def a():
    with novacron.connect("sim://a") as host:
        yield host


@pytest.fixture
def b():
    with novacron.connect("sim://b") as host:
        yield host


def make(host, name="web1", **fields):
    fields.setdefault("memory", "1GiB")
    return host.vms.create(name=name, **fields)


def volumes(host):
    return [v.name for p in host.pools.list() for v in host.pools.volumes(p.name)]


def collect(host, count):
    """Subscribe, and return a function that waits for `count` events."""
    found, enough = [], threading.Event()

    def put(event):
        found.append(event)
        if len(found) >= count:
            enough.set()

    host.subscribe(put)

    def wait():
        assert enough.wait(10), found
        return found

    return wait


class TestLifecycle:
    def test_two_connections_to_one_name_see_the_same_vms(self, a):
        make(a)
        with novacron.connect("sim://a", name="other") as again:
            assert again.vms["web1"].record.host == "other"

    def test_a_vm_goes_through_all_states(self, a):
        vm = make(a)
        assert vm.start().status == "running"
        assert vm.suspend().suspend().status == "suspended"
        assert vm.resume().resume().status == "running"
        assert vm.reboot().reset().status == "running"
        assert vm.save().status == "saved"
        assert vm.restore().status == "running"
        assert vm.shutdown().status == "stopped"
        assert vm.start().stop().status == "stopped"

    @pytest.mark.parametrize("operation", ["stop", "suspend", "resume", "reboot", "reset", "save", "restore", "shutdown"])
    def test_a_stopped_vm_refuses_what_needs_a_running_one(self, a, operation):
        vm = make(a)
        with pytest.raises(errors.InvalidStateError) as raised:
            getattr(vm, operation)()
        assert raised.value.outcome == "failed"
        assert vm.refresh().status == "stopped"


class TestSnapshots:
    def test_revert_brings_back_the_running_vm(self, a):
        vm = make(a, disks=[{"size": "5GiB"}], start=True)
        vm.snapshots.create("one")
        vm.stop()
        assert vm.snapshots["one"].revert().status == "running"


class TestMigration:
    def test_a_running_vm_moves_with_its_volumes_and_snapshots(self, a, b):
        vm = make(a, disks=[{"size": "5GiB"}], start=True)
        vm.snapshots.create("one")
        vm.migrate(to=b)
        assert (vm.host.name, vm.status, len(a.vms)) == ("b", "running", 0)
        assert [s.name for s in vm.snapshots] == ["one"]


class TestEvents:
    def test_changes_are_told_in_order(self, a):
        wait = collect(a, 4)
        vm = make(a).start().stop()
        vm.delete()
        assert [(e.kind, e.status) for e in wait()] == [
            ("vm.defined", "stopped"), ("vm.status", "running"), ("vm.status", "stopped"), ("vm.deleted", "stopped"),
        ]  # fmt: skip
