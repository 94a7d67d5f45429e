"""Placement of one VM among 1,000 nodes, and of a batch, compared with the bound by the sum of the sizes."""

import random
import statistics
import time

import pytest

from novacron.fleets.placement.planner import Planner
from novacron.fleets.placement.view import FleetView, Request
from novacron.records.capacity import Amounts, FleetNode, Inventory
from novacron.store.takers import Taker

pytestmark = pytest.mark.benchmark
GIB = 2**30


def fleet(count):
    return FleetView(
        FleetNode(
            id=f"n{number}",
            name=f"n{number}",
            host=f"n{number}",
            group="prod",
            vcpus=Inventory(total=64, ratio=4.0),
            memory=Inventory(total=512 * GIB, ratio=1.0),
            storage=Inventory(total=0),
        )
        for number in range(count)
    )


def requests(count, seed=1):
    chance = random.Random(seed)
    sizes = [(1, 2), (2, 4), (2, 8), (4, 16), (8, 32)]
    for number in range(count):
        vcpus, memory = chance.choice(sizes)
        yield Request(taker=Taker(vm=f"v{number}", name=f"v{number}", amounts=Amounts(vcpus=vcpus, memory_bytes=memory * GIB)))


def test_one_vm_among_a_thousand_nodes(record_property):
    view, planner, times = fleet(1000), Planner(), []
    for request in requests(100):
        began = time.perf_counter()
        node = planner.best(request, view)
        times.append(time.perf_counter() - began)
        view.add(request.taker, node.id)
    record_property("milliseconds_median", statistics.median(times) * 1000)
    assert statistics.median(times) < 0.1


def test_online_placement_is_near_the_bound(record_property):
    """VMs are placed in the order of their arrival until one does not fit: the memory that is then left is the gap."""
    view, planner = fleet(40), Planner()
    total = 40 * 512 * GIB
    for request in requests(10_000):
        node = planner.best(request, view)
        if node is None:
            break
        view.add(request.taker, node.id)
    used = sum(node.memory.allocated for node in view.nodes.values())
    record_property("gap_percent", 100 * (1 - used / total))
    assert used / total > 0.94
