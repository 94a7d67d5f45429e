"""A plugin's balancer proposes the migrations of a group, and a plugin's forecaster continues series of metrics."""

import uuid

import pytest

from novacron import Site, errors
from novacron.monitoring.forecasting import with_plugins
from novacron.plugins import hookimpl

CURTAIN = '''
    """Empties nodes that have little to do, and forecasts that tomorrow will be like yesterday."""

    from novacron.plugins import hookimpl


    def fewest_nodes(group):
        """Move the VMs of the node with the fewest VMs to the node with the most."""
        counts = {node.id: sum(vm.node == node.id for vm in group.vms) for node in group.nodes}
        used = [node for node in counts if counts[node]]
        least, most = min(used, key=counts.get), max(used, key=counts.get)
        return [(vm.vm, most) for vm in group.vms if vm.node == least]


    def yesterday(values, count, season):
        if len(values) < season:
            raise ValueError("a day of data is needed")
        return [values[-season + n % season] for n in range(count)]


    @hookimpl
    def balancers():
        return [fewest_nodes]


    @hookimpl
    def forecasters():
        return [yesterday]
'''


def test_a_balancer_and_a_forecaster_of_an_installed_package_work(installed):
    script = """
        from novacron import Site
        from novacron.monitoring.forecasting import forecast
        from novacron.records.series import Series
        with Site(state) as site:
            for name in "ab":
                site.fleet.add(name, f"sim://curtain-{name}")
                site.fleet.nodes.refresh([name])
                site.fleet.nodes.set(name, group="prod")
            for host, name in (("a", "one"), ("b", "two"), ("b", "three")):
                site.fleet.hosts[host].vms.create(name=name, start=True)
            site.fleet.nodes.refresh()
            site.fleet.groups.set("prod", balancer="fewest_nodes")
            done = site.fleet.balance("prod", mode="full", storage="copy")
            print([(move.name, move.source, move.node) for move in done.moves], [vm.name for vm in site.fleet.hosts["a"].vms])
            points = tuple((3600.0 * hour, float(hour % 24 == 3)) for hour in range(72))
            found = forecast(Series(metric="peaks", labels={}, points=points), step=3600, horizon=86400,
                             method="yesterday", methods=site.fleet.metrics.forecasters())
            print(found.method, found.error, [point.value for point in found.points].index(1.0))
    """
    assert installed("curtain", CURTAIN, script) == "[('one', 'curtain-a', 'curtain-b')] []\nyesterday 0.0 3\n"


class Moving:
    """A plugin whose balancer `moving` returns what the test sets, or raises it."""

    def __init__(self):
        self.wanted, self.seen = [], None

    @hookimpl
    def balancers(self):
        def moving(group):
            self.seen = group
            if isinstance(self.wanted, Exception):
                raise self.wanted
            return self.wanted

        return [moving]

    @hookimpl
    def forecasters(self):
        def short(values, count, season):
            return [1.0]

        def broken(values, count, season):
            raise KeyError("x")

        return [short, broken]


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path / "state") as made:
        yield made


@pytest.fixture
def plugin(site):
    made = Moving()
    site.plugins.register(made, "moving")
    return made


@pytest.fixture
def group(site, plugin):
    """Three nodes with equal load and a VM on each, in a group with the balancer `moving`. Returns the ids of nodes and VMs by name."""
    for name in "abc":
        site.fleet.add(name, f"sim://{name}-{uuid.uuid4().hex[:8]}")
        site.fleet.nodes.refresh([name])
        site.fleet.nodes.set(name, group="prod", vcpus_ratio=1)
        site.fleet.hosts[name].vms.create(name=f"vm-{name}", vcpus=40, start=True)
    site.fleet.nodes.refresh()
    site.fleet.groups.set("prod", balancer="moving")
    return {name: site.fleet.nodes[name].id for name in "abc"} | {vm.name: vm.id for vm in site.fleet.vms.list()}


def test_proposals_that_are_not_allowed_are_left_out(site, plugin, group):
    site.fleet.nodes.cordon("c")
    plugin.wanted = [
        (group["vm-a"], group["b"]),  # 80 vCPUs do not fit
        (group["vm-a"], group["c"]),  # it is cordoned
        (group["vm-a"], group["a"]),  # it is there
        ("no-such-vm", group["b"]),
        (group["vm-b"], "no-such-node"),
    ]
    assert site.fleet.balance("prod", storage="copy").moves == ()
    assert {node.host for node in plugin.seen.nodes} == {"a", "b"}
    assert {vm.name for vm in plugin.seen.vms} == {"vm-a", "vm-b"}


def test_proposals_obey_the_cap_of_moves_the_hold_time_and_the_cool_down(site, plugin, group):
    site.fleet.groups.set("prod", balance_moves=1, balance_hold="10m")
    for name in "abc":
        site.fleet.nodes.set(name, vcpus_ratio=2)
    plugin.wanted = [(group["vm-a"], group["b"]), (group["vm-c"], group["a"])]
    waiting = site.fleet.balance("prod", mode="full", storage="copy")
    assert [move.name for move in waiting.moves] == ["vm-a"]
    assert (waiting.carried_out, waiting.hold > 0) == (0, True)
    site.fleet.groups.set("prod", balance_hold=0)
    assert site.fleet.balance("prod", mode="full", storage="copy").carried_out == 1
    assert [move.name for move in site.fleet.balance("prod", storage="copy").moves] == ["vm-c"]


def test_plugins_that_fail_and_unknown_names_are_reported(site, plugin, group):
    plugin.wanted = KeyError("x")
    with pytest.raises(errors.PluginError, match="'moving'"):
        site.fleet.balance("prod")
    plugin.wanted = [1]
    with pytest.raises(errors.PluginError, match="'moving'"):
        site.fleet.balance("prod")
    with pytest.raises(errors.InvalidSpecError, match="deviation or moving"):
        site.fleet.groups.set("prod", balancer="ghost")
    with pytest.raises(errors.PluginError, match="'short' did not return 2"):
        with_plugins(site.plugins.hook)["short"]([0.0] * 48, 2, 24)
    with pytest.raises(errors.PluginError, match="'broken' failed"):
        with_plugins(site.plugins.hook)["broken"]([0.0] * 48, 2, 24)
    site.fleet.metrics.put("some", 1.0)
    with pytest.raises(errors.InvalidSpecError, match="short, broken"):
        site.fleet.metrics.forecast("some", method="ghost")
