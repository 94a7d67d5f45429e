"""Metrics of real guests: per disk and NIC, and rates that stay right when the VM moves or is started again."""

import itertools
import os
import time

import pytest

from novacron.monitoring.service import MonitorService
from novacron.site import Site

pytestmark = pytest.mark.lab


def test_each_disk_and_nic_is_measured(lab_hosts, boot):
    vm = boot(lab_hosts[0], "measured", disks=[{"size": "64MiB"}, {"size": "64MiB"}], nics=[{"network": "default"}], ticks=2)
    before = vm.metrics()
    vm.console.wait_for_more_ticks(30, 3)  # the guest writes each second to its first disk
    after = vm.metrics()
    rates = after.since(before)
    assert [d.target for d in after.disks] == ["vda", "vdb"]
    assert len(after.nics) == 1
    assert rates.disks[0].written_bytes > 0
    assert rates.disks[0].write_latency > 0
    assert rates.disks[1].written_bytes == 0
    assert 0 < rates.cpus <= 8
    assert not rates.restarted
    assert after.disk_written_bytes == sum(d.written_bytes for d in after.disks)
    assert vm.id in {m.vm for m in lab_hosts[0].invoke("metrics_vms")}


def test_the_guests_own_view_of_its_memory_is_measured_and_what_its_host_gives(lab_hosts, boot):
    vm = boot(lab_hosts[0], "measured-memory", memory="128MiB")
    vm.console.wait_until(lambda: vm.metrics().memory_used_bytes, 60, "the guest's view")
    found = vm.metrics()
    assert found.memory_bytes == 128 * 2**20
    assert 64 * 2**20 < found.memory_guest_bytes < found.memory_bytes, "its kernel keeps some"
    assert 0 < found.memory_used_bytes < found.memory_guest_bytes
    assert 0 < found.memory_usable_bytes < found.memory_guest_bytes
    assert found.memory_resident_bytes > 0


def test_the_host_is_measured(lab_hosts, boot):
    host = lab_hosts[0]
    vm = boot(host, "measured-host")
    before = host.invoke("metrics_host")
    vm.console.wait_for_more_ticks(30, 2)
    after = host.invoke("metrics_host")
    assert after.cpu_seconds - before.cpu_seconds > 0
    assert (after.cpus, after.memory_bytes) == (before.cpus, before.memory_bytes)
    assert after.cpus >= 1
    assert 0 < after.memory_free_bytes < after.memory_bytes


def test_rates_are_right_over_a_migration_and_a_restart(lab_hosts, boot):
    a, b = lab_hosts
    vm = boot(a, "measured-move", ticks=3)
    before = vm.metrics()
    moved = vm.migrate(b)
    vm.console.wait_for_more_ticks(30, 3)
    there = b.vms[vm.id]
    rates = there.metrics().since(before)
    assert rates.restarted
    assert rates.host == b.name
    assert 0 < round(rates.disk_written_bytes * rates.seconds) <= there.metrics().disk_written_bytes
    before = there.metrics()
    there.stop()
    there.start()
    time.sleep(1)
    again = there.metrics().since(before)
    assert again.restarted
    assert again.cpus > 0
    assert moved is not None


def test_a_vm_that_migrates_ten_times_has_one_history(lab_hosts, boot, tmp_path):
    """A round is measured during each migration and after it; twice the VM is started again. No gap, no negative rate, no double."""
    if not os.environ.get("NOVACRON_SOAK"):
        pytest.skip("runs in the soak: ten migrations; core/tests/monitoring/test_collection.py makes them on simulated hosts")
    a, b = lab_hosts
    vm = boot(a, "wanderer", kernel=None, ticks=0)
    with Site(tmp_path / "state") as site:
        for host in lab_hosts:
            site.fleet.add(host.name, host.uri)
        service = MonitorService(site.fleet.metrics, say=lambda _: None, alerts=site.fleet.alerts, imports=False)
        settled, under_way = [service.step().at], []
        for number in range(10):
            job = vm.migrate(a if number % 2 else b, wait=False)
            under_way.append(service.step().at)
            vm = job.wait()
            settled.append(service.step().at)
            if number in (1, 5):
                vm.stop()
                vm.start()
                settled.append(service.step().at)
        service.close()
        found = site.fleet.metrics.query("novacron_vm_cpu_seconds_total", labels={"vm": vm.id}, since="1d", show="value")
        states = site.fleet.metrics.query("novacron_vm_running", labels={"vm": vm.id}, since="1d", show="value")
        assert len(site.fleet.metrics.storage.objects("vm", vm.id)) == 1
    for (series,) in (found, states):
        times = [at for at, _ in series.points]
        assert set(settled) <= set(times) <= {*settled, *under_way}
        assert len(times) == len(set(times))
    (cpu,) = found
    values = [value for _, value in cpu.points]
    assert all(earlier <= later for earlier, later in itertools.pairwise(values))
    assert values[-1] > values[0]
