"""Two who change one thing at once: threads, processes and sites wait for each other, and no change is lost."""

import contextlib
import subprocess
import sys
import threading

import pytest

import novacron
from novacron import Site, errors
from novacron.plugins import Driver, hookimpl
from novacron.plugins.driver import DriverProvider
from novacron.records.filters import TrafficFilter
from novacron.records.networks import Network
from novacron.records.templates import Template
from novacron.records.vm import VM
from novacron.specs import NetworkSpec, TrafficFilterSpec
from novacron.store.nodes import NodeStore

ID, NETWORK = "6b1f0000-0000-4000-8000-000000000001", "6b1f0000-0000-4000-8000-000000000002"


class Counting:
    """A driver whose vm_update reads, waits and writes back a file: without a lock, updates are lost."""

    def __init__(self, file):
        self.file = file

    def record(self):
        return VM(id=ID, name="web1", host="h", status="stopped", description=self.file.read_text())

    @hookimpl
    def vm_get(self, vm):
        return self.record()

    @hookimpl
    def vm_list(self, query):
        return [self.record()]

    @hookimpl
    def vm_update(self, vm, changes):
        number = int(self.file.read_text())
        threading.Event().wait(0.002)
        self.file.write_text(str(number + 1))
        return self.record()

    @hookimpl
    def network_get(self, network):
        return Network(name="net1", host="h", active=False, id=NETWORK)

    @hookimpl
    def network_update(self, network, spec):
        self.vm_update(None, None)
        return self.network_get(network)

    @hookimpl
    def filter_get(self, filter):
        return TrafficFilter(name="filter1", host="h")

    @hookimpl
    def filter_update(self, filter, spec):
        self.vm_update(None, None)
        return self.filter_get(filter)

    @hookimpl
    def template_get(self, template, version):
        return Template(name="template1", host="h", version=1)

    @hookimpl
    def template_update(self, template, description, tags):
        self.vm_update(None, None)
        return self.template_get(template, None)


def _mandatory(name):
    def method(self):
        raise errors.UnsupportedOperationError(name)

    method.__name__ = name
    return hookimpl(method)


for _name in ("host_info", "host_ping", "vm_create", "vm_start", "vm_stop", "vm_delete"):
    setattr(Counting, _name, _mandatory(_name))


def counting_site(state, file):
    site = Site(state)
    site.drivers.register(
        DriverProvider(name="counting", schemes=("counting",), connect=lambda uri, context: Driver([Counting(file)]))
    )
    return site


CHANGES = {
    "vm": lambda number: {"vm": "web1" if number % 2 else ID, "changes": novacron.VMUpdate(description="x")},
    "network": lambda number: {"network": "net1" if number % 2 else NETWORK, "spec": NetworkSpec(name="net1")},
    "filter": lambda number: {"filter": "filter1", "spec": TrafficFilterSpec(name="filter1")},
    "template": lambda number: {"template": "template1", "description": "x", "tags": None},
}
"""The operations that read a definition and write it back. A VM and a network are given by name and by id."""


def update(host, times, kind):
    for number in range(times):
        host.invoke(f"{kind}_update", **CHANGES[kind](number))


PROCESS = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("lost_updates", sys.argv[1])
updates = importlib.util.module_from_spec(spec)
spec.loader.exec_module(updates)
with updates.counting_site(sys.argv[2], Path(sys.argv[3])) as site:
    updates.update(site.connect("counting://x"), 15, sys.argv[4])
"""


@pytest.mark.parametrize("kind", CHANGES)
def test_no_update_is_lost_between_names_of_a_host_and_between_processes(tmp_path, kind):
    file, state = tmp_path / "number", tmp_path / "state"
    file.write_text("0")
    with counting_site(state, file) as site:
        other = subprocess.Popen([sys.executable, "-c", PROCESS, __file__, str(state), str(file), kind])
        hosts = [site.connect("counting://x", name=name) for name in ("a", "b")]
        threads = [threading.Thread(target=update, args=(host, 15, kind)) for host in hosts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert other.wait(60) == 0
    assert file.read_text() == "45"
    assert list((state / "locks").iterdir()) == []


def test_no_change_of_a_node_or_a_group_is_lost_between_sites(tmp_path, monkeypatch):
    """Both read the settings before one of them writes them back, unless they wait for each other."""
    both_have_read = threading.Barrier(2)
    read = NodeStore.groups

    def groups(store):
        found = read(store)
        with contextlib.suppress(threading.BrokenBarrierError):
            both_have_read.wait(0.3)
        return found

    with Site(tmp_path / "state") as one, Site(tmp_path / "state") as two:
        one.fleet.add("shared", "sim://lost-updates-shared")
        one.fleet.nodes.refresh(["shared"])
        monkeypatch.setattr(NodeStore, "groups", groups)
        for changes in (
            lambda fleet, n: fleet.nodes.set("shared", labels={f"by-{n}": "x"}, **{("vcpus_ratio", "memory_ratio")[n]: 2}),
            lambda fleet, n: fleet.groups.set("prod", **{("vcpus_ratio", "memory_ratio")[n]: 3}),
        ):
            threads = [threading.Thread(target=changes, args=(site.fleet, n)) for n, site in enumerate((one, two))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            both_have_read.reset()
        node = one.fleet.nodes["shared"]
        assert node.labels == {"by-0": "x", "by-1": "x"}
        assert (node.vcpus.ratio, node.memory.ratio) == (2, 2)
        assert one.fleet.groups["prod"].settings == {"vcpus_ratio": 3, "memory_ratio": 3}
