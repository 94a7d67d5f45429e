"""Application plugins: found, listed, enabled, disabled, reloaded, unloaded; a broken one is reported and isolated."""

import os
from types import SimpleNamespace

import pytest

import novacron
from novacron import errors
from novacron.plugins import hookimpl
from novacron.plugins.application import ApplicationPlugins
from novacron.site import default_site

DRIVER = """
from novacron.plugins import Driver, DriverProvider, hookimpl
from novacron.records import VM, Deleted, Host, Ping

class Parts:
    @hookimpl
    def host_info(self): return Host(name="p", uri="path://", driver="path", hypervisor="path", version="{version}", hostname="p")
    @hookimpl
    def host_ping(self): return Ping(host="p", latency_seconds=0.0, version="1")
    @hookimpl
    def vm_create(self, spec): return VM(id=spec.name, name=spec.name, host="p", status="stopped")
    @hookimpl
    def vm_get(self, vm): return VM(id=vm, name=vm, host="p", status="stopped")
    @hookimpl
    def vm_list(self): return []
    @hookimpl
    def vm_start(self, vm): return self.vm_get(vm)
    @hookimpl
    def vm_stop(self, vm): return self.vm_get(vm)
    @hookimpl
    def vm_delete(self, vm): return Deleted(name=vm)

@hookimpl
def register_drivers():
    return [DriverProvider(name="path", schemes=("path",), connect=lambda uri, context: Driver([Parts()]))]
"""


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path / "state"))
    return ApplicationPlugins()


@pytest.fixture
def process_plugins(tmp_path, monkeypatch):
    """Let the process find its plugins anew, now and after the test."""
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path / "state"))
    default_site().close()
    yield
    default_site().close()


def status(plugins, name):
    return next(p for p in plugins.list() if p.name == name).status


def test_a_plugin_from_a_path_brings_a_driver(tmp_path, monkeypatch, process_plugins):
    file = tmp_path / "path_driver.py"
    file.write_text(DRIVER.replace("{version}", "1"))
    monkeypatch.setenv("NOVACRON_PLUGINS", str(file))
    with novacron.connect("path://x") as host:
        assert host.info().version == "1"
    assert {("path", "driver"), ("path_driver", "application")} <= {(p.name, p.kind) for p in default_site().plugins.list()}
    file.write_text(DRIVER.replace("{version}", "2"))
    os.utime(file, (0, 0))
    default_site().plugins.reload("path_driver")
    with novacron.connect("path://x") as host:
        assert host.info().version == "2"
    default_site().plugins.unload("path_driver")
    with pytest.raises(errors.UnsupportedOperationError, match="path"):
        novacron.connect("path://x")


def test_a_broken_path_is_reported_and_the_rest_works(tmp_path, monkeypatch, process_plugins):
    broken, whole = tmp_path / "broken_one.py", tmp_path / "whole_one.py"
    broken.write_text("import no_such_module_at_all\n")
    whole.write_text("from novacron.plugins import hookimpl\n@hookimpl\ndef extend_shell(shell): shell.names['x'] = 1\n")
    monkeypatch.setenv("NOVACRON_PLUGINS", os.pathsep.join([str(broken), str(whole), str(tmp_path / "missing.py")]))
    found = {p.name: p for p in default_site().plugins.list()}
    assert (found["broken_one"].status, found["whole_one"].status, found["missing"].status) == ("broken", "enabled", "broken")
    assert "no_such_module_at_all" in found["broken_one"].error
    shell = SimpleNamespace(names={})
    default_site().plugins.hook.extend_shell(shell=shell)
    assert shell.names == {"x": 1}


def test_a_plugin_that_fails_to_start_is_taken_out_again(plugins):
    class Unlucky:
        @hookimpl
        def plugin_startup(self):
            raise RuntimeError("no licence")

    with pytest.raises(errors.PluginError, match="no licence"):
        plugins.register(Unlucky(), "unlucky")
    assert status(plugins, "unlucky") == "broken"


def test_enabled_and_disabled_are_remembered_and_startup_and_shutdown_called(plugins, tmp_path):
    happened = []

    class Counting:
        @hookimpl
        def plugin_startup(self):
            happened.append("up")

        @hookimpl
        def plugin_shutdown(self):
            happened.append("down")

    plugins.register(Counting(), "counting")
    assert plugins.disable("counting").status == "disabled"
    assert plugins.enable("counting").status == "enabled"
    assert happened == ["up", "down", "up"]
    with pytest.raises(errors.PluginError, match="already there"):
        plugins.register(Counting(), "counting")
    plugins.unload("counting")
    assert happened[-1] == "down"
    with pytest.raises(errors.NotFoundError, match="counting"):
        plugins.get("counting")


def test_a_plugin_may_wrap_policies_but_not_implement_operations(plugins):
    class Greedy:
        @hookimpl
        def vm_start(self, vm): ...

    class Misspelt:
        @hookimpl
        def register_command(self): ...

    with pytest.raises(errors.PluginError, match="only the host's driver may"):
        plugins.register(Greedy(), "greedy")
    with pytest.raises(errors.PluginError, match="register_command"):
        plugins.register(Misspelt(), "misspelt")


def test_a_plugins_policy_is_around_every_operation(process_plugins):
    seen = []

    class Watching:
        @hookimpl
        def register_policies(self):
            def policy(call, proceed):
                seen.append(call.operation.name)
                return proceed(call)

            return [policy]

    default_site().plugins.register(Watching(), "watching")
    with novacron.connect("sim://watched") as host:
        host.ping()
    assert seen == ["host_ping"]


def test_installed_plugins_are_found_whoever_reads_the_entry_points(monkeypatch, process_plugins):
    """On Python 3.11 the package importlib_metadata, once imported (the keyring does), has entry points of a class of its own."""
    import types

    class Point:
        name, group, value, module, dist = "offered", "novacron", "offered_module", "offered_module", None

        def __eq__(self, other):
            return self._key() == other._key()

        def _key(self):
            return self.name

        __hash__ = object.__hash__

        def load(self):
            return types.ModuleType("offered_module")

    entry_points = types.SimpleNamespace(select=lambda **wanted: [Point()] if wanted["group"] == "novacron" else [])
    monkeypatch.setattr(default_site().drivers, "entry_points", lambda: entry_points)
    found = {p.name: p for p in default_site().plugins.list()}
    assert (found["offered"].status, found["offered"].source) == ("enabled", "offered_module")

    class Mine:
        pass

    assert default_site().plugins.register(Mine(), "mine").status == "enabled"
    assert default_site().plugins.reload("offered").status == "enabled"
