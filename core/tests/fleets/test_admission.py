"""Admission control: the simulation of failures agrees with a search of all placements, and claims that break it are refused."""

import itertools
import logging
import random
import uuid

import pytest

from novacron import Site, errors
from novacron.fleets.admission import failures_of
from novacron.records.capacity import Allocation, Amounts, FleetNode, Inventory, PlacementRule

GIB = 2**30


def random_group(chance):
    """Return nodes, rules and allocations of a small group."""
    count = chance.randint(2, 4)
    nodes = {
        f"n{number}": FleetNode(
            id=f"n{number}",
            name=f"n{number}",
            host=f"n{number}",
            group="prod",
            cordoned=chance.random() < 0.1,
            labels={"rack": f"r{number % 2}"},
            vcpus=Inventory(total=chance.randint(4, 8), ratio=1.0),
            memory=Inventory(total=chance.randint(4, 8), ratio=1.0),
        )
        for number in range(count)
    }
    rules = [PlacementRule(name="apart", kind="anti-affinity", tag="db", scope=chance.choice(["host", "rack"]))]
    if chance.random() < 0.3:
        rules.append(PlacementRule(name="close", kind="affinity", tag="app", scope="rack"))
    allocations = []
    for number in range(chance.randint(1, 7)):
        node = chance.choice(list(nodes.values()))
        amounts = Amounts(vcpus=chance.randint(1, 4), memory_bytes=chance.randint(1, 4))
        tags = frozenset(tag for tag in ("db", "app") if chance.random() < 0.3)
        if amounts.vcpus <= node.vcpus.free and amounts.memory_bytes <= node.memory.free:
            allocations.append(Allocation(vm=f"v{number}", name=f"v{number}", node=node.id, amounts=amounts, tags=tags))
            nodes[node.id] = node.replace(
                vcpus=node.vcpus.replace(allocated=node.vcpus.allocated + amounts.vcpus),
                memory=node.memory.replace(allocated=node.memory.allocated + amounts.memory_bytes),
            )
    return list(nodes.values()), rules, allocations


def brute_force(nodes, rules, allocations, failed):
    """Return whether any assignment of the failed node's VMs to the other nodes follows all limits and rules."""
    vms = [each for each in allocations if each.node == failed]
    rest = [node for node in nodes if node.id != failed and node.accepts_vms]
    staying = [each for each in allocations if each.node != failed]
    places = {node.id: node for node in nodes}
    for choice in itertools.product(rest, repeat=len(vms)):
        use = {node.id: [node.vcpus.allocated, node.memory.allocated] for node in rest}
        for vm, node in zip(vms, choice, strict=True):
            use[node.id][0] += vm.amounts.vcpus
            use[node.id][1] += vm.amounts.memory_bytes
        if any(use[n.id][0] > n.vcpus.limit or use[n.id][1] > n.memory.limit for n in rest):
            continue
        if all(follows(rule, vms, choice, staying, places) for rule in rules):
            return True
    return False


def follows(rule, vms, choice, staying, places):
    moved = [node.domain(rule.scope) for vm, node in zip(vms, choice, strict=True) if rule.tag in vm.tags]
    there = [places[each.node].domain(rule.scope) for each in staying if rule.tag in each.tags]
    if rule.kind == "anti-affinity":
        return len(set(moved)) == len(moved) and not set(moved) & set(there)
    return set(moved) <= set(there) if there else len(set(moved)) <= 1


def test_the_simulation_agrees_with_all_placements(sample):
    chance = random.Random(20261125)
    verdicts = []
    for _ in range(sample(300, 5000)):
        nodes, rules, allocations = random_group(chance)
        broken = {report.domains[0] for report in failures_of(nodes, rules, allocations)}
        for node in nodes:
            assert (node.id not in broken) == brute_force(nodes, rules, allocations, node.id), (nodes, rules, allocations)
            verdicts.append(node.id in broken)
    assert 0.1 < sum(verdicts) / len(verdicts) < 0.9, "both answers occur"


def test_a_failing_rack_takes_all_its_nodes():
    def node(number):
        return FleetNode(
            id=f"n{number}",
            name=f"n{number}",
            host=f"n{number}",
            labels={"rack": f"r{number // 2}"},
            vcpus=Inventory(total=4, ratio=1.0, allocated=2),
            memory=Inventory(total=4, ratio=1.0, allocated=2),
        )

    nodes = [node(number) for number in range(6)]
    amounts = Amounts(vcpus=2, memory_bytes=2)
    vms = [Allocation(vm=f"v{number}", name=f"v{number}", node=f"n{number}", amounts=amounts) for number in range(6)]
    assert not failures_of(nodes, [], vms, domain="rack")
    assert not failures_of(nodes, [], vms, failures=2)
    assert len(failures_of(nodes, [], vms, failures=2, domain="rack")) == 3
    assert failures_of(nodes[:4], [], vms[:4], failures=1, domain="rack") == []
    assert failures_of(nodes[:3], [], vms[:3], domain="rack")[0].vms


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path / "state") as made:
        yield made


@pytest.fixture
def group(site):
    """Three simulated hosts with 64 CPUs each, in the group "prod"."""
    for name in "abc":
        site.fleet.add(name, f"sim://{name}-{uuid.uuid4().hex[:8]}")
        site.fleet.nodes.refresh([name])
        site.fleet.nodes.set(name, group="prod", vcpus_ratio=1)
    return {name: site.fleet.hosts[name] for name in "abc"}


def test_a_claim_that_breaks_n_plus_1_is_refused(site, group):
    site.fleet.groups.set("prod", failures=1, admission="refuse")
    for name in "abc":
        group[name].vms.create(name=f"vm-{name}", vcpus=40, start=False)
    group["a"].vms["vm-a"].start()
    group["b"].vms["vm-b"].start()
    with pytest.raises(errors.ResourceAllocationError, match="could not restart") as caught:
        group["c"].vms["vm-c"].start()
    assert "vm-" in str(caught.value)
    assert group["c"].vms["vm-c"].status == "stopped"
    assert site.fleet.nodes["c"].vcpus.allocated == 0
    group["b"].vms["vm-b"].migrate("c", storage="copy")  # a migration takes nothing more


def test_a_warning_does_not_refuse(site, group, caplog):
    site.fleet.groups.set("prod", failures=1, admission="warn")
    with caplog.at_level(logging.WARNING, "novacron"):
        for name in "abc":
            group[name].vms.create(name=f"vm-{name}", vcpus=40, start=True)
    assert "could not restart" in caplog.text
    [failures] = [each.failures for each in site.fleet.report().groups if each.name == "prod"]
    assert len(failures) == 3
    assert failures[0].vms[0].startswith("vm-")


def test_bad_settings_are_refused(site, group):
    for bad in ({"failures": 9}, {"admission": "maybe"}, {"failures": -1}):
        with pytest.raises(errors.InvalidSpecError):
            site.fleet.groups.set("prod", **bad)
    with pytest.raises(errors.InvalidSpecError, match="rack"):
        site.fleet.groups.set("prod", failures=1, failure_domain="rack")
