"""Failover: a node that answers again is cleaned before it is used, and one that was only rebooted starts its VMs itself."""

import pytest

from novacron import errors


def test_a_node_that_returns_is_cleaned_before_it_is_used_again(rack):
    rack.create("web1", "a")
    kept = rack.create("off1", "a", start=False)
    controller = rack.well()
    rack.reboot("a", controller, rounds=6)
    rack.rounds(controller, 2)
    assert rack.status("a") == "up"
    assert [vm.name for vm in rack.machines["a"].world.all()] == [kept.name]
    assert rack.site.fleet.failover["a"].stage == "ended"
    assert len(rack.machines["a"].world.pools["default"].volumes) == 2  # the disks are still there
    assert rack.site.fleet.hosts["a"].vms["off1"].start().status == "running"
    assert sorted(rack.running["b"] + rack.running["c"]) == ["web1"]


def test_a_node_that_can_not_be_cleaned_stays_quarantined(rack):
    rack.create("web1", "a")
    controller = rack.well()
    rack.reboot("a", controller, rounds=6)
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
    controller = rack.well()
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


def test_what_was_switched_off_is_started_again_on_a_node_that_answers_before_it_was_seen_off(rack):
    """Its BMC did what it was told, could not be asked afterwards, and somebody switched the node on again."""
    for name, tags in (("web1", []), ("never", ["restart-never"])):
        rack.create(name, "a", tags=tags)
    rack.create("off1", "a", start=False)
    controller = rack.well()
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
    controller = rack.well()
    rack.reboot("a", controller, rounds=rounds)
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
    controller = rack.well()
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
    controller = rack.well()
    machine = rack.reboot("a", controller, rounds=1)
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
    controller = rack.well()
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
    controller = rack.well()
    machine = rack.reboot("a", controller, rounds=1)
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
    controller = rack.well()
    machine = rack.reboot("a", controller, rounds=1)
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
    controller = rack.well()
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
    controller = rack.well()
    machine = off_and_back(rack, controller)
    machine.world.faults.add("vm_list", error=errors.HostConnectionError("the connection was lost"), times=None)
    messages = rack.rounds(controller, 1)
    assert any("the connection was lost" in text for text in messages), messages
    machine.mend()
    rack.rounds(controller, 1)
    assert rack.running == {"a": ["web1"], "b": [], "c": []}
    assert (rack.site.fleet.failover["a"].stage, rack.status("a")) == ("cancelled", "up")


def test_a_node_that_answers_before_its_storage_is_there_starts_its_vms_later(rack):
    """Nobody tried it again: the failover was cancelled, and the VMs stayed off."""
    rack.create("web1", "a")
    controller = rack.well()
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
    controller = rack.well()
    machine = off_and_back(rack, controller)
    machine.world.faults.add("vm_start", error=errors.StorageError("the disk is lost"), times=None)
    rack.rounds(controller, 70)
    failover = rack.site.fleet.failover["a"]
    assert (failover.stage, rack.status("a")) == ("cancelled", "up")
    assert failover.steps[-1].startswith("web1 is not started: the disk is lost")


def test_a_node_that_was_confirmed_as_off_and_answers_is_not_taken_for_off_later(rack):
    """What a person has confirmed does not hold any more once the node has answered."""
    rack.create("web1", "a")
    controller = rack.well()
    machine = off_and_back(rack, controller)
    machine.crash()
    rack.site.fleet.failover.confirm_fenced("a")
    machine.boot()
    machine.world.faults.add("vm_start", error=errors.StorageError("the pool is not active"), times=None)
    rack.rounds(controller, 1)
    failover = rack.site.fleet.failover["a"]
    assert (failover.stage, rack.running) == ("cancelled", {"a": [], "b": [], "c": []})
    assert failover.steps[-1].startswith("web1 is not started: the pool is not active")


def without_room(racks, by="its BMC"):
    """Let a, with one VM that no other node can take and one that fits elsewhere, be seen off. Returns the rack and the controller."""
    rack = racks("abc", vcpus_ratio=1)
    rack.create("large", "a", vcpus=40)
    rack.create("small", "a")
    for name in "bc":
        rack.create(f"full-{name}", name, vcpus=40)
    controller = rack.well()
    if by == "a person":
        rack.machines["a"].fault = "ignores"
        rack.machines["a"].cut()
        rack.rounds(controller, 6)
        rack.machines["a"].crash()
        rack.site.fleet.failover.confirm_fenced("a")
    rack.machines["a"].crash()
    rack.rounds(controller, 6)
    assert {vm.name: vm.status for vm in rack.site.fleet.failover["a"].vms} == {"large": "pending", "small": "running"}
    return rack, controller


def test_a_vm_that_no_other_node_can_take_is_started_on_its_own_node_when_that_returns(racks):
    """It waited for room elsewhere without end, and the node was not used."""
    rack, controller = without_room(racks)
    rack.machines["a"].boot()
    messages = rack.rounds(controller, 2)
    assert any("large: started again" in text for text in messages), messages
    assert (rack.machines["a"].running, rack.status("a")) == (["large"], "up")
    assert [vm.name for vm in rack.machines["a"].world.all()] == ["large"]  # the old definition of the other one is deleted
    failover = rack.site.fleet.failover["a"]
    assert (failover.stage, {vm.name: vm.status for vm in failover.vms}) == ("cancelled", {"large": "moved", "small": "running"})
    assert rack.rounds(controller, 3) == []
    assert len([each for each in rack.site.fleet.allocations() if each.name == "large" and each.active]) == 1
    rack.site.fleet.hosts["b"].vms["full-b"].stop()
    rack.machines["a"].crash()
    rack.rounds(controller, 8)
    assert "large" in rack.running["b"]  # it is protected as before


def test_a_vm_that_no_other_node_can_take_and_that_runs_elsewhere_is_not_started_on_its_own_node(racks):
    """Somebody has found room for it while it waited."""
    rack, controller = without_room(racks)
    vm = next(each for each in rack.machines["a"].world.all() if each.name == "large")
    rack.machines["a"].boot()
    definition = rack.site.fleet.hosts["a"].vms["large"].export().text
    rack.site.fleet.hosts["b"].vms.import_definition(definition)
    rack.machines["b"].world.set_status(rack.machines["b"].world.find(vm.id), "running", "started by another tool")
    rack.rounds(controller, 3)
    assert (rack.machines["a"].running, rack.status("a")) == ([], "up")
    assert "large" in rack.running["b"]


@pytest.mark.parametrize("by", ["its BMC", "a person"])
def test_a_node_that_falls_silent_again_while_its_vms_start_there_is_fenced_anew(racks, by):
    """From the first start on it does not count as off any more, whoever has said so."""
    rack, controller = without_room(racks, by)
    machine = rack.machines["a"]
    machine.fault = ""
    machine.boot()
    machine.world.faults.add("vm_start", error=errors.OperationTimeoutError("no answer", outcome="unknown"), when="after")
    rack.rounds(controller, 1)
    assert (machine.running, rack.site.fleet.failover["a"].stage) == (["large"], "fencing")
    machine.cut()
    rack.site.fleet.hosts["b"].vms["full-b"].stop()
    rack.rounds(controller, 2)
    assert (machine.powered, machine.offs) == (False, 2)
    assert "large" in rack.running["b"]


def test_a_vm_that_can_not_be_started_on_its_own_node_either_is_named_in_the_end(racks):
    rack, controller = without_room(racks)
    rack.machines["a"].boot()
    rack.machines["a"].world.faults.add("vm_start", error=errors.StorageError("the disk is lost"), times=None)
    rack.rounds(controller, 70)
    failover = rack.site.fleet.failover["a"]
    assert (failover.stage, rack.status("a")) == ("cancelled", "up")
    assert [vm.reason for vm in failover.vms if vm.status == "failed"] == ["large is not started: the disk is lost on a"]
