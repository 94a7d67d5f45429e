"""A name that two plugins claim belongs to none of them, and who uses it is told which plugins these are and how to choose."""

from types import SimpleNamespace

import pytest

from novacron import Site
from novacron.errors import NotFoundError, NovaCronError, PluginError
from novacron.fleets.balancers import balancer_named
from novacron.plugins import hookimpl
from novacron.plugins.names import refuse_claimed


def named(name):
    def function(*_):
        return [1.0]

    function.__name__ = name
    return function


class Plugin:
    """A plugin with one of each, all of the same name."""

    class Agent:
        name, required, optional = "shared", (), None

        def off(self, target):
            pass

        def status(self, target):
            return "off"

    @hookimpl
    def fence_agents(self):
        return [SimpleNamespace(), self.Agent()]

    @hookimpl
    def balancers(self):
        return [named("shared")]

    @hookimpl
    def forecasters(self):
        return [named("shared")]

    @hookimpl
    def alert_sinks(self):
        return [SimpleNamespace(name="shared", send=lambda notification: None)]


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as site:
        for name in ("plug-one", "plug-two"):
            site.plugins.register(Plugin(), name)
        site.fleet.add("a", "sim://a")
        site.fleet.nodes.refresh()
        site.fleet.metrics.put("load", 3)
        yield site


USES = {
    "fence agent": lambda site: site.fleet.fencing.set("a", "shared"),
    "balancer": lambda site: balancer_named(site.plugins.hook, "shared"),
    "forecaster": lambda site: site.fleet.metrics.forecast("load", method="shared"),
    "alert sink": lambda site: site.fleet.alerts._sinks.send({"type": "plugin", "name": "shared"}, None),
}


@pytest.mark.parametrize("what", USES)
def test_both_plugins_are_named_and_disabling_one_helps(site, what):
    with pytest.raises(PluginError, match=f"the {what} 'shared' is claimed by the plugins plug-one, plug-two") as caught:
        USES[what](site)
    assert "novacron plugin disable plug-two" in caught.value.hint
    site.plugins.disable("plug-two")
    USES[what](site)


def test_fencing_says_so_too(site):
    """The second plugin came after the device was set: the node is not said to be off."""
    site.plugins.disable("plug-two")
    site.fleet.fencing.set("a", "shared")
    assert site.fleet.fencing.test("a")[0].status == "off"
    site.plugins.enable("plug-two")
    (reading,) = site.fleet.fencing.test("a")
    assert reading.status == "unknown"
    assert "plug-one, plug-two" in reading.error


def test_a_name_that_nobody_claims_is_unknown_as_before(site):
    with pytest.raises(NotFoundError, match="no fence agent named 'ghost'"):
        site.fleet.fencing.set("a", "ghost")
    with pytest.raises(NovaCronError, match="unknown balancer"):
        balancer_named(site.plugins.hook, "ghost")
    refuse_claimed("fence agent", "ghost", site.plugins.hook.fence_agents)
