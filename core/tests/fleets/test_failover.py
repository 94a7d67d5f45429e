"""Failover: VMs of a failed node run again elsewhere, only after the node is off for certain, and never twice."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from failover_rack import Rack, watch

from novacron import errors
from novacron.plugins import hookimpl
from novacron.store.processes import ProcessStore


@pytest.fixture
def racks(tmp_path, monkeypatch):
    """Return a function that makes a rack. Afterwards no VM may ever have run twice."""
    made, seen = [], []

    def make(names="abc", **settings):
        rack = Rack(tmp_path / f"state{len(made)}", names, **settings)
        made.append(rack)
        seen.append(watch(rack, monkeypatch))
        return rack

    yield make
    for rack in made:
        rack.close()
    assert all(not each for each in seen), seen


@pytest.fixture
def rack(racks):
    return racks()


def well(rack, controller=None):
    """Let a controller see that all is well, until its grace period is over."""
    controller = controller or rack.controller()
    assert rack.rounds(controller, 4) == []
    return controller


def test_the_vms_of_a_node_that_fails_run_again_elsewhere(rack):
    for name in ("web1", "web2", "db1"):
        rack.create(name, "a", tags=["restart-first"] if name == "db1" else [])
    rack.create("off1", "a", start=False)
    controller = well(rack)
    rack.machines["a"].crash()
    messages = rack.rounds(controller, 6)
    assert any("is off" in text for text in messages)
    assert rack.running["a"] == []
    assert sorted(rack.running["b"] + rack.running["c"]) == ["db1", "web1", "web2"]
    assert rack.status("a") == "fenced"
    failover = rack.site.fleet.failover["a"]
    assert (failover.stage, {vm.status for vm in failover.vms}) == ("done", {"running"})
    assert failover.vms[0].name == "db1"
    assert rack.machines["a"].offs == 1
    active = {each.name: each.node for each in rack.site.fleet.allocations() if each.active}
    assert set(active) == {"web1", "web2", "db1"}
    assert rack.site.fleet.nodes["a"].id not in active.values()
    assert rack.rounds(controller, 3) == []


def test_a_node_whose_network_alone_failed_is_switched_off_before_its_vms_start_elsewhere(rack):
    rack.create("web1", "a")
    controller = well(rack)
    rack.machines["a"].cut()
    rack.rounds(controller, 6)
    assert (rack.machines["a"].powered, rack.machines["a"].running) == (False, [])
    assert sorted(rack.running["b"] + rack.running["c"]) == ["web1"]


def test_a_node_that_returns_is_cleaned_before_it_is_used_again(rack):
    rack.create("web1", "a")
    kept = rack.create("off1", "a", start=False)
    controller = well(rack)
    rack.machines["a"].crash()
    rack.rounds(controller, 6)
    rack.machines["a"].boot()
    rack.rounds(controller, 2)
    assert rack.status("a") == "up"
    assert [vm.name for vm in rack.machines["a"].world.all()] == [kept.name]
    assert rack.site.fleet.failover["a"].stage == "ended"
    assert len(rack.machines["a"].world.pools["default"].volumes) == 2  # the disks are still there
    assert rack.site.fleet.hosts["a"].vms["off1"].start().status == "running"
    assert sorted(rack.running["b"] + rack.running["c"]) == ["web1"]


def test_a_node_that_can_not_be_cleaned_stays_quarantined(rack):
    rack.create("web1", "a")
    controller = well(rack)
    rack.machines["a"].crash()
    rack.rounds(controller, 6)
    rack.machines["a"].boot()
    rack.machines["a"].world.faults.add("vm_delete", error=errors.DriverError("the disk is broken"), times=2)
    rack.rounds(controller, 1)
    assert rack.status("a") == "quarantined"
    assert "the disk is broken" in rack.site.fleet.nodes["a"].reason
    with pytest.raises(errors.ResourceAllocationError, match="quarantined"):
        rack.site.fleet.hosts["a"].vms["web1"].start()
    rack.rounds(controller, 3)
    assert rack.status("a") == "up"


@pytest.mark.parametrize("running", [False, True])
def test_a_vm_that_no_other_host_has_is_left_on_a_node_that_returns(rack, running):
    vm = rack.create("web1", "a")
    controller = well(rack)
    rack.machines["a"].crash()
    rack.rounds(controller, 6)
    [there] = [name for name in "bc" if rack.running[name]]
    rack.site.fleet.hosts[there].vms["web1"].delete(force=True)
    rack.machines["a"].boot()
    if running:
        rack.machines["a"].world.find(vm.id).status = "running"
    rack.rounds(controller, 2)
    assert rack.status("a") == "quarantined"
    assert f"no other host {'runs' if running else 'has'} it" in rack.site.fleet.nodes["a"].reason
    assert [vm.name for vm in rack.machines["a"].world.all()] == ["web1"]
    assert rack.running["a"] == (["web1"] if running else [])


def test_a_node_whose_vms_something_else_restarts_is_left_to_it(rack):
    rack.create("web1", "a")
    rack.machines["a"].world.restarted_by = "HA of the cluster C0"
    controller = well(rack)
    [found] = rack.site.fleet.failover.protection("a")
    assert (found.level, found.why[0]) == ("D", "HA of the cluster C0 restarts it")
    rack.machines["a"].crash()
    rack.rounds(controller, 10)
    assert (rack.offs, rack.running["b"] + rack.running["c"]) == (0, [])
    assert rack.site.fleet.failover.list() == []


def test_nothing_is_fenced_until_failover_is_switched_on(racks):
    rack = racks(failover=None)
    rack.create("web1", "a")
    rack.machines["a"].crash()
    assert rack.rounds(rack.controller(), 10) == []
    assert rack.offs == 0


@pytest.mark.parametrize("down", ["ab", "abc", "abcd"])
def test_half_of_the_group_silent_fences_nobody(racks, down):
    rack = racks("abcd")
    controller = well(rack)
    for name in down:
        rack.machines[name].cut()
    messages = rack.rounds(controller, 10)
    assert any("may be on this side" in text for text in messages)
    assert rack.offs == 0
    assert {rack.status(name) for name in down} == {"suspect"}
    for name in down:
        rack.machines[name].mend()
    rack.rounds(controller, 2)
    assert {rack.status(name) for name in "abcd"} == {"up"}


def test_nodes_that_fail_one_after_the_other_are_not_all_fenced(racks):
    rack = racks("abcd")
    controller = well(rack)
    for name in "abc":
        rack.machines[name].cut()
        rack.rounds(controller, 8)
    assert rack.offs == 1


def test_a_controller_that_has_just_started_fences_nobody_for_a_while(racks):
    rack = racks(failover_grace=60)
    well(rack)
    rack.machines["a"].crash()
    controller = rack.controller()
    messages = rack.rounds(controller, 11)
    assert rack.offs == 0
    assert any("has observed for" in text for text in messages)
    rack.rounds(controller, 4)
    assert rack.offs == 1


@pytest.mark.parametrize("jump", [60.0, 86_400.0, -3_600.0])
def test_a_controller_that_was_halted_starts_anew(rack, jump):
    """A clock that jumps looks the same: everything that was seen before counts no more."""
    controller = well(rack)
    rack.machines["a"].cut()
    rack.rounds(controller, 2)
    rack.clock.now += jump
    rack.rounds(controller, 2)
    rack.machines["a"].mend()
    rack.rounds(controller, 5)
    assert rack.offs == 0


def test_a_disarmed_group_is_not_fenced(rack):
    rack.create("web1", "a")
    controller = well(rack)
    rack.site.fleet.failover.disarm("prod")
    rack.machines["a"].crash()
    assert any("disarmed" in text for text in rack.rounds(controller, 8))
    rack.site.fleet.failover.arm("prod")
    rack.site.fleet.failover.disarm()
    rack.rounds(controller, 4)
    assert rack.offs == 0
    rack.site.fleet.failover.arm()
    rack.rounds(controller, 3)
    assert sorted(rack.running["b"] + rack.running["c"]) == ["web1"]


@pytest.mark.parametrize("fault", ["cut", "password"])
def test_a_node_whose_bmc_does_not_answer_is_only_suspect(rack, fault):
    rack.create("web1", "a")
    controller = well(rack)
    rack.machines["a"].fault = fault
    rack.machines["a"].crash()
    assert any("second view" in text for text in rack.rounds(controller, 8))
    assert rack.status("a") == "suspect"
    assert rack.twice() == []
    assert rack.running["b"] + rack.running["c"] == []


def test_a_node_without_a_fence_device_is_not_fenced(rack):
    controller = well(rack)
    rack.site.fleet.fencing.remove("a", "bmc")
    rack.machines["a"].crash()
    assert any("no fence device" in text for text in rack.rounds(controller, 6))


def test_a_bmc_that_only_says_yes_needs_a_person(rack):
    rack.create("web1", "a")
    controller = well(rack)
    rack.machines["a"].fault = "ignores"
    rack.machines["a"].cut()
    assert any("confirm-fenced" in text for text in rack.rounds(controller, 8))
    assert rack.site.fleet.failover["a"].stage == "waiting"
    assert rack.running == {"a": ["web1"], "b": [], "c": []}
    rack.rounds(controller, 5)
    assert rack.machines["a"].offs == 1  # nothing is tried again without a person
    rack.machines["a"].crash()  # a person pulls the plug
    rack.site.fleet.failover.confirm_fenced("a")
    rack.rounds(controller, 2)
    assert sorted(rack.running["b"] + rack.running["c"]) == ["web1"]
    assert rack.site.fleet.failover["a"].confirmed_by


def test_a_node_that_answers_while_a_person_is_asked_is_used_again(rack):
    rack.create("web1", "a")
    controller = well(rack)
    rack.machines["a"].fault = "ignores"
    rack.machines["a"].cut()
    rack.rounds(controller, 6)
    rack.machines["a"].mend()
    rack.rounds(controller, 2)
    assert (rack.status("a"), rack.running["a"]) == ("up", ["web1"])
    assert rack.site.fleet.failover["a"].stage == "cancelled"


def test_a_confirmation_is_refused_without_a_failover_or_if_the_host_answers(rack):
    with pytest.raises(errors.InvalidStateError, match="no failover waits"):
        rack.site.fleet.failover.confirm_fenced("a")
    controller = well(rack)
    rack.machines["a"].fault = "ignores"
    rack.machines["a"].cut()
    rack.rounds(controller, 6)
    rack.machines["a"].mend()
    with pytest.raises(errors.InvalidStateError, match="its host answers"):
        rack.site.fleet.failover.confirm_fenced("a")
    assert not rack.site.fleet.failover["a"].confirmed_by


@pytest.mark.parametrize("fault", ["slow", "timeout"])
def test_a_bmc_that_is_slow_or_answers_late_is_read_until_the_node_is_off_twice(rack, fault):
    rack.create("web1", "a")
    controller = well(rack)
    rack.machines["a"].fault = fault
    rack.machines["a"].cut()
    rack.rounds(controller, 7)
    assert sorted(rack.running["b"] + rack.running["c"]) == ["web1"]


def test_vms_that_can_not_be_restarted_are_named_beforehand(rack):
    fleet = rack.site.fleet
    rack.create("auto", "a", autostart=True)
    rack.create("never", "a", tags=["restart-never"])
    rack.create("device", "a", host_devices=[{"pci": "0000:01:00.0"}])
    rack.create("pinned", "a").resources.pin({"0": "1"})
    rack.create("snapped", "a").snapshots.create("before")
    rack.create("uefi", "a", firmware="uefi")
    rack.create("chip", "a", tpm=True)
    rack.create("web1", "a")
    found = {each.name: each for each in fleet.failover.protection("a")}
    words = {
        "auto": "autostart",
        "never": "restart-never",
        "device": "devices of its host",
        "pinned": "pinned",
        "snapped": "snapshots",
        "uefi": "NVRAM",
        "chip": "TPM",
    }
    for name, word in words.items():
        assert (found[name].level, word in "; ".join(found[name].why)) == ("D", True), found[name]
    assert (found["web1"].level, found["web1"].why) == ("C", ())
    fleet.groups.set("prod", storage_lease="virtlockd")
    assert {each.level for each in fleet.failover.protection("a")} == {"A", "D"}
    fleet.groups.set("prod", storage_lease="sanlock", shared_pools=[])
    [local] = [each for each in fleet.failover.protection("a") if each.name == "web1"]
    assert (local.level, "not shared" in local.why[0]) == ("D", True)
    controller = well(rack)
    rack.machines["a"].crash()
    rack.rounds(controller, 6)
    assert rack.running == {"a": [], "b": [], "c": []}
    assert {vm.status for vm in fleet.failover["a"].vms} == {"refused"}


def test_what_was_switched_off_is_started_again_on_a_node_that_answers_before_it_was_seen_off(rack):
    """Its BMC did what it was told, could not be asked afterwards, and somebody switched the node on again."""
    for name, tags in (("web1", []), ("never", ["restart-never"])):
        rack.create(name, "a", tags=tags)
    rack.create("off1", "a", start=False)
    controller = well(rack)
    machine = rack.machines["a"]
    machine.cut()
    machine.bmc_network, machine.bmc_calls = "both ways", 3
    rack.rounds(controller, 6)
    assert (rack.site.fleet.failover["a"].stage, machine.running, rack.offs) == ("waiting", [], 1)
    machine.boot()
    messages = rack.rounds(controller, 2)
    assert any("web1: started again" in text for text in messages), messages
    assert rack.running == {"a": ["web1"], "b": [], "c": []}
    failover = rack.site.fleet.failover["a"]
    assert (failover.stage, failover.steps[-1], rack.status("a")) == ("cancelled", "web1: started again", "up")


@pytest.mark.parametrize("rounds", [1, 2])
def test_what_ran_on_a_node_that_was_rebooted_quickly_is_started_again_there(rack, rounds):
    """The node was not silent for long enough to be fenced."""
    for name, tags in (("web1", []), ("db1", []), ("never", ["restart-never"])):
        rack.create(name, "a", tags=tags)
    rack.create("off1", "a", start=False)
    rack.create("local", "a", disks=[{"size": "1GiB"}])
    controller = well(rack)
    rack.machines["a"].crash()
    rack.rounds(controller, rounds)
    rack.machines["a"].boot()
    messages = rack.rounds(controller, 1)
    said = [text.partition("was rebooted: ")[2] for text in messages]
    assert sorted(said) == [f"{name}: started again" for name in ("db1", "local", "web1")]
    assert rack.running == {"a": ["db1", "local", "web1"], "b": [], "c": []}
    assert (rack.offs, rack.status("a")) == (0, "up")
    assert rack.rounds(controller, 15) == []
    assert {each.name for each in rack.site.fleet.allocations() if each.active} == {"db1", "local", "web1"}


def test_after_a_power_cut_of_the_whole_group_each_node_starts_its_own_vms(rack):
    """Half of the group is silent, so nobody is fenced; one node never returns."""
    for name, node in (("web1", "a"), ("web2", "b"), ("web3", "c")):
        rack.create(name, node)
    controller = well(rack)
    for machine in rack.machines.values():
        machine.crash()
    rack.rounds(controller, 6)
    assert rack.offs == 0
    for name in "ab":
        rack.machines[name].boot()
    rack.rounds(controller, 2)
    assert rack.running["a"][:1] == ["web1"]
    assert rack.running["b"][:1] == ["web2"]


def test_what_a_rebooted_node_can_not_start_at_once_is_tried_again(rack):
    """Its storage is not there yet."""
    rack.create("web1", "a")
    controller = well(rack)
    machine = rack.machines["a"]
    machine.crash()
    rack.rounds(controller, 1)
    machine.boot()
    machine.cut_storage("both ways")
    [message] = rack.rounds(controller, 1)
    assert "the storage can't be reached" in message
    machine.mend_storage()
    [message] = rack.rounds(controller, 1)
    assert message.endswith("was rebooted: web1: started again")
    assert machine.running == ["web1"]


@pytest.mark.parametrize("why", ["still runs", "moved away", "stopped before", "no failover"])
def test_nothing_is_started_on_a_node_that_was_not_rebooted_or_does_not_have_the_vm(racks, why):
    rack = racks(failover="off") if why == "no failover" else racks()
    rack.create("web1", "a")
    rack.create("web2", "a", start=why != "stopped before")
    controller = well(rack)
    fleet, machine = rack.site.fleet, rack.machines["a"]
    definition = fleet.hosts["a"].vms["web1"].export().text
    if why == "still runs":  # the daemon was restarted, and a person stopped a VM
        machine.world.find(fleet.hosts["a"].vms["web2"].id).status = "stopped"
        machine.cut()
    else:
        machine.crash()
    rack.rounds(controller, 1)
    if why == "moved away":
        fleet.hosts["b"].vms.import_definition(definition).start()
    machine.boot()
    rack.rounds(controller, 14)
    expected = {"still runs": ["web1"], "moved away": ["web2"], "stopped before": ["web1"], "no failover": []}
    assert machine.running == expected[why]


def test_a_controller_that_was_halted_starts_nothing_of_long_ago(rack):
    """Its process was halted for an hour, and a person has stopped the VM for good meanwhile."""
    rack.create("web1", "a")
    controller = well(rack)
    machine = rack.machines["a"]
    machine.crash()
    rack.rounds(controller, 1)
    machine.boot()
    machine.cut_storage("both ways")
    [message] = rack.rounds(controller, 1)
    assert "web1 is not started" in message
    machine.mend_storage()
    rack.clock.sleep(3600)
    rack.rounds(controller, 2)
    assert machine.running == []


def test_a_node_that_answers_for_a_moment_does_not_end_the_controller(rack):
    """It was rebooted, and its connection broke when its VMs were listed. They are started when it answers."""
    rack.create("web1", "a")
    controller = well(rack)
    machine = rack.machines["a"]
    machine.crash()
    rack.rounds(controller, 1)
    machine.boot()
    machine.world.faults.add("vm_list", error=errors.HostConnectionError("the connection was lost"), times=None)
    [message] = rack.rounds(controller, 1)
    assert "answers again: it is not known whether its VMs run: the connection was lost" in message
    machine.mend()
    [message] = rack.rounds(controller, 1)
    assert message.endswith("was rebooted: web1: started again")
    assert machine.running == ["web1"]


def off_and_back(rack, controller):
    """Let the fence device of a switch it off and be cut off then, and somebody switch it on again."""
    machine = rack.machines["a"]
    machine.cut()
    machine.bmc_network, machine.bmc_calls = "both ways", 3
    rack.rounds(controller, 6)
    assert (rack.site.fleet.failover["a"].stage, machine.running) == ("waiting", [])
    machine.boot()
    return machine


def test_a_vm_that_may_run_on_a_node_that_is_silent_is_not_started_again(rack):
    """It was migrated while its node did not answer, and the new one is silent now: it ran twice."""
    vm = rack.create("web1", "a")
    controller = well(rack)
    definition = vm.export().text
    off_and_back(rack, controller)
    there = rack.machines["b"]
    rack.site.fleet.hosts["b"].vms.import_definition(definition)
    there.world.set_status(there.world.find(vm.id), "running", "migrated")
    rack.site.fleet.nodes.refresh(["b"])
    there.cut()
    messages = rack.rounds(controller, 2)
    assert rack.running == {"a": [], "b": ["web1"], "c": []}
    assert all("web1 is not started: it may run on b" in text for text in messages), messages
    there.boot()
    rack.rounds(controller, 2)
    assert rack.running == {"a": [], "b": ["web1"], "c": []}
    assert (rack.site.fleet.failover["a"].stage, rack.status("a")) == ("cancelled", "up")


def test_a_node_that_answers_again_and_fails_at_once_does_not_end_the_controller(rack):
    rack.create("web1", "a")
    controller = well(rack)
    machine = off_and_back(rack, controller)
    machine.world.faults.add("vm_list", error=errors.HostConnectionError("the connection was lost"), times=None)
    messages = rack.rounds(controller, 1)
    assert any("the connection was lost" in text for text in messages), messages
    machine.mend()
    rack.rounds(controller, 1)
    assert rack.running == {"a": ["web1"], "b": [], "c": []}
    assert (rack.site.fleet.failover["a"].stage, rack.status("a")) == ("cancelled", "up")


def test_an_error_of_a_plugin_does_not_end_the_controller(rack):
    """A placement filter that raises ended it: nothing was restarted until somebody looked."""
    rack.create("web1", "a")
    wrong = []

    class Plugin:
        @hookimpl
        def placement_filters(self):
            def picky(request, node, view):
                return 1 / (0 if wrong else 1) < 0

            return [picky]

    rack.site.plugins.register(Plugin(), "picky")
    controller = well(rack)
    wrong.append(True)
    rack.machines["a"].crash()
    messages = rack.rounds(controller, 6)
    assert any("the placement filter 'picky' failed" in text for text in messages), messages
    wrong.clear()
    rack.rounds(controller, 2)
    assert [each.status for each in rack.site.fleet.failover["a"].vms] == ["running"]


def test_a_node_that_answers_before_its_storage_is_there_starts_its_vms_later(rack):
    """Nobody tried it again: the failover was cancelled, and the VMs stayed off."""
    rack.create("web1", "a")
    controller = well(rack)
    machine = off_and_back(rack, controller)
    machine.world.faults.add("vm_start", error=errors.StorageError("the pool is not active"), times=None)
    rack.rounds(controller, 3)
    assert (rack.site.fleet.failover["a"].stage, machine.running) == ("fencing", [])
    rack.site.fleet.nodes.refresh(["a"])  # others see that it has ended
    machine.mend()
    rack.rounds(controller, 1)
    assert machine.running == ["web1"]
    assert (rack.site.fleet.failover["a"].steps[-1], rack.status("a")) == ("web1: started again", "up")


def test_a_vm_that_can_not_be_started_again_is_named_in_the_end(rack):
    rack.create("web1", "a")
    controller = well(rack)
    machine = off_and_back(rack, controller)
    machine.world.faults.add("vm_start", error=errors.StorageError("the disk is lost"), times=None)
    rack.rounds(controller, 70)
    failover = rack.site.fleet.failover["a"]
    assert (failover.stage, rack.status("a")) == ("cancelled", "up")
    assert failover.steps[-1].startswith("web1 is not started: the disk is lost")


def test_a_node_that_was_confirmed_as_off_and_answers_is_not_taken_for_off_later(rack):
    """What a person has confirmed does not hold any more once the node has answered."""
    rack.create("web1", "a")
    controller = well(rack)
    machine = off_and_back(rack, controller)
    machine.crash()
    rack.site.fleet.failover.confirm_fenced("a")
    machine.boot()
    machine.world.faults.add("vm_start", error=errors.StorageError("the pool is not active"), times=None)
    rack.rounds(controller, 1)
    failover = rack.site.fleet.failover["a"]
    assert (failover.stage, rack.running) == ("cancelled", {"a": [], "b": [], "c": []})
    assert failover.steps[-1].startswith("web1 is not started: the pool is not active")


def test_a_migration_that_was_arriving_elsewhere_when_the_node_failed_is_waited_for(rack):
    """It counted as moved at once, and was not restarted when the other host undid it."""
    vm = rack.create("web1", "a")
    controller = well(rack)
    rack.site.fleet.hosts["b"].vms.import_definition(vm.export().text)
    there = rack.machines["b"].world
    there.find(vm.id).status = "migrating"
    there.faults.add("vm_settle", error=errors.OperationTimeoutError("it still arrives"), times=None)
    rack.machines["a"].crash()
    rack.rounds(controller, 6)
    [waiting] = rack.site.fleet.failover["a"].vms
    assert (waiting.status, waiting.reason) == ("pending", "it may run on b: it still arrives on b")
    there.faults.clear()
    there.drop(there.find(vm.id))
    rack.rounds(controller, 2)
    assert [each.status for each in rack.site.fleet.failover["a"].vms] == ["running"]
    assert sorted(rack.running["b"] + rack.running["c"]) == ["web1"]


def test_a_vm_whose_migration_has_arrived_is_left_where_it_is(rack):
    vm = rack.create("web1", "a")
    controller = well(rack)
    rack.site.fleet.hosts["b"].vms.import_definition(vm.export().text)
    rack.machines["a"].crash()
    rack.machines["b"].world.find(vm.id).status = "running"
    rack.rounds(controller, 6)
    assert [each.status for each in rack.site.fleet.failover["a"].vms] == ["moved"]
    assert rack.running == {"a": [], "b": ["web1"], "c": []}


def test_what_a_vm_needs_of_its_host_is_named_beforehand(rack, monkeypatch):
    """Kernels, shared folders and secrets: a VM that lacks one of them fails at its start on another host, when nobody has time."""
    fleet = rack.site.fleet
    pools = fleet.hosts["a"].pools
    for name in ("vmlinuz", "initrd"):
        pools.create_volume(name=name, capacity="1MiB", format="raw")
    folder = pools["default"].path
    monkeypatch.setenv("NOVACRON_SECRET_DISK_KEY", "one")
    monkeypatch.setenv("NOVACRON_SECRET_OTHER_KEY", "two")
    rack.create("kernel", "a", kernel={"path": "/boot/vmlinuz", "initrd": f"{folder}/initrd"})
    rack.create("folder", "a", filesystems=[{"source": "/srv/data", "tag": "data"}])
    rack.create("locked", "a", disks=[{"size": "1GiB", "encryption": "other-key"}])
    rack.create("opened", "a", disks=[{"size": "1GiB", "encryption": "disk-key"}])
    rack.create("shared", "a", kernel={"path": f"{folder}/vmlinuz"}, filesystems=[{"source": f"{folder}/data", "tag": "data"}])
    foreign = rack.machines["a"].world.find(rack.create("foreign", "a", disks=[{"size": "1GiB", "encryption": "disk-key"}]).id)
    foreign.options[foreign.disks[0].target].pop("encryption")  # as if another tool had encrypted it
    monkeypatch.delenv("NOVACRON_SECRET_OTHER_KEY")
    found = {each.name: (each.level, each.why) for each in fleet.failover.protection("a")}
    assert found["kernel"] == ("D", ("its kernel is on its host only: /boot/vmlinuz",))
    assert found["folder"] == ("D", ("its shared folder is on its host only: /srv/data",))
    assert found["locked"][0] == "D"
    assert "no secret 'other-key'" in found["locked"][1][0]
    assert found["foreign"] == ("D", ("its disk vda is encrypted with a secret that only its host knows",))
    assert found["opened"] == found["shared"] == ("C", ())
    controller = well(rack)
    rack.machines["a"].crash()
    rack.rounds(controller, 6)
    assert sorted(rack.running["b"] + rack.running["c"]) == ["opened", "shared"]


def test_protection_names_what_is_missing(racks):
    rack = racks(failover="off")
    rack.create("web1", "a")
    rack.site.fleet.fencing.remove("a", "bmc")
    [found] = rack.site.fleet.failover.protection("a")
    assert "failover is off" in found.why[0]
    assert "no fence device" in found.why[1]
    rack.machines["a"].cut()
    [found] = rack.site.fleet.failover.protection("a")
    assert (found.level, found.name) == ("D", "web1")


def test_a_vm_without_room_waits_and_is_named(racks):
    rack = racks("abc", vcpus_ratio=1)
    rack.create("large", "a", vcpus=40)
    for name in "bc":
        rack.create(f"full-{name}", name, vcpus=40)
    controller = well(rack)
    rack.machines["a"].crash()
    rack.rounds(controller, 6)
    [vm] = rack.site.fleet.failover["a"].vms
    assert (vm.status, "40 vCPUs wanted" in vm.reason) == ("pending", True)
    rack.site.fleet.hosts["b"].vms["full-b"].stop()
    rack.rounds(controller, 2)
    assert rack.running["b"] == ["large"]


def test_the_next_node_is_tried_where_one_refuses(rack):
    rack.create("web1", "a")
    controller = well(rack)
    for name in "bc":
        rack.machines[name].world.faults.add("vm_start", error=errors.DriverError("no KVM here"), times=1)
    rack.machines["a"].crash()
    rack.rounds(controller, 9)
    assert sorted(rack.running["b"] + rack.running["c"]) == ["web1"]
    defined = [name for name in "bc" for vm in rack.machines[name].world.all() if vm.name == "web1"]
    assert len(defined) == 1


def test_a_destination_that_fails_as_well_is_fenced_before_the_vm_starts_on_a_third(racks):
    rack = racks("abcde")
    rack.create("web1", "a")
    controller = well(rack)
    for name in "bcde":
        rack.machines[name].world.faults.add(
            "vm_start", error=errors.OperationTimeoutError("late", outcome="unknown"), when="after"
        )
    rack.machines["a"].crash()
    rack.rounds(controller, 5)
    rack.rounds(controller, 2)
    [destination] = [name for name in "bcde" if rack.running[name]]
    rack.machines[destination].cut()
    rack.rounds(controller, 8)
    assert not rack.machines[destination].powered
    assert sum(len(names) for names in rack.running.values()) == 1


def test_a_vm_that_moved_away_just_before_is_not_started_again(rack):
    rack.create("web1", "a")
    controller = well(rack)
    definition = rack.site.fleet.hosts["a"].vms["web1"].export().text
    rack.machines["a"].crash()
    rack.site.fleet.hosts["b"].vms.import_definition(definition).start()  # a person was quicker
    rack.rounds(controller, 7)
    assert rack.running == {"a": [], "b": ["web1"], "c": []}
    [found] = rack.site.fleet.failover["a"].vms
    assert found.status == "moved"


def test_an_error_of_the_database_does_nothing(rack, monkeypatch):
    rack.create("web1", "a")
    controller = well(rack)
    rack.machines["a"].crash()
    rack.rounds(controller, 3)

    def broken(*_):
        raise errors.StorageError("the database can't be reached")

    with monkeypatch.context() as patch:
        patch.setattr(controller._store, "check", broken)
        with pytest.raises(errors.StorageError):
            controller.round()
    assert rack.offs == 0


def test_one_controller_works_and_the_other_waits(rack):
    first, second = rack.controller(), rack.controller(rack.new_site())
    assert rack.rounds(first, 1) == []
    assert any("waiting" in text for text in rack.rounds(second, 1))


def test_controllers_on_postgresql_take_over_from_each_other(postgresql, racks):
    """The second one continues a failover whose first controller has ended between fencing and the restart."""
    rack = racks()
    rack.create("web1", "a")
    first = well(rack)
    rack.machines["a"].crash()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(first, "_restart", lambda *_: [])
        rack.rounds(first, 6)
    assert rack.site.fleet.failover["a"].stage == "restarting"
    ProcessStore(rack.site.database).remove(rack.site.engine.join().id)  # its lease has ended
    second = rack.controller(rack.new_site())
    rack.rounds(second, 2)
    assert sorted(rack.running["b"] + rack.running["c"]) == ["web1"]
    with pytest.raises(errors.BusyError):
        first.round()


def test_a_vm_is_not_started_while_the_lock_of_its_disk_is_held(rack):
    """A network file system keeps the lock of a dead client for a while. The VM says what it waits for, and starts then."""
    rack.create("web1", "a")
    controller = well(rack)
    volume = rack.machines["a"].world.pools["default"].volumes["web1-vda.qcow2"]
    volume.locked = True
    rack.machines["a"].crash()
    rack.rounds(controller, 8)
    [vm] = rack.site.fleet.failover["a"].vms
    assert (vm.status, "waits until its disks are free" in vm.reason) == ("placed", True)
    assert rack.running == {"a": [], "b": [], "c": []}
    volume.locked = False
    rack.rounds(controller, 1)
    assert sorted(rack.running["b"] + rack.running["c"]) == ["web1"]


def test_a_vm_whose_disk_stays_locked_is_given_up_for_a_person(rack):
    rack.create("web1", "a")
    controller = well(rack)
    rack.machines["a"].world.pools["default"].volumes["web1-vda.qcow2"].locked = True
    rack.machines["a"].crash()
    rack.rounds(controller, 32)
    [vm] = rack.site.fleet.failover["a"].vms
    assert (vm.status, "still in use after 120 s" in vm.reason) == ("failed", True)
    assert [each.name for name in "bc" for each in rack.machines[name].world.all()] == []


def test_a_person_can_not_confirm_that_a_node_is_off_while_its_vms_hold_their_disks(rack):
    """The storage is the witness: the node does not answer, but its VM still writes."""
    rack.create("web1", "a")
    controller = well(rack)
    rack.machines["a"].fault = "ignores"
    rack.machines["a"].cut()
    rack.rounds(controller, 6)
    with pytest.raises(errors.InvalidStateError, match=r"sees that a running VM has web1-vda\.qcow2 open") as caught:
        rack.site.fleet.failover.confirm_fenced("a")
    assert "switch it off" in caught.value.hint
    assert not rack.site.fleet.failover["a"].confirmed_by
    rack.machines["a"].crash()
    rack.site.fleet.failover.confirm_fenced("a")
    rack.rounds(controller, 2)
    assert sorted(rack.running["b"] + rack.running["c"]) == ["web1"]


def test_half_silent_with_a_restarted_controller_and_a_clock_that_jumped_fences_nobody(racks):
    """All three at once, in each order."""
    rack = racks("abcd", failover_grace=5)
    controller = well(rack)
    for name in "ab":
        rack.machines[name].cut()
    for jump in (3_600.0, -3_600.0):
        rack.rounds(controller, 6)
        rack.clock.now += jump
        rack.rounds(controller, 6)
        ProcessStore(rack.sites[-1].database).remove(rack.sites[-1].engine.join().id)  # it is killed
        controller = rack.controller(rack.new_site())
    rack.rounds(controller, 6)
    assert (rack.offs, rack.site.fleet.failover.list()) == (0, [])
    rack.machines["b"].mend()
    rack.rounds(controller, 8)
    assert rack.offs == 1  # one silent node of four is a failure of that node
