"""Claims per second of several processes, and the cost of the claim stage where nothing is managed."""

import sqlite3
import subprocess
import sys
import time
import uuid
from contextlib import closing

import pytest

from novacron import Site
from novacron.fleets.limits import effective
from novacron.store.nodes import FoundNode, NodeStore

pytestmark = pytest.mark.benchmark
NODES = 64
CLAIMING = f"""
import sys, time
from novacron import Site
from novacron.records.capacity import Amounts
from novacron.store.allocations import AllocationStore
from novacron.store.takers import Taker

folder, number, seconds = sys.argv[1] or None, int(sys.argv[2]), float(sys.argv[3])
with Site(folder) as site:
    store, count = AllocationStore(site.database), 0
    store.list("n0")
    print("ready", flush=True)
    sys.stdin.readline()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        name = f"{{number}}-{{count}}"
        taker = Taker(vm=name, name=name, amounts=Amounts(vcpus=1, memory_bytes=2**30))
        store.claim(f"n{{(number * 7 + count) % {NODES}}}", taker, "me")
        count += 1
    print(count)
"""


def rate(site, folder="", processes=8, seconds=3.0):
    """Return the claims per second of several processes over 64 nodes. They begin together."""
    nodes = NodeStore(site.database)
    for number in range(NODES):
        node = FoundNode(id=f"n{number}", name=f"n{number}", host="h", cpus=10**6, memory=2**60)
        nodes.save(node, ["h"], lambda group, own: effective({}))
    command = [sys.executable, "-c", CLAIMING, str(folder)]
    started = [
        subprocess.Popen([*command, str(number), str(seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in range(processes)
    ]
    assert [each.stdout.readline() for each in started] == ["ready\n"] * processes
    for each in started:
        each.stdin.write("\n")
        each.stdin.flush()
    counts = [int(each.communicate(timeout=60 + seconds)[0]) for each in started]
    assert sum(node.vcpus.allocated for node in nodes.list()) == sum(counts)
    return sum(counts) / seconds


def commits(file, seconds=1.0):
    """Return the transactions per second of one connection that changes one row each time: what the disk allows."""
    with closing(sqlite3.connect(file)) as connection:
        count, until = 0, time.monotonic() + seconds
        while time.monotonic() < until:
            connection.execute("UPDATE nodes SET generation = generation + 1 WHERE id = 'n0'")
            connection.commit()
            count += 1
    return count / seconds


def test_claims_per_second_with_sqlite(tmp_path, record_property):
    with Site(tmp_path) as site:
        found, bare = rate(site, tmp_path), commits(tmp_path / "state.db")
    record_property("claims_per_second", found)
    record_property("commits_per_second", bare)
    print(f"{found:.0f} claims a second, {bare:.0f} bare commits")
    assert found > bare / 10


def test_claims_per_second_with_postgresql(postgresql, record_property):
    """The fixture sets the state database."""
    with Site() as site:
        found = rate(site)
    print(f"{found:.0f} claims a second")
    record_property("claims_per_second", found)
    assert found > 0


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
