"""Capacity planning: forecasts of nodes, groups and pools, recommendations, and the usage by owner, tag and host."""

import random

import pytest

from novacron.errors import InvalidSpecError
from novacron.monitoring.forecasting import METHODS
from novacron.monitoring.layouts import Layouts, Measured, SeriesKey
from novacron.monitoring.planning import CapacityPlanning
from novacron.monitoring.usage import samples
from novacron.records.capacity import Allocation, Amounts, FleetNode
from novacron.site import Site

HOUR, DAY, GIB = 3600.0, 86400.0, 2**30
DAYS = 10


def measured(layouts, kind, key, host, labels, values):
    layout = layouts.of([SeriesKey(name) for name in values])
    return Measured(kind, key, host, tuple(sorted(labels.items())), layout, [float(value) for value in values.values()])


def hour_of_host(layouts, name, hour, *, busy, used, chance):
    memory = 256 * GIB
    values = {
        "novacron_host_cpu_seconds_total": hour * HOUR * busy,
        "novacron_host_cpus": 16,
        "novacron_host_memory_bytes": memory,
        "novacron_host_memory_free_bytes": memory - used - chance.gauss(0, GIB / 2),
    }
    return measured(layouts, "host", name, name, {"host": name}, values)


def hour_of_pool(layouts, host, hour, chance):
    """A pool of 1000 GiB that holds 400 GiB and takes 10 GiB a day: full after 60 days"""
    used = (400 + hour / 24 * 10 + chance.gauss(0, 1)) * GIB
    values = {"novacron_pool_capacity_bytes": 1000 * GIB, "novacron_pool_allocated_bytes": used}
    return measured(layouts, "pool", f"{host}/default", host, {"host": host, "pool": "default"}, values)


def hour_of_vm(layouts, name, hour, *, cpus, vcpus, used, memory):
    values = {
        "novacron_vm_cpu_seconds_total": hour * HOUR * cpus,
        "novacron_vm_vcpus": vcpus,
        "novacron_vm_memory_bytes": memory,
        "novacron_vm_memory_used_bytes": used,
    }
    return measured(layouts, "vm", name, "a", {"vm": name, "name": name}, values)


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Ten days of two hosts, of which one is busy and gets 2 GiB a day fuller, a pool on each, and two VMs."""
    with Site(tmp_path_factory.mktemp("planning") / "state") as site:
        write_history(site.fleet.metrics.storage)
        yield site.fleet.metrics


def write_history(storage):
    layouts, chance = storage.layouts, random.Random(1)
    start = storage.now() - DAYS * DAY
    for hour in range(DAYS * 24):
        grown = (120 + hour / 24 * 2) * GIB
        rows = [
            hour_of_host(layouts, "a", hour, busy=13, used=grown, chance=chance),
            hour_of_host(layouts, "b", hour, busy=1, used=20 * GIB, chance=chance),
            hour_of_pool(layouts, "a", hour, chance),
            hour_of_pool(layouts, "b", hour, chance),
            hour_of_vm(layouts, "large", hour, cpus=0.3, vcpus=8, used=GIB, memory=8 * GIB),
            hour_of_vm(layouts, "fits", hour, cpus=1.5, vcpus=2, used=3 * GIB, memory=4 * GIB),
        ]
        storage.write(start + (hour + 1) * HOUR, rows, pushed=False)


def planning(metrics, orphans=tuple):
    nodes = [FleetNode(id=name, name=name, host=name, group="prod") for name in "ab"]
    return CapacityPlanning(metrics, lambda: nodes, orphans)


def test_when_nodes_groups_and_pools_are_full(history):
    """The pool of 1000 GiB takes 10 GiB a day, and is full 50 days from now. The group has the sum of its nodes and pools."""
    found = {(one.scope, one.name, one.host, one.resource): one for one in planning(history).forecast()}
    assert set(found) == {
        *(("node", name, name, resource) for name in "ab" for resource in ("cpu", "memory")),
        *(("pool", "default", name, "storage") for name in "ab"),
        *(("group", "prod", "", resource) for resource in ("cpu", "memory", "storage")),
    }
    now = history.storage.now()
    for key in (("pool", "default", "a", "storage"), ("group", "prod", "", "storage")):
        one = found[key]
        assert one.method in METHODS
        assert abs((one.full_p50 - now) / DAY - 50) < 3
        assert now < one.full_p95 <= one.full_p50
    memory = found["node", "a", "a", "memory"]
    assert abs((memory.full_p50 - now) / DAY - 58) < 5
    assert found["node", "b", "b", "memory"].full_p50 is None
    group = found["group", "prod", "", "memory"]
    assert group.size == 512 * GIB
    assert abs(group.used - (found["node", "a", "a", "memory"].used + found["node", "b", "b", "memory"].used)) < GIB
    assert [line.labels["line"] for line in memory.chart()] == ["used", "p50", "p95"]


def test_only_one_scope_or_name_is_forecast_and_too_little_data_is_said(history):
    assert {one.scope for one in planning(history).forecast("group")} == {"group"}
    assert {one.name for one in planning(history).forecast("node", "a")} == {"a"}
    assert all("too little data" in one.problem for one in planning(history).forecast(since="12h"))
    with pytest.raises(InvalidSpecError) as caught:
        planning(history).forecast("rack")
    assert caught.value.problems[0].path == "scope"


def test_vms_that_are_too_large_and_groups_out_of_balance_are_named(history):
    found = {(one.kind, one.subject, one.saved_vcpus, one.saved_memory_bytes) for one in planning(history).recommendations()}
    assert found == {
        ("resize", "large", 7, 0),
        ("resize", "large", 0, int(6.5 * GIB)),
        ("imbalance", "prod", 0, 0),
        ("imbalance", "prod", 0, 0),
    }
    texts = [one.text for one in planning(history).recommendations() if one.kind == "imbalance"]
    assert any("a uses 81% of its cpu and b 6%" in text for text in texts)


def test_volumes_that_nothing_uses_are_named_and_no_others(site):
    """A disk, its backing file, a template's and a snapshot's files are used. If a host does not answer, nothing is named."""
    name = "planning-orphans"
    site.fleet.add(name, f"sim://{name}")
    host = site.fleet.hosts[name]
    host.pools.create_volume(name="left-over", capacity="1GiB")
    host.pools.create_volume(name="base", capacity="1GiB")
    host.pools.create_volume(name="overlay", backing="base")
    vm = host.vms.create(name="web1", memory="64MiB", disks=[{"path": "/sim/default/overlay"}, {"size": "1GiB"}])
    vm.snapshots.create("kept")
    found = site.fleet.planning.recommendations()
    assert [(one.kind, one.subject, one.host) for one in found] == [("orphan", "default/left-over", name)]
    site.fleet.add("planning-absent", "qemu+tcp://127.0.0.1:9/system")
    assert site.fleet.planning.recommendations() == []


def test_usage_is_summed_up_by_owner_tag_and_host(site):
    """Ann has a running VM and a stopped one for ten hours; then she deletes the running one. Its hours stay."""
    storage, fleet = site.fleet.metrics.storage, site.fleet
    nodes = [FleetNode(id="n1", name="kvm1", host="a")]
    running = Allocation(
        vm="1",
        name="web1",
        node="n1",
        owner="ann",
        tags=frozenset({"web"}),
        amounts=Amounts(vcpus=4, memory_bytes=8 * GIB, storage_bytes=GIB),
    )
    stopped = running.replace(vm="2", name="web2", active=False, tags=frozenset())
    layouts, start = Layouts(), storage.now() // HOUR * HOUR - 20 * HOUR
    for hour in range(20):
        rows = []
        for one in samples(nodes, [running, stopped] if hour < 10 else [stopped]):
            key = f"usage {sorted(one.labels.items())} {one.metric}"
            rows.append(measured(layouts, "custom", key, "", one.labels, {one.metric: one.value}))
        storage.write(start + hour * HOUR + 60, rows, pushed=False)
    (ann,) = fleet.planning.usage("owner", since="2d")
    assert (ann.subject, ann.vms) == ("ann", 2)
    assert (ann.vcpu_hours, ann.memory_gib_hours, ann.storage_gib_hours) == (40, 80, 30)
    (web,) = fleet.planning.usage("tag", since="2d")
    assert (web.subject, web.vcpu_hours) == ("web", 40)
    (host,) = fleet.planning.usage("host", since="2d")
    assert host.subject == "kvm1"
    parts = fleet.planning.usage("owner", since="2d", step="12h")
    assert sum(part.vcpu_hours for part in parts) == 40
    assert len(parts) > 1
    with pytest.raises(InvalidSpecError):
        fleet.planning.usage("rack")


def test_the_collector_records_the_usage(site):
    """A VM that is created on a managed node counts for who created it."""
    name = "planning-usage"
    site.fleet.add(name, f"sim://{name}")
    site.fleet.nodes.refresh()
    (node,) = site.fleet.nodes.list()
    site.fleet.nodes.set(node.name, group="prod")
    site.fleet.hosts[name].vms.create(name="web1", memory="1GiB", vcpus=2, start=True)
    made = site.fleet.metrics.collector().collect()
    used = {(s.labels["by"], s.metric): s.value for s in made.samples() if s.metric.startswith("novacron_usage")}
    assert used["owner", "novacron_usage_vcpus"] == 2.0
    assert used["host", "novacron_usage_memory_bytes"] == GIB
