"""Nodes and their inventories: what the hypervisors report is stored, and limits that do not fit are refused."""

import uuid

import pytest

from novacron import Site, errors
from novacron.drivers.sim.state.world import world

GIB = 2**30


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path / "state") as made:
        yield made


@pytest.fixture
def add(site):
    """Return a function that adds a simulated host to the fleet, with a name that no other test uses."""

    def make(name, query="", machine=None):
        machine = machine or f"{name}-{uuid.uuid4().hex[:8]}"
        site.fleet.add(name, f"sim://{machine}{query}")
        return machine

    return make


def test_a_node_is_known_by_the_uuid_of_its_machine_whatever_its_names_are(site, add):
    machine = add("one", "?vms=2")
    add("two", machine=machine)
    add("other")
    site.fleet.nodes.refresh()
    nodes = site.fleet.nodes.list()
    assert [sorted(node.hosts) for node in nodes] == [["one", "two"], ["other"]] or [sorted(node.hosts) for node in nodes] == [
        ["other"],
        ["one", "two"],
    ]
    assert site.fleet.nodes["one"] == site.fleet.nodes["two"]
    assert sum(node.vcpus.total for node in nodes) == 128


def test_a_refresh_stores_what_the_vms_take(site, add):
    add("a")
    host = site.fleet.hosts["a"]
    host.vms.create(name="on", vcpus=2, memory="1GiB", disks=[{"size": "5GiB"}], tags={"web"}, start=True)
    host.vms.create(name="off", vcpus=4, memory="2GiB", disks=[{"size": "3GiB"}])
    drifts = site.fleet.nodes.refresh().drifts
    node = site.fleet.nodes["a"]
    assert (node.vcpus.allocated, node.memory.allocated, node.storage.allocated) == (2, GIB, 8 * GIB)
    assert {drift.name for drift in drifts} == {"on", "off"}
    assert [(a.name, a.active, a.tags) for a in site.fleet.allocations("a")] == [
        ("off", False, frozenset()),
        ("on", True, {"web"}),
    ]
    assert not site.fleet.nodes.refresh().drifts


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda vm: vm.stop(), "has stopped"),
        (lambda vm: vm.delete(force=True), "has left"),
        (lambda vm: vm.resources.set_vcpus(1, live=True), "resized"),
    ],
)
def test_what_another_tool_does_is_reported_and_corrected(site, add, change, text):
    machine = add("a")
    vm = site.fleet.hosts["a"].vms.create(name="web", vcpus=2, memory="1GiB", start=True)
    site.fleet.nodes.refresh()
    with Site(site.state.path / "other") as other:
        change(other.connect(f"sim://{machine}").vms[vm.id])
    [drift] = site.fleet.nodes.refresh().drifts
    assert text in drift.what
    assert sum(a.amounts.vcpus for a in site.fleet.allocations()) == site.fleet.nodes["a"].vcpus.allocated < 2


def test_a_host_that_does_not_answer_is_unreachable_and_up_again_later(site, add):
    machine = add("a")
    add("b")
    site.fleet.nodes.refresh()
    world(machine).disconnect()
    site.fleet.hosts.forget("a")
    assert set(site.fleet.nodes.refresh().unreachable) == {"a"}
    assert [site.fleet.nodes[name].status for name in "ab"] == ["unreachable", "up"]
    world(machine).reconnect()
    site.fleet.nodes.refresh()
    assert site.fleet.nodes["a"].status == "up"


def test_the_node_of_a_removed_host_goes_with_its_allocations(site, add):
    add("a", "?vms=3")
    add("b", "?vms=2")
    site.fleet.nodes.refresh()
    site.fleet.remove("a")
    site.fleet.nodes.refresh()
    assert [node.host for node in site.fleet.nodes] == ["b"]
    assert len(site.fleet.allocations()) == 2


def test_the_limits_of_a_node_win_over_its_group_and_the_group_over_the_fleet(site, add):
    add("a")
    add("b")
    site.fleet.nodes.refresh()
    fleet = site.fleet
    fleet.groups.set("fleet", vcpus_ratio=2, memory_reserved="2GiB")
    fleet.groups.set("prod", vcpus_ratio=3)
    fleet.nodes.set("a", group="prod", vcpus_ratio=1.5)
    fleet.nodes.set("b", group="prod")
    assert [(fleet.nodes[n].vcpus.ratio, fleet.nodes[n].memory.reserved) for n in "ab"] == [(1.5, 2 * GIB), (3.0, 2 * GIB)]
    fleet.nodes.set("a", vcpus_ratio=None)
    assert fleet.nodes["a"].vcpus.ratio == 3.0
    fleet.nodes.set("a", group="")
    assert (fleet.nodes["a"].group, fleet.nodes["a"].vcpus.ratio) == (None, 2.0)


@pytest.mark.parametrize("scope", ["node", "group", "fleet"])
def test_a_limit_below_what_is_allocated_is_refused_and_nothing_changes(site, add, scope):
    add("a")
    site.fleet.hosts["a"].vms.create(name="web", vcpus=8, memory="100GiB", start=True)
    site.fleet.nodes.refresh()
    site.fleet.nodes.set("a", group="prod")
    before = site.fleet.nodes["a"]
    change = {
        "node": lambda: site.fleet.nodes.set("a", memory_reserved="200GiB", labels={"rack": "r1"}),
        "group": lambda: site.fleet.groups.set("prod", memory_reserved="200GiB"),
        "fleet": lambda: site.fleet.groups.set("fleet", vcpus_ratio=0.1),
    }[scope]
    with pytest.raises(errors.InvalidSpecError, match="are allocated, the limit would be") as caught:
        change()
    assert before.name in str(caught.value)
    assert site.fleet.nodes["a"] == before
    assert [group.settings for group in site.fleet.groups] == [{}]


@pytest.mark.parametrize(
    "fields",
    [{"memory_backing": {"hugepages": True}}, {"memory_backing": {"locked": True}}, {"host_devices": [{"pci": "0000:01:00.0"}]}],
)
def test_memory_is_not_overcommitted_where_a_vm_locks_its_memory(site, add, fields):
    add("a")
    site.fleet.hosts["a"].vms.create(name="pinned", **fields)
    site.fleet.nodes.refresh()
    with pytest.raises(errors.InvalidSpecError, match="pinned"):
        site.fleet.nodes.set("a", group="prod", memory_ratio=1.5)
    assert site.fleet.nodes.set("a", group="prod", memory_ratio=1.0).memory.ratio == 1.0


@pytest.mark.parametrize(
    "change",
    [
        {"vcpus_ratio": 0},
        {"memory_ratio": -1},
        {"memory_ratio": "all"},
        {"ratio": 1},
        {"labels": {"a b": "x"}},
        {"labels": {"host": "x"}},
        {"labels": {"rack": "r 1"}},
        {"group": "a/b"},
        {"vcpus_reserved": -1},
    ],
)
def test_bad_settings_are_refused(site, add, change):
    add("a")
    site.fleet.nodes.refresh()
    with pytest.raises(errors.InvalidSpecError):
        site.fleet.nodes.set("a", **change)
    with pytest.raises(errors.NodeNotFoundError):
        site.fleet.nodes.set("ghost", group="x")


def test_a_cordoned_node_accepts_no_vms_and_a_report_leaves_it_out(site, add):
    add("a")
    add("b")
    site.fleet.nodes.refresh()
    for name in "ab":
        site.fleet.nodes.set(name, group="prod")
    assert not site.fleet.nodes.cordon("a", "a new disk").accepts_vms
    [group] = site.fleet.report().groups
    assert (group.nodes, group.usable_nodes, group.vcpus.total, group.vcpus.limit) == (2, 1, 64, 256)
    assert site.fleet.nodes.uncordon("a").accepts_vms


def test_a_group_with_members_keeps_its_settings(site, add):
    add("a")
    site.fleet.nodes.refresh()
    site.fleet.nodes.set("a", group="prod")
    with pytest.raises(errors.InvalidStateError, match="nodes belong"):
        site.fleet.groups.remove("prod")
    with pytest.raises(errors.NotFoundError):
        site.fleet.groups["ghost"]
