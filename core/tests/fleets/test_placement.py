"""Placement: each node that is not chosen has a reason, rules hold, and plugins can add filters and weighers."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novacron import DiskSpec, Site, VMSpec, errors
from novacron.fleets.placement.planner import Planner
from novacron.fleets.placement.view import FleetView, Request
from novacron.plugins import hookimpl
from novacron.records.capacity import Amounts, FleetNode, Inventory, PlacementRule
from novacron.store.takers import Taker

GIB = 2**30


def node(name, *, vcpus=16, memory=64, used=(0, 0), labels=None, ratio=1.0, **more):
    return FleetNode(
        id=name,
        name=name,
        host=name,
        hosts=(name,),
        **({"group": "prod"} | more),
        labels=labels or {},
        vcpus=Inventory(total=vcpus, ratio=1.0, allocated=used[0]),
        memory=Inventory(total=memory * GIB, ratio=ratio, allocated=used[1] * GIB),
        storage=Inventory(total=100 * GIB),
    )


def request(name="web", vcpus=1, memory=1, tags=(), **more):
    locked = more.pop("locked_memory", ())
    amounts = Amounts(vcpus=vcpus, memory_bytes=memory * GIB)
    return Request(taker=Taker(vm=name, name=name, amounts=amounts, tags=frozenset(tags), locked_memory=locked), **more)


@pytest.mark.parametrize(
    ("there", "asked", "reason"),
    [
        (node("n", status="maintenance"), request(), "it is maintenance"),
        (node("n", cordoned=True, reason="a new disk"), request(), "cordoned (a new disk)"),
        (node("n", group=None), request(), "no group"),
        (node("n"), request(group="test"), "belongs to the group prod"),
        (node("n", used=(16, 0)), request(), "1 vCPUs wanted, 0 vCPUs free"),
        (node("n"), request(memory=65), "65 GiB of memory wanted, 64 GiB free"),
        (node("n"), request(labels={"zone": "east"}), "label zone=east"),
        (node("n", ratio=2.0), request(locked_memory=("huge pages",)), "huge pages"),
        (node("n"), request(excluded=frozenset({"n"})), "excluded"),
    ],
)
def test_each_node_that_is_no_candidate_has_its_reason(there, asked, reason):
    placement = Planner().explain(asked, FleetView([there, node("other")]))
    [rejection] = [each for each in placement.rejected if each.node == "n"]
    assert reason in "; ".join(rejection.reasons)
    assert {each.node for each in placement.candidates} | {each.node for each in placement.rejected} == {"n", "other"}


def test_all_reasons_of_a_node_are_given_at_once():
    placement = Planner().explain(request(vcpus=99, labels={"zone": "x"}), FleetView([node("n", cordoned=True)]))
    assert len(placement.rejected[0].reasons) == 3


@pytest.mark.parametrize(("strategy", "expected"), [("spread", {"empty"}), ("pack", {"full"})])
def test_vms_are_spread_or_packed(strategy, expected):
    nodes = [node("full", used=(12, 48)), node("half", used=(8, 32)), node("empty")]
    assert {Planner(strategy=lambda group: strategy).best(request(), FleetView(nodes)).name} == expected


def test_equal_nodes_share_the_vms():
    view = FleetView([node(f"n{number}") for number in range(4)])
    chosen = {Planner().best(request(f"vm{number}"), view).name for number in range(40)}
    assert chosen == {"n0", "n1", "n2", "n3"}


def test_a_should_rule_is_followed_while_there_is_room():
    view = FleetView([node("a"), node("b", used=(8, 32))], [PlacementRule(name="r", kind="anti-affinity", tag="db", must=False)])
    planner = Planner()
    assert planner.best(request("db1", tags=["db"]), view).name == "a"
    view.add(request("db1", tags=["db"]).taker, "a")
    assert planner.best(request("db2", tags=["db"]), view).name == "b"
    view.add(request("db2", tags=["db"]).taker, "b")
    assert planner.best(request("db3", tags=["db"]), view).name == "a"


sizes = st.tuples(st.integers(1, 6), st.integers(1, 16), st.sets(st.sampled_from(["db", "app", "web"]), max_size=2))


@settings(max_examples=60, deadline=None)
@given(st.lists(sizes, max_size=25), st.integers(1, 6))
def test_whatever_is_placed_breaks_neither_limits_nor_rules(vms, count):
    rules = [
        PlacementRule(name="apart", kind="anti-affinity", tag="db"),
        PlacementRule(name="racks", kind="anti-affinity", tag="web", scope="rack"),
        PlacementRule(name="close", kind="affinity", tag="app", scope="rack"),
    ]
    nodes = [node(f"n{number}", labels={"rack": f"r{number // 2}"}) for number in range(count)]
    view = FleetView(nodes, rules)
    asked = [request(f"vm{number}", *size) for number, size in enumerate(vms)]
    placed, left = Planner().all(asked, view)
    assert len(placed) + len(left) == len(asked)
    for each in view.nodes.values():
        assert each.vcpus.allocated <= each.vcpus.limit
        assert each.memory.allocated <= each.memory.limit
    for rule in rules:
        domains = [
            placed[each.taker.vm].domain(rule.scope) for each in asked if rule.tag in each.taker.tags and each.taker.vm in placed
        ]
        assert len(set(domains)) == (len(domains) if rule.kind == "anti-affinity" else min(1, len(domains)))
    for each in left:  # what is left really fits nowhere
        assert not Planner().explain(each, view).candidates


@settings(max_examples=30, deadline=None)
@given(st.lists(sizes, min_size=1, max_size=15), st.booleans())
def test_the_best_node_is_the_first_candidate_of_the_explanation(vms, labelled):
    """`best` leaves out filters that have nothing to say. It never disagrees with `explain`, which asks all of them."""
    nodes = [node(f"n{number}", vcpus=8, labels={"zone": "ab"[number % 2]}, ratio=1 + number % 2) for number in range(5)]
    view = FleetView([*nodes, node("shut", cordoned=True)], [PlacementRule(name="apart", kind="anti-affinity", tag="db")])
    for number, size in enumerate(vms):
        asked = request(
            f"vm{number}", *size, labels={"zone": "a"} if labelled else {}, locked_memory=("huge pages",) * (number % 2)
        )
        candidates, best = Planner().explain(asked, view).candidates, Planner().best(asked, view)
        assert (best.id if best else None) == (candidates[0].id if candidates else None)
        if best:
            view.add(asked.taker, best.id)


# ---- the fleet


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path / "state") as made:
        yield made


def test_a_vm_is_created_on_the_emptiest_node(site, add):
    for name in "abc":
        add(name)
    hosts = {site.fleet.create(VMSpec(name=f"vm{number}", vcpus=30, start=True)).host.name for number in range(3)}
    assert hosts == {"a", "b", "c"}


def test_a_vm_that_fits_nowhere_is_refused_with_the_reason_of_each_node(site, add):
    add("a")
    add("b")
    site.fleet.nodes.cordon("b", "a new disk")
    with pytest.raises(errors.ResourceAllocationError, match="cordoned") as caught:
        site.fleet.create(VMSpec(name="large", vcpus=65))
    assert "65 vCPUs wanted" in str(caught.value)
    assert "fleet explain" in caught.value.hint


def test_the_next_candidate_is_taken_where_the_best_lacks_a_network(site, add):
    add("a")
    add("b")
    for name in "ab":
        if name == site.fleet.place(VMSpec(name="web")).candidates[0].host:
            site.fleet.hosts[name].networks.delete("default")
            other = "b" if name == "a" else "a"
    assert site.fleet.create(VMSpec(name="web", nics=[{"network": "default"}])).host.name == other


def test_a_group_and_labels_restrict_the_nodes(site, add):
    add("a", labels={"zone": "east"})
    add("b", labels={"zone": "west"})
    add("c", group="test")
    assert {each.node.partition("-")[0] for each in site.fleet.place(VMSpec(name="x"), group="prod").candidates} == {"a", "b"}
    [only] = site.fleet.place(VMSpec(name="x"), labels={"zone": "west"}).candidates
    assert only.host == "b"
    with pytest.raises(errors.NotFoundError, match="ghost"):
        site.fleet.place(VMSpec(name="x"), group="ghost")
    with pytest.raises(errors.InvalidSpecError, match="room"):
        site.fleet.place(VMSpec(name="x"), labels={"room": "1"})


def test_a_group_can_pack(site, add):
    add("a")
    add("b")
    site.fleet.groups.set("prod", strategy="pack")
    hosts = [site.fleet.create(VMSpec(name=f"vm{number}", vcpus=4, start=True)).host.name for number in range(3)]
    assert len(set(hosts)) == 1
    with pytest.raises(errors.InvalidSpecError):
        site.fleet.groups.set("prod", strategy="random")


class Plugin:
    """Places only on nodes whose name begins with "b", and then prefers the last in the alphabet."""

    @hookimpl
    def placement_filters(self):
        def only_b(request, node, view):
            return None if node.name.startswith("b") else "its name does not begin with b"

        return [only_b]

    @hookimpl
    def placement_weighers(self):
        def last(request, nodes, view):
            return [sorted(each.name for each in nodes).index(each.name) for each in nodes]

        last.weight = 100.0
        return [last]


def test_a_plugin_adds_a_filter_and_a_weigher(site, add):
    for name in ("a1", "b1", "b2"):
        add(name)
    site.plugins.register(Plugin(), "only-b")
    placement = site.fleet.place(VMSpec(name="x"))
    assert [each.host for each in placement.candidates] == ["b2", "b1"]
    assert placement.rejected[0].reasons == ("its name does not begin with b",)


@pytest.mark.parametrize("name", ["check", "capacity", "rules"])
def test_filters_of_one_name_are_all_asked(site, add, name):
    """The last one took the place of the others, also of those that are built in: VMs went where a rule forbids it."""
    for node in "abc":
        add(node)

    class Not:
        def __init__(self, refused):
            self.refused = refused

        @hookimpl
        def placement_filters(self):
            def check(request, node, view):
                return f"not {self.refused}" if node.host == self.refused else None

            check.__name__ = name
            return [check]

    for node in "ab":
        site.plugins.register(Not(node), f"not-{node}")
    placement = site.fleet.place(VMSpec(name="x"))
    assert [each.host for each in placement.candidates] == ["c"]
    huge = site.fleet.place(VMSpec(name="huge", vcpus=4096, memory="1GiB"))
    assert not huge.candidates


def test_a_plugin_that_fails_is_named(site, add):
    class Broken:
        @hookimpl
        def placement_filters(self):
            def bad(request, node, view):
                raise KeyError("x")

            return [bad]

    add("a")
    site.plugins.register(Broken(), "broken")
    with pytest.raises(errors.PluginError, match="'bad'"):
        site.fleet.place(VMSpec(name="x"))


QUIET_ROOMS = '''
    """Places VMs with the tag "quiet" only in rooms that are quiet."""

    from novacron.plugins import hookimpl


    def quiet_rooms(request, node, view):
        """A noisy room is no place for a VM with the tag "quiet"."""
        if "quiet" in request.taker.tags and node.labels.get("room") != "quiet":
            return "its room is noisy"
        return None


    @hookimpl
    def placement_filters():
        return [quiet_rooms]
'''


def test_a_filter_of_an_installed_package_of_twenty_lines_works(installed):
    script = """
        from novacron import Site, VMSpec
        with Site(state) as site:
            for name, room in (("a", "noisy"), ("b", "quiet")):
                site.fleet.add(name, f"sim://{name}")
                site.fleet.nodes.refresh([name])
                site.fleet.nodes.set(name, group="prod", labels={"room": room})
            found = site.fleet.place(VMSpec(name="x", tags={"quiet"}))
            print([each.host for each in found.candidates], [each.reasons for each in found.rejected])
    """
    assert installed("odd_racks", QUIET_ROOMS, script) == "['b'] [('its room is noisy',)]\n"


def test_disks_count_where_storage_is_limited(site, add):
    add("a", storage_ratio=1)
    capacity = site.fleet.nodes["a"].storage.total
    placement = site.fleet.place(VMSpec(name="x", disks=[DiskSpec(size=capacity + 2**30)]))
    assert not placement.candidates
    assert "storage" in placement.rejected[0].reasons[0]


def sized_node(name, vcpus, memory, **labels):
    return FleetNode(
        id=name,
        name=name,
        host=name,
        group="prod",
        labels=labels,
        vcpus=Inventory(total=vcpus, ratio=1.0),
        memory=Inventory(total=memory * GIB, ratio=1.0),
        storage=Inventory(total=0),
    )


def wanted(count, vcpus, memory, prefix="vm", **fields):
    for number in range(count):
        name = f"{prefix}{number}"
        yield Request(taker=Taker(vm=name, name=name, amounts=Amounts(vcpus=vcpus, memory_bytes=memory * GIB), **fields))


def test_a_batch_fits_where_one_vm_after_the_other_does_not():
    """Spread evenly, the small VMs leave no room for the large ones."""
    asked = [*wanted(3, 2, 2, "small"), *wanted(2, 6, 6, "large")]
    view = FleetView([sized_node(name, 6, 6) for name in "abc"])
    placed, left = Planner().all(asked, view)
    assert (sorted(placed), left) == (["large0", "large1", "small0", "small1", "small2"], [])
    assert {each.vcpus.allocated for each in view.nodes.values()} == {6}
    assert {each.memory.allocated for each in view.nodes.values()} == {6 * GIB}


def test_a_large_batch_obeys_capacity_groups_labels_and_rules(sample):
    """Random fleets: whatever is placed is allowed, and the view has exactly that."""
    for seed in range(sample(15, 300)):
        chance = random.Random(seed)
        nodes = [sized_node(f"n{n}", chance.randint(4, 40), chance.randint(8, 80), rack=f"r{n % 3}") for n in range(8)]
        rule = PlacementRule(name="apart", kind="anti-affinity", tag="db", scope=chance.choice(["host", "rack"]))
        close = PlacementRule(name="close", kind="affinity", tag="app", scope="rack")
        view = FleetView(nodes, [rule, close])
        asked = [
            *wanted(chance.randint(100, 250), 1, chance.randint(1, 4), "vm"),
            *wanted(5, 2, 2, "db", tags=frozenset({"db"})),
            *wanted(4, 1, 1, "app", tags=frozenset({"app"})),
        ]
        placed, left = Planner().all(asked, view, seconds=0)
        assert len(placed) + len(left) == len(asked)
        domains = [placed[f"db{n}"].domain(rule.scope) for n in range(5) if f"db{n}" in placed]
        assert len(domains) == len(set(domains))
        assert len({placed[f"app{n}"].labels["rack"] for n in range(4) if f"app{n}" in placed}) <= 1
        for node in view.nodes.values():
            here = [each.taker.amounts for each in asked if each.taker.vm in placed and placed[each.taker.vm].id == node.id]
            assert node.vcpus.allocated == sum(each.vcpus for each in here) <= node.vcpus.total
            assert node.memory.allocated == sum(each.memory_bytes for each in here) <= node.memory.total


def test_the_exact_model_places_what_the_heuristic_leaves():
    """Two nodes of 10 vCPUs take 5+5 and 4+3+3 only in one way."""
    pytest.importorskip("highspy")
    from novacron.fleets.placement.classes import BatchProblem, assigned
    from novacron.fleets.placement.milp import solve

    asked = [*wanted(2, 5, 1, "five"), *wanted(1, 4, 1, "four"), *wanted(2, 3, 1, "three")]
    problem = BatchProblem(asked, FleetView([sized_node(name, 10, 100) for name in "ab"]), lambda request, node: True)
    placed, left = assigned(problem, solve(problem, 10.0))
    assert left == []
    assert placed["five0"] == placed["five1"] != placed["four0"] == placed["three0"] == placed["three1"]
