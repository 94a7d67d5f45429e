"""Balancing over simulated days with spikes of load and gaps in the measurements: VMs rest after a move, and no round makes it worse."""

import math
import random
import uuid

import pytest

from novacron import Site
from novacron.fleets.balancing import imbalance, load_of
from novacron.store.nodes import NodeStore

HOSTS, VMS, COOL_DOWN = "abcd", 20, 1800
ROUND = 900
"""Simulated seconds between two rounds of balancing."""


class Load:
    """The CPUs that each VM uses: a daily wave, noise, and spikes in which it uses all of its vCPUs. At times a node is not measured."""

    def __init__(self, seed, vms):
        self._chance = random.Random(seed)
        self._vcpus = {vm.id: vm.vcpus for vm in vms}
        self._spikes = {vm: [self._chance.uniform(0, 7 * 86400) for _ in range(20)] for vm in self._vcpus}
        self._gaps = [(self._chance.choice(HOSTS), self._chance.uniform(0, 7 * 86400)) for _ in range(20)]

    def of_vm(self, vm, now):
        wave = 0.3 + 0.2 * math.sin(now / 86400 * 2 * math.pi) + self._chance.uniform(-0.05, 0.05)
        spike = any(at <= now < at + 3 * 3600 for at in self._spikes[vm])
        return self._vcpus[vm] * (1.0 if spike else wave)

    def measured(self, name, now):
        return not any(host == name and at <= now < at + 2 * 3600 for host, at in self._gaps)


def used(places, uses, node):
    """Return the CPUs that the VMs on a node use."""
    return sum(cpus for vm, cpus in uses.items() if places[vm] == node.id)


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path / "state") as made:
        made.fleet.settings["migrations_per_host"] = 8
        for name in HOSTS:
            made.fleet.add(name, f"sim://{name}-{uuid.uuid4().hex[:8]}")
        made.fleet.nodes.refresh()
        for name in HOSTS:
            made.fleet.nodes.set(name, group="prod", vcpus_ratio=2)
        made.fleet.groups.set("prod", balance_cool_down=COOL_DOWN, balance_threshold=0.05)
        yield made


def test_no_vm_moves_twice_in_its_cool_down_and_no_round_makes_it_worse(site, monkeypatch, sample):
    fleet, store = site.fleet, NodeStore(site.database)
    chance = random.Random(16)
    for number in range(VMS):
        host = fleet.hosts["ab"[number % 2]]
        host.vms.create(name=f"vm{number}", vcpus=chance.choice([4, 8, 16]), memory=f"{chance.choice([4, 8, 16])}GiB", start=True)
    load, now = Load(16, [vm for name in HOSTS for vm in fleet.hosts[name].vms.list().records]), 1e6
    uses = {}
    monkeypatch.setattr("novacron.store.database.clock", lambda connection: now)
    monkeypatch.setattr(type(fleet), "_vm_cpus", lambda self: uses)
    moved, moves, skipped = {}, 0, 0
    began = now
    while now < began + sample(0.25, 7) * 86400:
        nodes = {node.host: node for node in fleet.nodes.list()}
        measured = [name for name in HOSTS if load.measured(name, now - began)]
        places = {each.vm: each.node for each in fleet.allocations()}
        uses = {vm: load.of_vm(vm, now - began) for vm in places}
        for name, node in nodes.items():
            busy = used(places, uses, node) / node.vcpus.total
            store.change(node.id, cpu_percent=100 * busy if name in measured else None)
        plan = fleet.balance("prod", mode="full", storage="copy")
        skipped += len(HOSTS) - len(measured)
        assert {move.source_host for move in plan.moves} | {move.host for move in plan.moves} <= set(measured)
        for move in plan.moves:
            assert now - moved.get(move.vm, -math.inf) >= COOL_DOWN
            moved[move.vm] = now
        moves += len(plan.moves)
        places = {each.vm: each.node for each in fleet.allocations()}
        after = imbalance(
            [
                (*load_of(node.replace(cpu_percent=0.0))[:2], used(places, uses, node) / node.vcpus.total)
                for node in fleet.nodes.list()
                if node.host in measured
            ]
        )
        assert not plan.moves or after < plan.before
        now += ROUND
    print(f"{moves} moves of {VMS} VMs, {skipped} times a node was not measured")
    assert moves
