"""What hypervisors stored about the time before their first round is imported by the service that collects."""

import time

import pytest

from novacron.errors import HostConnectionError, UnsupportedOperationError
from novacron.monitoring.compaction import Compaction
from novacron.monitoring.imports import FirstImports
from novacron.monitoring.layouts import Layouts, Round
from novacron.monitoring.measuring import silent_host
from novacron.monitoring.service import MonitorService

CPU = "novacron_vm_cpu_seconds_total"


@pytest.fixture
def past(add_host):
    """A host whose VMs have run for two hours."""
    host = add_host(vms=2, running=True)
    world = host.dispatcher.driver.native.world
    world.began = time.monotonic() - 7200
    for vm in world.all():
        world.find(vm.id).started = world.began
    return host


def collected(site, said):
    """Let a service collect one round and wait for its import."""
    service = MonitorService(site.fleet.metrics, say=said.append)
    assert service.step().problems == {}
    service.imports.under_way.result(60)
    service.close()


def test_the_first_round_of_a_host_imports_its_past_once(site, past):
    """Each VM has one series without a fall or a double, which begins before the host was added. The next process adds nothing."""
    said = []
    collected(site, said)
    assert len(said) == 2
    assert said[1].startswith(f"{past.name}: ")
    found = {one.labels["name"]: one.points for one in site.fleet.metrics.query(CPU, since="3h", show="value")}
    assert set(found) == {"vm-00001", "vm-00002"}
    for points in found.values():
        times, values = zip(*points, strict=True)
        assert times[-1] - times[0] > 3600
        assert list(times) == sorted(set(times))
        assert list(values) == sorted(values)
    collected(site, said)
    assert len(said) == 3  # "collecting" again, and no import
    again = {one.labels["name"]: one.points for one in site.fleet.metrics.query(CPU, since="3h", show="value")}
    assert {name: points[: len(found[name])] for name, points in again.items()} == found


def test_a_host_without_history_and_one_that_fails_stop_no_other():
    """Hosts that do not answer are imported from when they do. Only a failure is said."""
    said, layouts = [], Layouts()

    def run(name):
        if name == "old":
            raise UnsupportedOperationError("metrics_history")
        if name == "lost":
            raise HostConnectionError("no route")
        return 3

    hosts = [silent_host(name, 1.0, layouts) for name in ("old", "lost", "vcenter", "silent")]
    imports = FirstImports(run, said.append)
    imports.begin(Round(1.0, hosts, {"silent": "does not answer"}))
    imports.under_way.result(60)
    assert [text.partition(":")[0] for text in said] == ["lost", "vcenter"]
    imports.begin(Round(2.0, hosts))
    imports.under_way.result(60)
    assert [text.partition(":")[0] for text in said] == ["lost", "vcenter", "silent"]


def test_a_past_that_is_imported_late_joins_what_was_packed(site, past):
    """The imported counter ends where the first stored one begins, also if that is in a chunk: its rate there is not enormous."""
    assert not site.fleet.metrics.collector().collect().problems
    storage = site.fleet.metrics.storage
    Compaction(storage, {"metrics_days": 2, "metrics_5m_days": 30, "metrics_1h_days": 365}).finish(storage.now() + 7200)
    assert site.fleet.metrics.import_first(past.name) > 0
    for one in site.fleet.metrics.query(CPU, since="3h", show="rate"):
        assert len(one) > 50
        assert all(0 <= rate <= 8 for _, rate in one.points)
