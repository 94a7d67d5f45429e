"""Claims per second of several processes, and the cost of the claim stage where nothing is managed."""

import threading
import time
import uuid

import pytest

from novacron import Site
from novacron.fleets.limits import effective
from novacron.records.capacity import Amounts
from novacron.store.allocations import AllocationStore
from novacron.store.nodes import FoundNode, NodeStore
from novacron.store.takers import Taker

pytestmark = pytest.mark.benchmark


def rate(site, threads=8, seconds=3.0):
    """Return the claims per second of several threads over 64 nodes."""
    nodes, store = NodeStore(site.database), AllocationStore(site.database)
    for number in range(64):
        node = FoundNode(id=f"n{number}", name=f"n{number}", host="h", cpus=10**6, memory=2**60)
        nodes.save(node, ["h"], lambda group, own: effective({}))
    counts = [0] * threads
    until = time.monotonic() + seconds

    def work(number):
        while time.monotonic() < until:
            name = f"{number}-{counts[number]}"
            taker = Taker(vm=name, name=name, amounts=Amounts(vcpus=1, memory_bytes=2**30))
            store.claim(f"n{(number * 7 + counts[number]) % 64}", taker, "me")
            counts[number] += 1

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    return sum(counts) / seconds


def test_claims_per_second_with_sqlite(tmp_path, record_property):
    with Site(tmp_path) as site:
        found = rate(site)
    record_property("claims_per_second", found)
    assert found > 100


def test_the_claim_stage_costs_nothing_without_groups(tmp_path):
    """A start and stop with the stage take at most a tenth longer than the driver's simulated latency alone."""
    with Site(tmp_path) as site:
        vm = site.connect(f"sim://{uuid.uuid4().hex}").vms.create(name="web")
        stage = [0.0, 0]
        managed = site._managed

        began = time.perf_counter()
        for _ in range(1000):
            bool(managed)
        stage[0] = (time.perf_counter() - began) / 1000
        began = time.perf_counter()
        for _ in range(50):
            vm.start()
            vm.stop()
        operation = (time.perf_counter() - began) / 100
    assert stage[0] < operation / 10
