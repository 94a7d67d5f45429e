"""The inspection: chains of snapshots, guest agents, certificates, and hosts that hang."""

import subprocess
import threading
import time

import pytest

from novacron.errors import HostConnectionError
from novacron.monitoring.certificates import not_after
from novacron.monitoring.inspection import Inspection, chain_length


def test_chains_and_certificates(tmp_path):
    from novacron.records.snapshots import Snapshot

    common = {"vm": "1", "host": "a", "created_at": "", "status": "running"}
    some = [
        Snapshot(name=str(n), parent=str(n - 1) if n else None, kind="external" if n > 1 else "internal", **common)
        for n in range(8)
    ]
    assert chain_length(some) == 6
    file = tmp_path / "cert.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command = ["openssl", "req", "-x509", *curve, "-days", "10", "-subj", "/CN=x", "-out", file, "-keyout", tmp_path / "k"]
    subprocess.run(command, check=True, capture_output=True)
    import ssl

    assert abs(not_after(ssl.PEM_cert_to_DER_cert(file.read_text())) - time.time() - 10 * 86400) < 300


@pytest.fixture
def host(add_host):
    """A simulated host of the fleet with two running VMs."""
    return add_host(2, running=True)


def values(inspection, metric):
    return {one.labels["name"]: one.value for one in inspection.collect() if one.metric == metric}


def inspected(site, **more):
    made = Inspection(site.fleet, lambda: site.fleet.runs, every=1e9, **more)
    made._next = float("inf")  # only `refresh` reads
    return made


def test_a_guest_agent_is_missed_only_where_it_was_connected(site, host):
    """A guest without an agent has no series. One whose agent was connected has 0 afterwards, also for the next process."""
    world = host.dispatcher.driver.native.world
    one, other = (world.find(name) for name in ("vm-00001", "vm-00002"))
    other.agent = False
    inspection = inspected(site)
    inspection.refresh()
    assert values(inspection, "novacron_vm_agent_connected") == {"vm-00001": 1.0}
    one.agent = False
    inspection.refresh()
    assert values(inspection, "novacron_vm_agent_connected") == {"vm-00001": 0.0}
    successor = inspected(site, agents=lambda: [one.id])
    successor.refresh()
    assert values(successor, "novacron_vm_agent_connected") == {"vm-00001": 0.0}
    world.set_status(one, "stopped", "test")
    inspection.refresh()
    assert values(inspection, "novacron_vm_agent_connected") == {}


def test_the_collector_knows_the_agents_of_its_predecessor(site, host):
    metrics = site.fleet.metrics
    collector = metrics.collector()
    (inspection,) = (source for source in collector._sources if source.name == "inspection")
    inspection._next = float("inf")
    inspection.refresh()
    collector.collect()
    assert len(metrics._vms_with_agents()) == 2


def test_a_host_that_hangs_takes_one_thread(site, host):
    """It is asked again only after its call has ended, however often it is inspected."""
    asked, release, real, calls = threading.Event(), threading.Event(), site.fleet.hosts._open[host.name], []

    class Hanging:
        name, uri, closed = host.name, host.uri, False

        def supports(self, operation):
            return operation != "pool_refresh"

        def invoke(self, operation, timeout=None, **arguments):
            calls.append(operation)
            asked.set()
            release.wait(600)
            raise HostConnectionError("it did not answer", host=self.name)

    site.fleet.hosts._open[host.name] = Hanging()
    inspection = inspected(site)
    site.fleet.hosts._open[host.name] = real
    inspection.refresh()
    site.fleet.hosts._open[host.name] = Hanging()
    try:
        inspection.refresh(timeout=0.2)
        assert asked.wait(60)
        for _ in range(2):
            inspection.refresh(timeout=0.2)
        assert calls == ["vm_list"]
        assert len(values(inspection, "novacron_vm_snapshots")) == 2  # as it was known before
        release.set()
        for thread in threading.enumerate():
            if thread.name.startswith("novacron-ask"):
                thread.join(60)
        site.fleet.hosts._open[host.name] = real
        inspection.refresh()
        assert len(values(inspection, "novacron_vm_snapshots")) == 2
    finally:
        release.set()
        site.fleet.hosts._open[host.name] = real


def test_a_host_that_needs_longer_than_the_deadline_is_known_the_next_time(site, host, monkeypatch):
    """Thousands of VMs behind a slow link take minutes. What was read is not thrown away."""
    release, invoke = threading.Event(), type(host).invoke

    def slow(self, operation, *arguments, **more):
        if operation == "vm_list":
            release.wait(60)
        return invoke(self, operation, *arguments, **more)

    monkeypatch.setattr(type(host), "invoke", slow)
    inspection = inspected(site)
    inspection.refresh(timeout=0.1)
    assert values(inspection, "novacron_vm_snapshots") == {}
    release.set()
    while inspection._pending.apart([host.name])[1]:
        threading.Event().wait(0.01)
    release.clear()
    inspection.refresh(timeout=0.1)
    assert len(values(inspection, "novacron_vm_snapshots")) == 2
    release.set()


def test_the_clock_of_a_host_is_compared(site, host):
    def offset():
        (found,) = (s.value for s in site.fleet.metrics.measure().samples() if s.metric == "novacron_host_clock_offset_seconds")
        return found

    assert abs(offset()) <= 1.0
    host.dispatcher.driver.native.world.clock_offset = -90.0
    assert abs(offset() + 90) <= 1.0


def test_storage_pools_are_looked_at_again(site, host, monkeypatch):
    """libvirt reports the free space of the last time it was asked to look."""
    refreshed, invoke = [], type(host).invoke

    def counted(self, operation, *arguments, **named):
        if operation == "pool_refresh":
            refreshed.append(named["pool"])
        return invoke(self, operation, *arguments, **named)

    monkeypatch.setattr(type(host), "invoke", counted)
    inspected(site).refresh()
    assert refreshed == [pool.name for pool in host.pools.list() if pool.active]
