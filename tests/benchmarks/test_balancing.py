"""Balancing compared with Ganeti's hbal (Debian package ganeti-htools) on the same clusters of 20 nodes: imbalance, moves, CPU time."""

import random
import resource
import shutil
import subprocess
import time

import pytest

from novacron.fleets.balancing import BalancePlanner
from novacron.fleets.placement.planner import Planner
from novacron.fleets.placement.view import FleetView
from novacron.records.capacity import Allocation, Amounts, FleetNode, Inventory

pytestmark = [pytest.mark.benchmark, pytest.mark.skipif(not shutil.which("hbal"), reason="needs the package ganeti-htools")]
MIB, NODES, VMS, MEMORY, CPUS = 2**20, 20, 200, 128 * 1024, 64


def cluster(seed):
    """Return VMs as name, vCPUs, MiB, number of the node. The first nodes have most of them."""
    chance = random.Random(seed)
    sizes, free, found = [(1, 2048), (2, 4096), (4, 8192), (2, 8192), (1, 4096)], [MEMORY] * NODES, []
    for number in range(VMS):
        vcpus, memory = chance.choice(sizes)
        node = next(n for n in iter(lambda: min(int(abs(chance.gauss(0, NODES / 2))), NODES - 1), None) if free[n] >= memory)
        free[node] -= memory
        found.append((f"vm{number}", vcpus, memory, node))
    return found


def ganeti(vms):
    """Return a cluster in the text format of Ganeti's tools."""
    used = [sum(memory for _, _, memory, at in vms if at == node) for node in range(NODES)]
    nodes = [f"node{n:02}|{MEMORY}|0|{MEMORY - used[n]}|1000000|1000000|{CPUS}|N|uuid-1|1||N|0|1|1.0" for n in range(NODES)]
    machines = [f"{name}|{memory}|100|{vcpus}|running|Y|node{at:02}||ext||1|-" for name, vcpus, memory, at in vms]
    return "\n".join(["group1|uuid-1|preferred||", "", *nodes, "", *machines, "", ""])


def score(vms):
    """Return the sum of the standard deviations of the shares of memory and vCPUs over the nodes."""
    total = 0.0
    for index, size in ((2, MEMORY), (1, CPUS * 4)):
        shares = [sum(vm[index] for vm in vms if vm[3] == node) / size for node in range(NODES)]
        mean = sum(shares) / NODES
        total += (sum((share - mean) ** 2 for share in shares) / NODES) ** 0.5
    return total


def hbal(vms, folder):
    """Return the VMs after hbal, the number of its moves, and its CPU seconds."""
    (folder / "cluster").write_text(ganeti(vms))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = ["hbal", "-t", str(folder / "cluster"), "-C", "-S", str(folder / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    places = {}
    for line in (folder / "out.balanced").read_text().splitlines():
        words = line.split("|")
        if words[0].startswith("vm") and len(words) > 8:
            places[words[0]] = int(words[6].removeprefix("node"))
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [(n, v, m, places[n]) for n, v, m, _ in vms], done.stdout.count("gnt-instance migrate"), seconds


def ours(vms, limit):
    """Return the VMs after our plan, the number of its moves, and its CPU seconds."""
    began = time.process_time()
    allocations = [
        Allocation(vm=name, name=name, node=f"n{at}", amounts=Amounts(vcpus=vcpus, memory_bytes=memory * MIB))
        for name, vcpus, memory, at in vms
    ]
    nodes = [
        FleetNode(
            id=f"n{n}",
            name=f"n{n}",
            host=f"n{n}",
            group="prod",
            cpu_percent=0.0,
            memory=Inventory(total=MEMORY * MIB, ratio=1.0, allocated=sum(m * MIB for _, _, m, at in vms if at == n)),
            vcpus=Inventory(total=CPUS, ratio=4.0, allocated=sum(v for _, v, _, at in vms if at == n)),
        )
        for n in range(NODES)
    ]
    planner = BalancePlanner(Planner(), FleetView(nodes), [node.id for node in nodes], (), ())
    moves = planner.plan(allocations, margin=0.0001, limit=limit)
    places = {allocation.vm: int(destination.removeprefix("n")) for allocation, destination, _ in moves}
    return [(n, v, m, places.get(n, at)) for n, v, m, at in vms], len(moves), time.process_time() - began


@pytest.mark.parametrize("seed", range(3))
def test_balancing_is_as_good_as_hbal_with_no_more_moves_and_faster(tmp_path, record_property, seed):
    vms = cluster(seed)
    theirs, their_moves, their_seconds = hbal(vms, tmp_path)
    mine, my_moves, my_seconds = ours(vms, their_moves)
    figures = {
        "before": score(vms),
        "hbal": score(theirs),
        "ours": score(mine),
        "hbal_moves": their_moves,
        "moves": my_moves,
        "hbal_seconds": their_seconds,
        "seconds": my_seconds,
        "faster": their_seconds / my_seconds,
    }
    for name, value in figures.items():
        record_property(name, round(value, 4))
    print({name: round(value, 4) for name, value in figures.items()})
    assert figures["ours"] <= figures["hbal"]
    assert my_moves <= their_moves
    assert figures["faster"] >= 5
