"""Placement of one VM among 1,000 nodes, also with its claim, and of batches, compared with the bound of a linear program."""

import math
import random
import statistics
import time

import msgspec
import pytest

from novacron import Site
from novacron.fleets.limits import effective
from novacron.fleets.placement.planner import Planner
from novacron.fleets.placement.view import FleetView, Request
from novacron.records.capacity import Amounts, FleetNode, Inventory
from novacron.store.allocations import AllocationStore
from novacron.store.nodes import FoundNode, NodeStore
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


SHAPES = [(8, 4), (16, 8), (2, 16), (4, 32), (4, 8), (8, 16), (1, 2), (12, 6), (2, 24), (3, 7)]
LUMPY = [(24, 20), (10, 60), (16, 40), (40, 50), (20, 64), (12, 16), (32, 100)]


def shaped(count, shapes, seed=5):
    chance = random.Random(seed)
    for number in range(count):
        vcpus, memory = chance.choice(shapes)
        yield Request(taker=Taker(vm=f"v{number}", name=f"v{number}", amounts=Amounts(vcpus=vcpus, memory_bytes=memory * GIB)))


def bound(asked):
    """Return how many nodes of `fleet` a linear program needs: the larger sum of vCPUs and memory, in nodes."""
    vcpus = sum(request.taker.amounts.vcpus for request in asked)
    return math.ceil(max(vcpus / 256, sum(request.taker.amounts.memory_bytes for request in asked) / (512 * GIB)))


@pytest.mark.parametrize("seed", [2, 5, 7])
def test_a_batch_of_ten_thousand_vms_is_within_one_percent_of_the_bound(record_property, seed):
    """Both resources are scarce. 300 nodes are there, and the plan uses as few as possible."""
    asked, view = list(shaped(10_000, SHAPES, seed)), fleet(300)
    began = time.process_time()
    placed, left = Planner().all(asked, view, seconds=0)
    seconds = time.process_time() - began
    used, least = len({node.id for node in placed.values()}), bound(asked)
    print(f"{used} nodes, bound {least}, {100 * (used / least - 1):.2f} % more, {seconds:.2f} s CPU")
    record_property("percent_over_the_bound", 100 * (used / least - 1))
    assert left == []
    assert used <= least * 1.01
    assert all(node.memory.allocated <= node.memory.limit and node.vcpus.allocated <= 256 for node in view.nodes.values())


def test_a_hundred_thousand_vms_on_a_thousand_nodes(record_property):
    view = FleetView(
        msgspec.structs.replace(node, vcpus=Inventory(total=256, ratio=4.0), memory=Inventory(total=2048 * GIB, ratio=1.0))
        for node in fleet(1000).nodes.values()
    )
    asked = list(requests(100_000))
    began = time.process_time()
    placed, left = Planner().all(asked, view, seconds=0)
    seconds = time.process_time() - began
    print(f"{len(placed)} VMs in {seconds:.2f} s CPU, {len({node.id for node in placed.values()})} nodes")
    record_property("cpu_seconds", seconds)
    assert left == []
    assert seconds <= 5


@pytest.mark.parametrize(("shapes", "most"), [(SHAPES, 3.0), (LUMPY, 6.0)], ids=["small", "lumpy"])
def test_vms_that_arrive_one_by_one_leave_little_unused(record_property, shapes, most):
    """VMs arrive until one does not fit. What is then left of the scarcer resource is the gap."""
    view, planner = fleet(40), Planner(strategy=lambda group: "pack")
    for request in shaped(10_000, shapes):
        node = planner.best(request, view)
        if node is None:
            break
        view.add(request.taker, node.id)
    shares = [sum(getattr(node, what).allocated for node in view.nodes.values()) for what in ("vcpus", "memory")]
    gap = 100 * (1 - max(shares[0] / (40 * 256), shares[1] / (40 * 512 * GIB)))
    print(f"gap {gap:.2f} %")
    record_property("gap_percent", gap)
    assert gap <= most


def test_one_vm_with_its_claim(tmp_path, record_property):
    """Among 1,000 nodes that have 100 VMs each. The view is read from the state database as `fleet.place` does."""
    with Site(tmp_path) as site:
        store, claims = NodeStore(site.database), AllocationStore(site.database)
        for number in range(1000):
            found = FoundNode(id=f"n{number}", name=f"n{number}", host=f"n{number}", cpus=64, memory=512 * GIB)
            store.save(found, [f"n{number}"], lambda group, own: effective({}))
            store.change(f"n{number}", group_name="prod")
        planner, placing, both = Planner(), [], []
        view = FleetView(store.list())
        for request in requests(200):
            began = time.perf_counter()
            node = planner.best(request, view)
            chosen = time.perf_counter()
            claims.claim(node.id, request.taker, "benchmark")
            ended = time.perf_counter()
            view.add(request.taker, node.id)
            placing.append(chosen - began)
            both.append(ended - began)
    p99 = [sorted(times)[int(len(times) * 0.99)] * 1000 for times in (placing, both)]
    medians = [statistics.median(times) * 1000 for times in (placing, both)]
    print(f"p99 {p99[0]:.1f} ms, with claim {p99[1]:.1f} ms; median {medians[0]:.1f} and {medians[1]:.1f} ms")
    record_property("p99_milliseconds", p99[0])
    record_property("p99_with_claim_milliseconds", p99[1])
    assert medians[0] < 50
