"""Installed distributions with odd metadata, and plugins that claim the names of others."""

from __future__ import annotations

import copy
import logging
import shutil
import sys
from types import SimpleNamespace

import pytest

from novacron.errors import NovaCronError
from novacron.fleets.balancers import balancer_named
from novacron.fleets.fencing.agents import FenceAgents
from novacron.fleets.fencing.redfish import Redfish
from novacron.hookspecs import API_VERSION
from novacron.monitoring import forecasting
from novacron.plugins.application import ApplicationPlugins
from novacron.plugins.discovery import DriverRegistry
from novacron.state import StateDirectory
from novacron.workflow.kinds.registry import StepKinds

GOOD = "from novacron.plugins import hookimpl\n@hookimpl\ndef placement_filters():\n    return []\n"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Returns a function that installs a distribution with any text in its entry points."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])

    def install(name, entry_points, metadata=None):
        place = folder / f"{name}-1.dist-info"
        place.mkdir()
        (place / "METADATA").write_bytes(
            metadata if metadata is not None else f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n".encode()
        )
        (place / "entry_points.txt").write_bytes(entry_points if isinstance(entry_points, bytes) else entry_points.encode())
        (folder / f"{name}.py").write_text(GOOD)

    return install


@pytest.fixture
def plugins(tmp_path):
    def start():
        found = ApplicationPlugins(StateDirectory(tmp_path / "state"), DriverRegistry())
        found.load_entry_points()
        return found

    return start


ODD = {
    "binary": b"\xff\xfe[novacron]\nx = \xff",
    "no section": b"x = y\n",
    "no value": b"[novacron]\nx\n[novacron.drivers]\ny\n",
    "control": b"[novacron]\n\x1b]0;evil\x07 = odd\n[novacron.drivers]\n\x1b[2J = odd\n",
    "bidi": "[novacron]\na\u202eb = odd\n".encode(),
    "huge": b"[novacron]\n" + b"a" * 10**6 + b" = odd\n[novacron.drivers]\n" + b"b" * 10**6 + b" = odd\n",
    "empty": b"[novacron]\n = odd\n",
    "twice": b"[novacron]\nodd = odd\nodd = os\n",
    "no module": b"[novacron]\nodd = ..os:system\n[novacron.drivers]\nodd = ::\n",
    "many": b"[novacron]\n" + b"".join(b"n%d = odd\n" % n for n in range(5000)),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_entry_points_do_not_affect_other_plugins(installed, plugins, kind):
    installed("good", "[novacron]\ngood = good\n")
    installed("odd", ODD[kind])
    found = plugins()
    assert found.get("good").status == "enabled"
    assert "sim" in found._registry.schemes()
    for one in found.list():
        assert one.name.isprintable()
        assert len(one.name) <= 100


@pytest.mark.parametrize(
    "metadata", [b"", b"\xff\xfe", b"Name: \x1b]0;x\x07\nVersion: " + b"9" * 10**6, b"Version: 1\n", b"Name: x\n"], ids=range(5)
)
def test_odd_metadata_of_a_distribution_do_not_affect_other_plugins(installed, plugins, metadata):
    installed("good", "[novacron]\ngood = good\n")
    installed("odd", "[novacron]\nodd = odd\n", metadata)
    found = plugins()
    assert found.get("good").status == "enabled"
    for one in found.list():
        assert (one.distribution or "").isprintable()
        assert len(one.version or "") < 200
    assert plugins().get("good").status == "enabled"  # from the cache


def test_two_distributions_with_a_plugin_of_one_name_are_refused(installed, plugins):
    """The second one removed the first one without a word."""
    installed("one", "[novacron]\nguard = one\n")
    installed("two", "[novacron]\nguard = two\n")
    found = plugins()
    shown = found.get("guard")
    assert found.hook.placement_filters() == []
    assert shown.status == "broken"
    assert "one" in shown.error
    assert "two" in shown.error


def test_a_distribution_that_is_twice_on_the_path_is_one_beside_a_broken_one(installed, plugins, tmp_path, monkeypatch):
    """Each plugin of it was broken then, because its name was claimed by it and by itself."""
    installed("one", "[novacron]\nguard = one\n")
    shutil.copytree(tmp_path / "site", tmp_path / "again")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "again"), *sys.path])
    installed("odd", ODD["binary"])
    shown = plugins().get("guard")
    assert (shown.status, shown.error) == ("enabled", None)


def hooks(**given):
    return SimpleNamespace(**{name: lambda found=found: found for name, found in given.items()})


def named(name):
    def function(*_):
        return [1.0]

    function.__name__ = name
    return function


def test_a_forecaster_of_a_plugin_does_not_replace_a_built_in_one(caplog):
    methods = forecasting.with_plugins(hooks(forecasters=[[named("linear"), named("own")]]))
    assert methods["linear"] is forecasting.linear
    assert "own" in methods
    assert "'linear'" in caplog.text


def test_a_name_that_two_plugins_claim_belongs_to_none_of_them(caplog):
    methods = forecasting.with_plugins(hooks(forecasters=[[named("a"), named("b")], [named("a")]]))
    assert {"a", "b"} & set(methods) == {"b"}
    given = hooks(balancers=[[named("a")], [named("a"), named("b")]])
    assert balancer_named(given, "b")
    with pytest.raises(NovaCronError, match="unknown balancer"):
        balancer_named(given, "a")
    assert caplog.text.count("more than one plugin") >= 2


def test_a_fence_agent_of_a_plugin_does_not_replace_a_built_in_one():
    """It would be told the passwords of BMCs, and could report hosts as off."""
    agent = SimpleNamespace(name="redfish")
    found = FenceAgents(lambda: hooks(fence_agents=[[agent, SimpleNamespace(name="own"), SimpleNamespace()]]))
    assert isinstance(found.find("redfish"), Redfish)
    assert found.find("own")


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[2J", "x" * 10**6, " a", None, 5, "a\u202eb"], ids=repr)
def test_names_that_are_no_names_are_left_out(name, caplog):
    found = FenceAgents(lambda: hooks(fence_agents=[[SimpleNamespace(name=name)]])).all()
    assert name not in found
    assert len(caplog.text) < 1000
    assert caplog.records[0].levelno == logging.ERROR


def test_steps_of_plugins_do_not_shadow_each_other():
    kinds = [copy.copy(StepKinds().find("start")) for _ in range(2)]
    for each in kinds:
        each.name = "mine"
    assert "mine" in StepKinds(lambda: kinds[:1]).names()
    assert "mine" not in StepKinds(lambda: kinds).names()


def test_two_plugins_can_not_drive_one_scheme():
    def provider(name):
        return SimpleNamespace(name=name, schemes=("acme", name), connect=None, api=f">={API_VERSION}")

    registry = DriverRegistry(lambda: [provider("a"), provider("b")])
    assert {"a", "b", "acme"} & set(registry.schemes()) == {"a", "b"}
