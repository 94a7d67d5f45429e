"""Measurements: against the simulator, and against what a vCenter answered (recorded)."""

from __future__ import annotations

import itertools
import statistics
from datetime import UTC, datetime, timedelta

import pytest

import novacron
from novacron import DiskSpec, VMSpec
from novacron.records.metrics import DiskMetrics, VMMetrics
from novacron_vmware.metrics.counters import Counted, add_samples
from novacron_vmware.metrics.history import Size, usages
from novacron_vmware.operations.metrics import queried
from novacron_vmware.sdk import vim, vmodl


def test_every_running_vm_is_measured(host):
    """Stopped ones have no counters; a second look adds to the first."""
    vm = host.vms.create(VMSpec(name="measured", memory="64MiB", vcpus=2, disks=[DiskSpec(size="1MiB")], start=True))
    first = host.invoke("metrics_vms")
    assert vm.id in {m.vm for m in first}
    assert len(first) == host.vms.list(status="running").total
    one = vm.metrics()
    assert (one.vcpus, one.memory_bytes, one.host) == (2, 64 * 2**20, "vc")
    assert one.cpu_seconds >= next(m for m in first if m.vm == vm.id).cpu_seconds
    vm.stop()
    assert vm.id not in {m.vm for m in host.invoke("metrics_vms")}
    assert vm.metrics().memory_used_bytes is None
    vm.delete()


def test_vms_that_are_gone_hide_no_other():
    """A vCenter answers for none of the VMs in a question when one of them is gone. (The simulator makes up samples for it.)"""
    there, gone = ([vim.VirtualMachine(f"vm-{number}") for number in numbers] for numbers in ((1, 2), (3, 4)))

    class Manager:
        def QueryPerf(self, specs):
            for missing in (spec.entity for spec in specs if spec.entity in gone):
                raise vmodl.fault.ManagedObjectNotFound(obj=missing)
            return [spec.entity for spec in specs]

    def asked(things):
        return queried(Manager(), [vim.PerformanceManager.QuerySpec(entity=thing) for thing in things])

    assert asked([gone[0], there[0], gone[1], there[1]]) == (there, gone)
    assert asked(gone) == ([], gone)
    assert asked(there) == (there, [])


def test_nodes_are_added_up(host):
    """As large as the host says that it is."""
    metrics, info = host.invoke("metrics_host"), host.info()
    assert (metrics.cpus, metrics.memory_bytes) == (info.cpus, info.memory_bytes)
    assert 0 < metrics.memory_free_bytes <= metrics.memory_bytes


def test_five_hundred_vms_take_three_calls(simulator, monkeypatch):
    """However many VMs: what has changed of them, and a few hundred in a call of samples."""
    from pyVmomi import SoapStubAdapter

    many = simulator("-machines", "250")
    with novacron.connect(many.uri(path="/DC0"), password=many.password) as host:
        host.vms.list()
        host.invoke("metrics_vms")
        calls, real = [], SoapStubAdapter.InvokeMethod
        monkeypatch.setattr(SoapStubAdapter, "InvokeMethod", lambda *a, **k: (calls.append(a[2].name), real(*a, **k))[1])
        assert len(host.invoke("metrics_vms")) == 500
        assert len(calls) <= 3, calls  # what changed, and two batches of samples


def test_what_was_is_told_by_intervals(host):
    """Samples of 20 seconds of the last hour, and longer intervals for longer; the end of the list is the newest."""
    vm = host.vms["DC0_H0_VM0"]
    for over, seconds, most in (("10m", 20, 30), ("1d", 300, 288), ("1w", 1800, 336), ("30d", 7200, 360), ("365d", 86400, 365)):
        found = vm.history(over=over)
        assert {usage.seconds for usage in found} == {seconds}
        assert most - 1 <= len(found) <= most + 1
        assert any(usage.cpus for usage in found)
    begin = datetime.now(UTC) - timedelta(minutes=10)
    assert all(datetime.fromisoformat(usage.at) > begin - timedelta(seconds=1) for usage in vm.history(over="10m"))


def test_the_best_counter_that_was_kept_is_told(host):
    """Of what nothing was kept nothing is said: neither a counter that is not there, nor -1 (recorded)."""
    at = datetime(2026, 11, 1, tzinfo=UTC)
    times = [at + timedelta(seconds=300), at, at - timedelta(seconds=300)]
    series = {
        ("cpu.usage.average", ""): [5000.0, -1.0, 1.0],
        ("mem.usage.average", ""): [2500.0, 5000.0, 1.0],
        ("mem.active.average", ""): [-1.0, 3.0, 1.0],
        ("net.bytesRx.average", ""): [2.0, 1.0, 1.0],
    }
    about = {"vm": "v", "host": "h", "seconds": 300.0}
    first, second = usages(times, series, Size(2, 2**30), at - timedelta(seconds=300), about)
    assert (first.at, first.cpus, first.memory_used_bytes) == (at.isoformat(), None, 3 * 1024)
    assert (second.cpus, second.memory_used_bytes, second.net_received_bytes) == (1.0, 2**28, 2048.0)
    assert second.net_sent_bytes is None
    assert second.disk_read_bytes is None


SAMPLES = {
    ("cpu.usage.average", ""): [2500.0, 5000.0],
    ("mem.active.average", ""): [1024.0, 2048.0],
    ("virtualDisk.read.average", "scsi0:0"): [10.0, 20.0],
    ("virtualDisk.numberReadAveraged.average", "scsi0:0"): [5.0, -1.0],
    ("virtualDisk.totalReadLatency.average", "scsi0:0"): [2.0, 2.0],
    ("virtualDisk.write.average", "scsi0:1"): [1.0, 1.0],
    ("net.bytesRx.average", "4000"): [3.0, 4.0],
    ("net.packetsRx.summation", "4000"): [100.0, 50.0],
    ("net.droppedTx.summation", "4000"): [1.0, 0.0],
}
"""Two samples of a VM with two disks and a NIC, as a vCenter 8 answers them (-1: it has none)."""


def test_samples_become_counters():
    """Averages by their seconds, sums as they are; each sample counts once."""
    begin, counted = datetime(2026, 11, 1, tzinfo=UTC), Counted()
    times = [begin, begin + timedelta(seconds=20)]
    add_samples(counted, times, SAMPLES, vcpus=2, clock=0)
    assert counted.cpu == (0.25 + 0.5) * 2 * 20
    assert counted.active == 2048
    assert counted.disks["sda"] == [600 * 1024, 0, 100, 0, 0.2, 0]
    assert counted.disks["sdb"] == [0, 40 * 1024, 0, 0, 0, 0]
    assert counted.nics["4000"] == [140 * 1024, 0, 150, 0, 0, 1]
    add_samples(counted, times, SAMPLES, vcpus=2, clock=0)
    assert counted.cpu == 30, "what was seen is not added again"
    add_samples(counted, [times[1] + timedelta(seconds=20)], {("cpu.usage.average", ""): [10_000.0]}, vcpus=2, clock=0)
    assert counted.cpu == 70
    add_samples(counted, [times[1] + timedelta(seconds=21)], {("cpu.usage.average", ""): [10_000.0]}, vcpus=2, clock=0)
    assert counted.cpu == 72, "a sample that overlaps the one before adds what is new of it"


@pytest.mark.parametrize("apart", [0.5, 1.0, 7.0, 19.0, 20.0, 33.0, 600.0])
@pytest.mark.parametrize("phase", [0.0, 5.0, 19.9])
def test_a_rate_is_that_of_the_samples_however_far_apart_two_measurements_are(apart, phase):
    """A VM that uses half of its two CPUs all the time, and reads 10 KiB/s: so say all rates, not 20 times as much."""
    begin, counted = datetime(2026, 11, 1, tzinfo=UTC), Counted()

    def measure(now: float) -> VMMetrics:
        newest = int(now // 20)
        oldest = newest if counted.last is None else 0
        times = [begin + timedelta(seconds=20 * n) for n in range(oldest, newest + 1)]
        series = {("cpu.usage.average", ""): [5000.0] * len(times), ("virtualDisk.read.average", "scsi0:0"): [10.0] * len(times)}
        add_samples(counted, times, series, vcpus=2, clock=now)
        at, sums = counted.at(now)
        disk = DiskMetrics(target="sda", read_bytes=int(sums.disks["sda"][0]))
        return VMMetrics.of(vm="v", host="h", at=at.isoformat(), cpu_seconds=sums.cpu, vcpus=2, disks=(disk,), nics=())

    first, second = measure(1000 + phase), measure(1000 + phase + apart)
    rates = second.since(first)
    assert rates.cpus == pytest.approx(1.0, rel=1e-3)
    assert rates.disks[0].read_bytes == pytest.approx(10 * 1024, rel=2e-3)


def test_metrics_rates_and_history_agree(simulator):
    """The rates over a second are within what the history says of the last samples.

    The simulator varies each sample anew, each time that it is asked, by a normal deviation of a fifth: a wrong unit is a larger factor.
    """
    single = simulator("-machines", "1")
    with novacron.connect(single.uri(path="/DC0"), password=single.password) as host:
        rates = {each.vm: each for each in host.vms.rates(over=0.3)}
        for vm in host.vms.list():
            usages = vm.history(over="1h")
            for field, rate in (("cpus", rates[vm.id].cpus), ("net_received_bytes", rates[vm.id].net_received_bytes)):
                known = [getattr(usage, field) for usage in usages if getattr(usage, field) is not None]
                assert known, field
                assert rate <= max(known) * 2, field


def test_the_clock_of_the_server_is_reported(host):
    before = datetime.now(UTC).timestamp()
    clock = host.invoke("metrics_host").clock
    assert before - 1 <= clock <= datetime.now(UTC).timestamp() + 1


def test_licences_that_end_are_reported_without_their_keys(host, monkeypatch):
    """vCenter writes the end of a licence into its properties, and the hours that are left of an evaluation (recorded)."""
    from novacron_vmware.connection import VMwareConnection
    from novacron_vmware.sdk import vim

    License, Value = vim.LicenseManager.LicenseInfo, vim.KeyAnyValue
    end = datetime(2027, 1, 31, tzinfo=UTC)
    found = [
        License(licenseKey="AAAAA-BBBBB-CCCCC", name="vSphere 8", properties=[Value(key="expirationDate", value=end)]),
        License(licenseKey="AAAAA-BBBBB-DDDDD", name="vSphere 8", properties=[]),
        License(licenseKey="00000-00000", name="Evaluation", properties=[Value(key="expirationHours", value=48)]),
    ]
    assert host.expirations() == [], "the licence of the simulator never ends"
    read = VMwareConnection.read

    def recorded(self, thing, paths):
        return {"licenses": found} if paths == ["licenses"] else read(self, thing, paths)

    monkeypatch.setattr(VMwareConnection, "read", recorded)
    evaluation, licence = host.expirations()
    assert (licence.name, licence.expires_at) == ("vSphere 8 CCCCC", end.isoformat())
    assert evaluation.name == "Evaluation 00000"
    left = datetime.fromisoformat(evaluation.expires_at) - datetime.now(UTC)
    assert timedelta(hours=46) < left <= timedelta(hours=48)


def test_the_history_of_a_vcenter_is_imported_once(host, govc, tmp_path):
    """Each interval becomes one point: the samples of the last hour and the averages before. The values are those that govc reports.

    The simulator makes its samples up for each request, so the averages are compared.
    """
    from novacron.monitoring.history import History
    from novacron.monitoring.imports import import_history
    from novacron.monitoring.storage import MetricStorage
    from novacron.store.database import Database

    database = Database(f"sqlite:///{tmp_path / 'metrics.db'}")
    try:
        storage, vm = MetricStorage(database), host.vms["DC0_H0_VM0"]
        now = storage.now()
        assert import_history(host, storage, 4 * 3600.0, now) > 0

        def stored(metric, show):
            (one,) = History(storage, {}).query(
                metric, labels={"vm": vm.id}, since=now - 4 * 3600, until=now, age=4 * 3600.0, show=show
            )
            return one.points

        cpu, memory = stored("novacron_vm_cpu_seconds_total", "rate"), stored("novacron_vm_memory_used_bytes", "value")
        steps = [round(later - sooner) for (sooner, _), (later, _) in itertools.pairwise(memory)]
        assert steps.count(20) >= 170
        assert steps.count(300) >= 30
        assert all(20 <= step <= 320 for step in steps)
        named = ("cpu.usage.average", "mem.active.average")
        seen = govc.json("metric.sample", "-i", "20", "-n", "180", f"/DC0/vm/{vm.name}", *named)["sample"][0]
        known = {one["name"]: statistics.mean(one["value"]) for one in seen["value"] if one["instance"] in ("", "*")}
        busy, active = known[named[0]] / 10_000 * vm.metrics().vcpus, known[named[1]] * 1024
        assert statistics.mean(value for _, value in cpu[-170:]) == pytest.approx(busy, rel=0.5)
        assert statistics.mean(value for _, value in memory[-170:]) == pytest.approx(active, rel=0.5)
        assert import_history(host, storage, 4 * 3600.0, now) == 0
        assert len(stored("novacron_vm_memory_used_bytes", "value")) == len(memory)
    finally:
        database.close()
