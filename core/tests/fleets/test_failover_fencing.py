"""Failover: a node is fenced only if its silence is confirmed, and its VMs start elsewhere only if it is off for certain."""

import pytest

from novacron import errors
from novacron.store.processes import ProcessStore


def test_nothing_is_fenced_until_failover_is_switched_on(racks):
    rack = racks(failover=None)
    rack.create("web1", "a")
    rack.machines["a"].crash()
    assert rack.rounds(rack.controller(), 10) == []
    assert rack.offs == 0


@pytest.mark.parametrize("down", ["ab", "abc", "abcd"])
def test_half_of_the_group_silent_fences_nobody(racks, down):
    rack = racks("abcd")
    controller = rack.well()
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
    controller = rack.well()
    for name in "abc":
        rack.machines[name].cut()
        rack.rounds(controller, 8)
    assert rack.offs == 1


def test_a_controller_that_has_just_started_fences_nobody_for_a_while(racks):
    rack = racks(failover_grace=60)
    rack.well()
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
    controller = rack.well()
    rack.machines["a"].cut()
    rack.rounds(controller, 2)
    rack.clock.now += jump
    rack.rounds(controller, 2)
    rack.machines["a"].mend()
    rack.rounds(controller, 5)
    assert rack.offs == 0


def test_a_disarmed_group_is_not_fenced(rack):
    rack.create("web1", "a")
    controller = rack.well()
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
    controller = rack.well()
    rack.machines["a"].fault = fault
    rack.machines["a"].crash()
    messages = rack.rounds(controller, 8)
    why = {"cut": "can't be reached", "password": "rejected the password"}[fault]
    assert any("second view" in text and why in text for text in messages), messages
    assert rack.status("a") == "suspect"
    assert (rack.machines["a"].bmc_calls == -2) is (fault == "password")  # more wrong passwords might lock the account
    assert rack.twice() == []
    assert rack.running["b"] + rack.running["c"] == []


def test_a_node_without_a_fence_device_is_not_fenced(rack):
    controller = rack.well()
    rack.site.fleet.fencing.remove("a", "bmc")
    rack.machines["a"].crash()
    assert any("no fence device" in text for text in rack.rounds(controller, 6))


def test_a_bmc_that_only_says_yes_needs_a_person(rack):
    rack.create("web1", "a")
    controller = rack.well()
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
    controller = rack.well()
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
    controller = rack.well()
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
    controller = rack.well()
    rack.machines["a"].fault = fault
    rack.machines["a"].cut()
    rack.rounds(controller, 7)
    assert sorted(rack.running["b"] + rack.running["c"]) == ["web1"]


def test_a_person_can_not_confirm_that_a_node_is_off_while_its_vms_hold_their_disks(rack):
    """The storage is the witness: the node does not answer, but its VM still writes."""
    rack.create("web1", "a")
    controller = rack.well()
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
    controller = rack.well()
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


def test_a_machine_that_answers_in_place_of_a_node_is_neither_fenced_nor_taken_for_the_node(rack):
    """A failover began and was cancelled by turns, without end. The fence device may belong to the other machine as well."""
    rack.create("web1", "a")
    controller = rack.well()
    machine = rack.machines["a"]
    name, machine.world.name = machine.world.name, "replaced"
    messages = rack.rounds(controller, 12)
    assert (rack.offs, rack.site.fleet.failover.list(), rack.status("a")) == (0, [], "suspect")
    assert any("is not fenced: another machine answers at its address" in text for text in messages), messages
    assert "another machine" in rack.site.fleet.nodes["a"].reason
    machine.world.name = name
    assert rack.rounds(controller, 3) == []
    assert (rack.status("a"), rack.offs, rack.site.fleet.failover.list()) == ("up", 0, [])


def test_a_machine_that_answers_in_place_of_a_node_that_is_being_fenced_ends_nothing(rack):
    """It is not the node that answers again, and it is not cleaned. A person can still confirm that the node is off."""
    rack.create("web1", "a")
    controller = rack.well()
    machine = rack.machines["a"]
    machine.fault = "ignores"
    machine.cut()
    rack.rounds(controller, 6)
    assert rack.site.fleet.failover["a"].stage == "waiting"
    machine.crash()
    machine.world.name = "replaced"
    machine.boot()
    rack.rounds(controller, 3)
    assert rack.site.fleet.failover["a"].stage == "waiting"
    rack.site.fleet.failover.confirm_fenced("a")
    rack.rounds(controller, 3)
    assert sorted(rack.running["b"] + rack.running["c"]) == ["web1"]
    assert [vm.name for vm in machine.world.all()] == ["web1"]
    assert (rack.site.fleet.failover["a"].stage, rack.status("a")) == ("done", "fenced")


def changed_meanwhile(rack, controller, status):
    """Let a person change the status of node a each time when the controller has just asked the nodes whether they answer."""
    look = controller._look

    def slow(watched):
        seen = look(watched)
        rack.site.fleet.nodes._store.change(rack.site.fleet.nodes["a"].id, status=status, reason="new memory")
        return seen

    controller._look = slow


def test_a_node_whose_maintenance_begins_while_it_is_looked_at_is_not_fenced(rack):
    """Its status was overwritten, and the node on which somebody worked was switched off."""
    rack.create("web1", "a")
    controller = rack.well()
    rack.machines["a"].cut()
    rack.rounds(controller, 3)
    changed_meanwhile(rack, controller, "maintenance")
    messages = rack.rounds(controller, 1)
    assert [text.partition(" ")[2] for text in messages] == ["is not fenced: its status was changed meanwhile"]
    assert (rack.offs, rack.status("a"), rack.site.fleet.failover.list()) == (0, "maintenance", [])


def test_maintenance_leaves_the_status_of_a_failover_alone(rack, monkeypatch):
    """It begins while the node is being emptied. Then the node must not be used again before its failover has ended."""
    maintenance, store = rack.site.fleet.maintenance, rack.site.fleet.nodes._store
    node = rack.site.fleet.nodes["a"].id

    def begins(*_, **__):
        store.change(node, status="fencing", reason="it does not answer")
        raise errors.HostConnectionError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(maintenance, "plan", begins)
        with pytest.raises(errors.HostConnectionError):
            maintenance.enter("a")
    assert rack.status("a") == "fencing"
    with monkeypatch.context() as patch:
        patch.setattr(type(maintenance), "is_away", lambda *_: True)
        for call in (maintenance.enter, maintenance.leave):
            with pytest.raises(errors.InvalidStateError, match="is fencing"):
                call("a")
    rack.site.fleet.nodes.refresh(["a"])
    assert rack.status("a") == "fencing"


class Stop:
    """An event that is set after so many waits, and keeps how long these were."""

    def __init__(self, clock, waits):
        self.clock, self.left, self.waited = clock, waits, []

    def is_set(self):
        return self.left == 0

    def wait(self, seconds):
        self.left -= 1
        self.waited.append(seconds)
        self.clock.sleep(seconds)


def test_a_round_that_takes_long_does_not_delay_the_next_one(rack, monkeypatch):
    """Each silent node makes a round longer. The interval came on top, and made the failover later by half a minute."""
    controller, took, stop = rack.controller(), iter([0.0, 3.0, 20.0]), Stop(rack.clock, 3)
    monkeypatch.setattr(controller, "round", lambda: rack.clock.sleep(next(took)) or [])
    controller.run(stop)
    assert stop.waited == [5.0, 2.0, 0.5]


def test_definitions_are_not_read_while_a_node_has_just_fallen_silent(rack, monkeypatch):
    controller, read = rack.controller(), []
    refresh = controller._refresh
    monkeypatch.setattr(controller, "_refresh", lambda hosts: read.extend(hosts) or refresh(hosts))
    rack.site.fleet.failover.disarm()
    rack.machines["a"].cut()
    rack.rounds(controller, 12)
    assert read == []
    rack.rounds(controller, 1)
    assert sorted(read) == ["b", "c"]  # a node that stays silent delays it no longer


def test_nodes_that_fall_silent_by_turns_do_not_keep_definitions_from_being_stored(rack):
    """There is always one that has just fallen silent. VMs that were created meanwhile, on whatever node, were not restarted."""
    controller = rack.controller()
    vm = rack.create("web1", "c")
    a, b = rack.machines["a"], rack.machines["b"]
    for _ in range(30):
        for silent, answers in ((a, b), (b, a)):
            silent.cut()
            answers.mend()
            rack.rounds(controller, 1)
    assert vm.id not in controller._store.protected()  # for some minutes a failover goes first
    a.cut()
    rack.rounds(controller, 1)
    assert vm.id in controller._store.protected()
    assert rack.offs == 0


def test_a_node_whose_host_is_removed_from_the_fleet_is_not_switched_off(rack):
    """It answers nobody any more, and nothing is wrong with it."""
    rack.create("web1", "a")
    controller = rack.well()
    name = rack.site.fleet.nodes["a"].name
    rack.site.fleet.remove("a")
    messages = rack.rounds(controller, 8)
    assert (rack.offs, rack.site.fleet.failover.list()) == (0, [])
    assert f"{name} is not watched: its host a was removed from the fleet" in messages
    assert rack.running == {"a": ["web1"], "b": [], "c": []}
    rack.machines["b"].crash()  # the others are watched as before
    rack.rounds(controller, 8)
    assert rack.status("b") == "fenced"


def test_a_machine_that_was_replaced_and_its_old_node_are_named_as_not_watched(rack):
    """After a refresh both nodes have the host, and nobody knows which one would answer there."""
    rack.create("web1", "a")
    controller = rack.well()
    old = rack.site.fleet.nodes["a"]
    rack.machines["a"].world.name = "replaced"
    rack.site.fleet.nodes.refresh()
    assert rack.site.fleet.nodes[old.id].status == "unreachable"  # or VMs would be placed on both, with the room of one
    messages = rack.rounds(controller, 8)
    why = f"{old.name} is not watched: its host a leads to other nodes as well (replaced); if its machine was replaced, remove"
    assert any(text.startswith(why) for text in messages), messages
    [vm] = [vm for vm in rack.site.fleet.failover.protection(old.id, refresh=False) if vm.name == "web1"]
    assert (vm.level, vm.why[0].startswith(why)) == ("D", True)

    rack.site.fleet.remove("a")  # what the message says
    rack.site.fleet.nodes.refresh()
    rack.site.fleet.add("a", f"sim://{rack.machines['a'].world.name}")
    rack.site.fleet.nodes.refresh()
    rack.site.fleet.nodes.set("replaced", group="prod")
    assert {node.id for node in rack.site.fleet.nodes.list()} & {old.id} == set()
    assert rack.rounds(controller, 3) == []
