"""Flows on a vSphere: the same file as on other hypervisors, moves between nodes, and a process that is killed."""

from __future__ import annotations

import random
import time

import pytest

import novacron
from novacron import DiskSpec, VMSpec
from novacron.workflow import Workflow, steps
from novacron_lab.vcenter import PASSWORD

FILE = {
    "format": 1,
    "name": "move-and-keep",
    "flow": {
        "node": "sequence",
        "nodes": [
            {"node": "step", "kind": "snapshot", "arguments": {"name": "before"}},
            {"node": "flow", "name": "migrate_then_snapshot", "arguments": {"to": "b", "name": "after"}},
        ],
    },
}


@pytest.fixture
def hosts(simulator, monkeypatch):
    monkeypatch.setenv("NOVACRON_VSPHERE_PASSWORD", PASSWORD)  # for other processes that go on with a run
    two = simulator("-datacenters", "2")
    with (
        novacron.connect(two.uri(path="/DC0"), name="a", password=two.password) as a,
        novacron.connect(two.uri(path="/DC1"), name="b", password=two.password) as b,
    ):
        yield {"a": a, "b": b}


@pytest.fixture
def vm(hosts):
    return hosts["a"].vms.create(
        VMSpec(name="flowing", memory="64MiB", node="DC0_C0_H0", disks=[DiskSpec(size="1MiB")], start=True)
    )


def test_the_same_file_runs_here(hosts, vm):
    """As on simulated hosts and KVM."""
    flow = Workflow.from_dict(FILE)
    plan = flow.plan(vm, hosts=hosts)
    assert plan.ok, plan
    run = flow.run(vm, hosts=hosts)
    assert run.status == "done", run
    there = hosts["b"].vms["flowing"]
    assert (there.status, sorted(s.name for s in there.snapshots.list())) == ("running", ["after", "before"])


def test_what_fails_is_undone(hosts, vm):
    """The migration, and the snapshot."""
    run = (Workflow.from_dict(FILE) >> steps.revert("nothing")).run(vm, hosts=hosts)
    assert run.status == "undone", run
    assert "flowing" not in hosts["b"].vms
    back = hosts["a"].vms["flowing"]
    assert (back.status, back.snapshots.list()) == ("running", [])


def test_a_vm_moves_to_another_node_and_back(hosts, vm):
    """A migration within one host, to a node of it."""
    assert not steps.migrate("a").plan(vm, hosts=hosts).ok
    assert steps.migrate("a", node="DC0_C0_H1").run(vm, hosts=hosts).status == "done"
    assert vm.refresh().record.node == "DC0_C0_H1"
    assert (steps.migrate("a", node="DC0_C0_H2") >> steps.revert("nothing")).run(vm, hosts=hosts).status == "undone"
    assert vm.refresh().record.node == "DC0_C0_H1"


def test_a_run_whose_process_is_killed_ends_as_its_record_says(hosts, vm, processes):
    """At moments of no one's choosing; another process ends it, and vSphere agrees."""
    uris = {name: host.uri for name, host in hosts.items()}
    flow, chance, runs = Workflow.from_dict(FILE), random.Random(5), novacron.fleet().runs
    whole, seen = 0.0, []
    for number in range(5):
        known = {run.id for run in runs.list(limit=None)}
        pid = processes.start("run", uris, vm.id, flow.as_dict())
        if number:
            time.sleep(chance.uniform(0.3, 1.0) * whole)
            processes.end(pid)
            for going in runs.recover():
                going.exception(120)
        else:
            began = time.monotonic()
            processes.wait(pid)
            whole = time.monotonic() - began
        ended = [run for run in runs.list(limit=None) if run.id not in known]
        seen.append(ended[0].status if ended else "not begun")
        if seen[-1] == "done":
            there = hosts["b"].vms[vm.id]
            assert sorted(s.name for s in there.snapshots.list()) == ["after", "before"]
            assert vm.name not in hosts["a"].vms
            for name in ("after", "before"):
                there.snapshots[name].delete()
            there.migrate(hosts["a"])
        else:
            assert seen[-1] == "not begun", ended
            assert hosts["a"].vms[vm.id].snapshots.list() == []
    assert "done" in seen
