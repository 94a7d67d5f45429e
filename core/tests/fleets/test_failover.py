"""Failover: VMs of a node that fails run again elsewhere, and never twice."""

import re

import pytest

from novacron import errors
from novacron.plugins import hookimpl
from novacron.store.processes import ProcessStore


def test_the_vms_of_a_node_that_fails_run_again_elsewhere(rack):
    for name in ("web1", "web2", "db1"):
        rack.create(name, "a", tags=["restart-first"] if name == "db1" else [])
    rack.create("off1", "a", start=False)
    controller = rack.well()
    rack.machines["a"].crash()
    messages = rack.rounds(controller, 6)
    assert any("is off" in text for text in messages)
    assert rack.running["a"] == []
    assert sorted(rack.running["b"] + rack.running["c"]) == ["db1", "web1", "web2"]
    assert rack.status("a") == "fenced"
    failover = rack.site.fleet.failover["a"]
    assert (failover.stage, {vm.status for vm in failover.vms}) == ("done", {"running"})
    assert failover.vms[0].name == "db1"
    assert failover.steps[-2] == "3 VMs were restarted"
    assert re.fullmatch(
        r"it took .*: silent 15\.0 s, fencing 1\.0 s, restart 0\.0 s \(in 1 round, asking .* 0\.0 s\)", failover.steps[-1]
    )
    assert rack.machines["a"].offs == 1
    active = {each.name: each.node for each in rack.site.fleet.allocations() if each.active}
    assert set(active) == {"web1", "web2", "db1"}
    assert rack.site.fleet.nodes["a"].id not in active.values()
    assert rack.rounds(controller, 3) == []


def test_a_node_whose_network_alone_failed_is_switched_off_before_its_vms_start_elsewhere(rack):
    rack.create("web1", "a")
    controller = rack.well()
    rack.machines["a"].cut()
    rack.rounds(controller, 6)
    assert (rack.machines["a"].powered, rack.machines["a"].running) == (False, [])
    assert sorted(rack.running["b"] + rack.running["c"]) == ["web1"]


def test_a_node_whose_vms_something_else_restarts_is_left_to_it(rack):
    rack.create("web1", "a")
    rack.machines["a"].world.restarted_by = "HA of the cluster C0"
    controller = rack.well()
    [found] = rack.site.fleet.failover.protection("a")
    assert (found.level, found.why[0]) == ("D", "HA of the cluster C0 restarts it")
    rack.machines["a"].crash()
    rack.rounds(controller, 10)
    assert (rack.offs, rack.running["b"] + rack.running["c"]) == (0, [])
    assert rack.site.fleet.failover.list() == []


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
    rack.machines["a"].world.lock_manager = "none"  # the setting is not believed
    found = {each.level: each.why for each in fleet.failover.protection("a")}
    assert found["C"] == ("the storage lease virtlockd is set, but the lock manager of a is none",)
    rack.machines["a"].world.lock_manager = "sanlock"
    fleet.groups.set("prod", storage_lease="sanlock", shared_pools=[])
    [local] = [each for each in fleet.failover.protection("a") if each.name == "web1"]
    assert (local.level, "not shared" in local.why[0]) == ("D", True)
    controller = rack.well()
    rack.machines["a"].crash()
    rack.rounds(controller, 6)
    assert rack.running == {"a": [], "b": [], "c": []}
    assert {vm.status for vm in fleet.failover["a"].vms} == {"refused"}


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
    controller = rack.well()
    wrong.append(True)
    rack.machines["a"].crash()
    messages = rack.rounds(controller, 6)
    assert any("the placement filter 'picky' failed" in text for text in messages), messages
    wrong.clear()
    rack.rounds(controller, 2)
    assert [each.status for each in rack.site.fleet.failover["a"].vms] == ["running"]


def test_a_migration_that_was_arriving_elsewhere_when_the_node_failed_is_waited_for(rack):
    """It counted as moved at once, and was not restarted when the other host undid it."""
    vm = rack.create("web1", "a")
    controller = rack.well()
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
    controller = rack.well()
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
    controller = rack.well()
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
    controller = rack.well()
    rack.machines["a"].crash()
    rack.rounds(controller, 6)
    [vm] = rack.site.fleet.failover["a"].vms
    assert (vm.status, "40 vCPUs wanted" in vm.reason) == ("pending", True)
    rack.site.fleet.hosts["b"].vms["full-b"].stop()
    rack.rounds(controller, 2)
    assert rack.running["b"] == ["large"]


def test_the_next_node_is_tried_where_one_refuses(rack):
    rack.create("web1", "a")
    controller = rack.well()
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
    controller = rack.well()
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
    controller = rack.well()
    definition = rack.site.fleet.hosts["a"].vms["web1"].export().text
    rack.machines["a"].crash()
    rack.site.fleet.hosts["b"].vms.import_definition(definition).start()  # a person was quicker
    rack.rounds(controller, 7)
    assert rack.running == {"a": [], "b": ["web1"], "c": []}
    [found] = rack.site.fleet.failover["a"].vms
    assert found.status == "moved"


def test_an_error_of_the_database_does_nothing(rack, monkeypatch):
    rack.create("web1", "a")
    controller = rack.well()
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
    first = rack.well()
    rack.machines["a"].crash()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(first, "_restart", lambda *_, **__: [])
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
    controller = rack.well()
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
    controller = rack.well()
    rack.machines["a"].world.pools["default"].volumes["web1-vda.qcow2"].locked = True
    rack.machines["a"].crash()
    rack.rounds(controller, 32)
    [vm] = rack.site.fleet.failover["a"].vms
    assert (vm.status, "still in use after 120 s" in vm.reason) == ("failed", True)
    assert [each.name for name in "bc" for each in rack.machines[name].world.all()] == []


def test_vms_start_in_the_round_in_which_their_node_is_seen_off(rack):
    """A node that does not answer delays each round, so another round would cost seconds."""
    rack.create("web1", "a")
    controller = rack.well()
    rack.machines["a"].crash()
    messages = []
    while not any("is off" in text for text in messages):
        assert rack.running == {"a": [], "b": [], "c": []}
        messages = rack.rounds(controller, 1)
    assert sorted(rack.running["b"] + rack.running["c"]) == ["web1"]


def waits_for_its_disk(rack, controller):
    """Let web1 wait on its destination until its disk is free. Returns the volume and the destination."""
    volume = rack.machines["a"].world.pools["default"].volumes["web1-vda.qcow2"]
    volume.locked = True
    rack.rounds(controller, 6)
    [vm] = rack.site.fleet.failover["a"].vms
    assert vm.status == "placed", vm
    return volume, rack.machines[rack.site.fleet.nodes[vm.destination].host]


def test_a_vm_that_somebody_starts_while_it_waits_on_its_destination_is_not_started_there(rack):
    """Only VMs without a destination were looked for elsewhere, so this one ran twice."""
    vm = rack.create("web1", "a")
    controller = rack.well()
    definition = vm.export().text
    rack.machines["a"].crash()
    volume, destination = waits_for_its_disk(rack, controller)
    other = next(rack.machines[name] for name in "bc" if rack.machines[name] is not destination)
    rack.site.fleet.hosts[other.name].vms.import_definition(definition)
    other.world.set_status(other.world.find(vm.id), "running", "started by another tool")
    volume.locked = False
    rack.rounds(controller, 2)
    [found] = rack.site.fleet.failover["a"].vms
    assert (found.status, found.reason) == ("moved", f"it runs on {other.name}")
    assert (other.running, destination.running, list(destination.world.all())) == (["web1"], [], [])


def fenced_though_it_runs(racks):
    """Fence a, whose fence device belongs to f: a still runs though the device reports that it is off."""
    rack = racks("abcdef")
    rack.site.fleet.fencing.set("a", "bmc", machine="f")
    rack.create("web1", "a")
    controller = rack.well()
    rack.machines["a"].cut()
    return rack, controller, *waits_for_its_disk(rack, controller)


def test_a_node_that_answers_while_its_vms_are_restarted_is_asked_for_them(racks):
    rack, controller, volume, destination = fenced_though_it_runs(racks)
    assert not rack.machines["f"].powered
    rack.machines["a"].mend()
    volume.locked = False
    rack.rounds(controller, 3)
    [found] = rack.site.fleet.failover["a"].vms
    assert (found.status, found.reason) == ("moved", "it runs on a")
    assert (rack.running["a"], destination.running) == (["web1"], [])
    assert rack.status("a") == "quarantined"
    assert "no other host runs it" in rack.site.fleet.nodes["a"].reason


def test_a_node_that_answers_and_does_not_list_its_vms_may_still_run_them(racks):
    """It was treated as one that is off: only the lock of its disk kept the VM from a second start."""
    rack, controller, volume, destination = fenced_though_it_runs(racks)
    rack.machines["a"].mend()
    rack.machines["a"].world.faults.add("vm_list", error=errors.OperationTimeoutError("it takes too long"), times=None)
    volume.locked = False
    messages = rack.rounds(controller, 2)
    assert any("answers, but does not list its VMs" in text for text in messages), messages
    assert (rack.running["a"], destination.running) == (["web1"], [])
    rack.machines["a"].mend()
    rack.rounds(controller, 1)
    assert [each.status for each in rack.site.fleet.failover["a"].vms] == ["moved"]


def test_a_node_whose_network_returns_just_after_it_was_seen_off_is_asked_once_more(racks, monkeypatch):
    """Its fence device belongs to another machine, and its disks have no locks: the VM ran twice."""
    rack = racks("abcdef")
    rack.site.fleet.fencing.set("a", "bmc", machine="f")
    rack.create("web1", "a")
    controller = rack.well()
    rack.machines["a"].cut()
    fence = controller._fencer.fence

    def fence_and_return(*args, **options):
        result = fence(*args, **options)
        rack.machines["a"].mend()
        return result

    monkeypatch.setattr(controller._fencer, "fence", fence_and_return)
    monkeypatch.setattr("novacron.fleets.failover.controller.LAST_LOOK", 60.0)  # the machine of the test may be busy
    messages = rack.rounds(controller, 4)
    assert any("is off" in text for text in messages), messages
    assert not rack.machines["f"].powered
    [found] = rack.site.fleet.failover["a"].vms
    assert (found.status, found.reason) == ("moved", "it runs on a")
    assert {name: vms for name, vms in rack.running.items() if vms} == {"a": ["web1"]}


def test_another_node_is_not_tried_while_the_first_one_may_still_start_the_vm(rack, monkeypatch):
    rack.create("web1", "a")
    controller = rack.well()
    restarter = controller._restarter
    attempt = restarter._attempt

    def refused_late(right, failover, vm, stored, node):
        host = rack.site.fleet.hosts[node.host]
        host.vms.import_definition(stored.definition)
        late = errors.OperationTimeoutError("the start has not ended")
        rack.machines[node.host].world.faults.add("vm_settle", error=late, times=None)
        raise errors.DriverError("no KVM here")

    monkeypatch.setattr(restarter, "_attempt", refused_late)
    rack.machines["a"].crash()
    rack.rounds(controller, 4)
    [vm] = rack.site.fleet.failover["a"].vms
    assert (vm.status, "its definition is still there" in vm.reason) == ("placed", True), vm
    monkeypatch.setattr(restarter, "_attempt", attempt)
    for name in "bc":
        rack.machines[name].world.faults.clear()
    rack.rounds(controller, 1)
    assert rack.running[rack.site.fleet.nodes[vm.destination].host] == ["web1"]
