"""`diagnose()`: each finding is provoked."""

import itertools
import os
import shutil
from types import SimpleNamespace

import pytest

import novacron
from novacron import errors
from novacron.drivers import sim
from novacron.fleets import diagnosis
from novacron.plugins.discovery import DriverRegistry
from novacron.records.questions import Question
from novacron.state import StateDirectory

WORLDS = itertools.count()


@pytest.fixture
def host():
    name = f"diagnosis-{next(WORLDS)}"
    with novacron.connect(f"sim://{name}") as found:
        yield found


@pytest.fixture
def world(host):
    return sim.world(host.name)


def wrong(findings):
    """What is not in order, as pairs (check, status); each has a hint."""
    found = [each for each in findings if each.status != "ok"]
    assert all(each.hint for each in found)
    return [(each.check, each.status) for each in found]


def test_a_healthy_host_has_nothing_to_repair(host):
    findings = host.diagnose()
    assert wrong(findings) == []
    assert {each.check for each in findings} >= {"connection", "kvm", "memory", "storage", "network"}


@pytest.mark.parametrize(
    ("free", "status"), [(0.5, "ok"), (0.09, "warning"), (0.01, "problem")], ids=["space", "little space", "full"]
)
def test_a_full_pool_is_named(host, world, free, status):
    pool = world.pools["default"]
    host.vms.create(name="web1", disks=[{"size": "10GiB", "preallocate": True}])
    pool.capacity_bytes = int(pool.allocated_bytes / (1 - free))
    assert [each.status for each in host.diagnose() if each.check == "storage"] == [status]


def test_inactive_pools_and_networks_are_named_with_the_command_that_starts_them(host, world):
    world.pools["default"].active = world.networks["default"].active = False
    found = host.diagnose()
    assert wrong(found) == [("storage", "warning"), ("network", "warning")]
    assert [each.hint.split("`")[1] for each in found if each.hint] == [
        "novacron pool start default",
        "novacron network start default",
    ]


def test_a_host_without_pools_is_named(host, world):
    world.pools.clear()
    assert wrong(host.diagnose()) == [("storage", "warning")]


def test_little_memory_is_named(host, world):
    host.vms.create(name="big", memory="4GiB", start=True)
    world.memory_bytes = 4 * 2**30 + 1
    assert wrong(host.diagnose()) == [("memory", "warning")]


def test_a_slow_host_is_named(host, world, monkeypatch):
    monkeypatch.setattr(type(host), "ping", lambda _: SimpleNamespace(latency_seconds=2.0, version="1"))
    world.faults.latency = 0.001
    assert wrong(host.diagnose()) == [("connection", "warning"), ("latency", "warning")]


def test_a_check_that_fails_is_a_finding_and_the_others_are_made(host, world):
    world.faults.add("pool_list", error=errors.DriverError("it broke"))
    findings = host.diagnose()
    assert wrong(findings) == [("storage", "problem")]
    assert "network" in {each.check for each in findings}


def test_a_healthy_vm_has_nothing_to_repair(host):
    vm = host.vms.create(name="web1", disks=[{"size": "1GiB"}], nics=[{"network": "default"}], start=True)
    assert wrong(vm.diagnose()) == []


def test_each_defect_of_a_vm_is_named(host, world):
    vm = host.vms.create(name="web1", disks=[{"size": "1GiB"}], nics=[{"network": "default"}], guest_agent=False, start=True)
    next(iter(vm.nics)).link(up=False)
    world.pools["default"].active = False
    world.questions[vm.id] = Question(vm=vm.id, name="web1", host=host.name, id="7", text="Moved?", choices={"0": "Moved"})
    found = wrong(vm.diagnose())
    assert {("question", "problem"), ("disk", "problem"), ("guest agent", "warning"), ("address", "warning")} == set(found)


def test_a_crashed_vm_is_named(host, world):
    vm = host.vms.create(name="web1", start=True)
    world.find(vm.id).status = "crashed"
    assert ("status", "problem") in wrong(vm.diagnose())


def test_a_running_vm_without_nics_has_no_address(host):
    assert wrong(host.vms.create(name="web1", start=True).diagnose()) == [("address", "warning")]


def test_a_vm_that_is_gone_is_not_diagnosed(host):
    vm = host.vms.create(name="web1")
    vm.delete()
    with pytest.raises(errors.VMNotFoundError):
        vm.diagnose()


def test_a_host_that_can_not_be_reached_is_a_finding(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))  # there is no ssh, so that nothing is contacted
    name = f"diagnosis-{next(WORLDS)}"
    fleet = novacron.fleet()
    fleet.add(name, f"sim://{name}")
    fleet.add(f"{name}-ssh", "qemu+ssh://127.0.0.1:9/system")
    sim.world(name).disconnect()
    try:
        found = [each for each in fleet.diagnose() if each.subject in (name, f"{name}-ssh")]
        assert wrong(found) == [("connection", "problem"), ("connection", "problem"), ("ssh", "problem")]
    finally:
        fleet.remove(name)
        fleet.remove(f"{name}-ssh")


@pytest.mark.parametrize(("code", "status"), [(0, "warning"), (255, "problem")], ids=["login", "no login"])
def test_a_login_says_whether_ssh_or_the_daemon_fails(tmp_path, monkeypatch, code, status):
    program = tmp_path / "ssh"
    program.write_text(f"#!/bin/sh\necho 'ann@kvm1: Permission denied (publickey).' >&2\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    error = errors.HostConnectionError("no answer", hint="wait")
    found = diagnosis.unreachable("kvm1", "qemu+ssh://ann@kvm1:2222/system?keyfile=/k&known_hosts=/h", error)
    assert wrong(found) == [("connection", "problem"), ("ssh", status)]
    assert ("Permission denied" in found[1].message) == bool(code)


def machine(state):
    return wrong(diagnosis.diagnose_machine(StateDirectory(state), DriverRegistry()))


@pytest.fixture
def healthy(tmp_path, monkeypatch):
    """A machine with an agent of SSH and a state directory."""
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**40))
    return StateDirectory(tmp_path / "state").create()


def test_a_machine_in_order_has_nothing_to_repair(healthy):
    assert machine(healthy) == []
    assert machine(healthy / "not-there") == []


def test_a_state_directory_that_others_write_to_is_a_problem(healthy):
    healthy.chmod(0o777)
    assert machine(healthy) == [("state directory", "problem")]


def test_files_that_others_can_read_are_named(healthy):
    healthy.chmod(0o755)
    (healthy / "state.db").write_text("")
    (healthy / "state.db").chmod(0o644)
    assert machine(healthy) == [("state directory", "warning")]


@pytest.mark.parametrize(("free", "status"), [(2**20, "problem"), (2**29, "warning")])
def test_little_space_is_named(healthy, monkeypatch, free, status):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert machine(healthy) == [("state directory", status)]


def test_a_machine_without_ssh_or_without_a_key_is_named(healthy, tmp_path, monkeypatch):
    monkeypatch.delenv("SSH_AUTH_SOCK")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert machine(healthy) == [("ssh", "warning")]
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/id_ed25519.pub").write_text("ssh-ed25519 AAAA")
    assert machine(healthy) == []
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert machine(healthy) == [("ssh", "warning")]


def test_a_broken_driver_is_named(healthy):
    def broken(scheme):
        raise errors.PluginError("it can't be imported")

    drivers = SimpleNamespace(schemes=lambda: ["odd"], provider_for=broken)
    assert wrong(diagnosis.diagnose_machine(StateDirectory(healthy), drivers)) == [("driver", "problem")]


def test_waiting_for_cloud_init_goes_on_while_the_guest_is_slow_to_answer(host, world):
    vm = host.vms.create(name="web1", start=True)
    world.faults.add("guest_exec", error=errors.OperationTimeoutError("cloud-init did not end within 30 s"))
    with pytest.raises(errors.OperationTimeoutError, match="is not cloud-init after"):
        vm.wait_for("cloud-init", timeout=0.1)
