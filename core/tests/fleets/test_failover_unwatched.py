"""Failover of nodes that are not watched any more: it was switched off for them, or they left the fleet."""

import json

from novacron import errors


def waiting(rack):
    """Let "a" fail with a VM that no other node takes, and return the controller."""
    rack.create("web1", "a")
    controller = rack.well()
    for name in "bc":
        rack.machines[name].world.faults.add("vm_import", error=errors.DriverError("not now"), times=None)
    rack.machines["a"].crash()
    rack.rounds(controller, 8)
    return controller


def left_while_it_was_off(rack):
    """Let "a" fail, its VM restart elsewhere, and its host leave the fleet; return the controller and the URI of the host."""
    rack.create("web1", "a")
    controller = rack.well()
    rack.machines["a"].crash()
    rack.rounds(controller, 8)
    uri = next(each.uri for each in rack.site.fleet.list() if each.name == "a")
    rack.site.fleet.remove("a")
    rack.site.fleet.nodes.refresh()
    rack.rounds(controller, 1)
    return controller, uri


def test_restarts_that_have_begun_continue_when_failover_is_switched_off(rack):
    """The node is not watched any more. That it answers was concluded from that, and its VMs waited for it without end."""
    controller = waiting(rack)
    assert rack.site.fleet.failover["a"].stage == "restarting"
    rack.site.fleet.groups.set("prod", failover="off")
    for name in "bc":
        rack.machines[name].mend()
    messages = rack.rounds(controller, 3)
    assert sorted(rack.running["b"] + rack.running["c"]) == ["web1"], messages


def test_vms_that_wait_when_their_node_leaves_the_fleet_are_named(rack):
    controller = waiting(rack)
    node = rack.site.fleet.nodes["a"].name
    rack.site.fleet.remove("a")
    rack.site.fleet.nodes.refresh()
    assert rack.rounds(controller, 2) == [f"{node} has left the fleet; not restarted: web1"]
    assert not rack.site.fleet.failover.list(unended=True)
    [failover] = rack.site.fleet.failover.list()
    assert (failover.stage, failover.steps[-1]) == ("left", f"{node} has left the fleet; not restarted: web1")
    lines = [json.loads(line) for line in (rack.site.state / "audit.jsonl").read_text().splitlines()]
    assert [line["arguments"] for line in lines if line["operation"] == "failover_end"] == [{"reason": failover.steps[-1]}]


def test_a_node_that_leaves_the_fleet_during_its_failover_is_cleaned_when_it_is_added_again(rack):
    """Its failover has ended, but a stale definition on it could still become a second copy."""
    controller, uri = left_while_it_was_off(rack)
    assert not rack.site.fleet.failover.list(unended=True)
    rack.machines["a"].boot()
    rack.site.fleet.add("a", uri)
    problems = rack.site.fleet.nodes.refresh()
    rack.rounds(controller, 1)
    assert rack.site.fleet.nodes["a"].status == "quarantined", problems
    assert any("the old definition is deleted" in message or "used again" in message for message in rack.rounds(controller, 2))
    assert "web1: the old definition is deleted" in rack.site.fleet.failover["a"].steps
    assert rack.site.fleet.nodes["a"].status == "up"


def test_a_node_that_is_added_again_is_cleaned_although_it_is_silent_at_once(rack):
    """What was seen of it before it left does not count. A second failover would hide the first one, which knows the stale definitions."""
    controller, uri = left_while_it_was_off(rack)
    rack.machines["a"].boot()
    rack.site.fleet.add("a", uri)
    rack.site.fleet.nodes.refresh()
    rack.site.fleet.nodes.set("a", group="prod")
    rack.machines["a"].crash()
    rack.rounds(controller, 1)
    [failover] = rack.site.fleet.failover.list()
    assert failover.stage == "quarantined"
    rack.machines["a"].boot()
    rack.rounds(controller, 3)
    assert "web1: the old definition is deleted" in rack.site.fleet.failover["a"].steps
    assert rack.site.fleet.nodes["a"].status == "up"


def test_silence_before_a_node_was_left_alone_does_not_count(rack):
    """Days after the maintenance of a node that did not answer, one lost answer would switch it off at once."""
    controller = rack.well()
    rack.machines["a"].crash()
    rack.rounds(controller, 3)
    rack.site.fleet.groups.set("prod", failover="off")
    rack.rounds(controller, 1)
    rack.machines["a"].boot()
    rack.site.fleet.nodes.refresh()
    rack.rounds(controller, 8)
    rack.site.fleet.groups.set("prod", failover="on")
    rack.machines["a"].crash()
    rack.rounds(controller, 1)
    assert not rack.site.fleet.failover.list()
    assert rack.site.fleet.nodes["a"].status == "up"
