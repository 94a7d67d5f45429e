"""Rates between two measurements: right over restarts, moves and changed devices, and never negative."""

import time
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import novacron
from novacron.records.metrics import VM_COUNTERS, DiskMetrics, NICMetrics, VMMetrics


def measured(second, **fields):
    return VMMetrics(
        vm="one", host=fields.pop("host", "a"), at=f"2026-01-01T00:{second // 60:02}:{second % 60:02}+00:00", **fields
    )


def vda(**fields):
    return DiskMetrics(target="vda", **fields)


def test_rates_are_per_second_and_latencies_per_request():
    first = measured(0, cpu_seconds=1.0, disks=(vda(reads=10, read_seconds=1.0, read_bytes=100),))
    second = measured(10, cpu_seconds=6.0, disks=(vda(reads=30, read_seconds=2.0, read_bytes=1100),))
    rates = second.since(first)
    assert (rates.seconds, rates.cpus, rates.restarted) == (10.0, 0.5, False)
    (disk,) = rates.disks
    assert (disk.read_bytes, disk.reads, disk.read_latency, disk.write_latency) == (100.0, 2.0, 0.05, None)


def test_a_restarted_vm_has_done_at_least_what_its_new_counters_say():
    rates = measured(10, disk_reads=40, cpu_seconds=1.0).since(measured(0, disk_reads=900, cpu_seconds=5.0))
    assert (rates.restarted, rates.disk_reads, rates.cpus) == (True, 4.0, 0.1)


def test_counters_on_another_host_begin_anew_also_when_they_are_higher():
    rates = measured(10, host="b", disk_reads=950).since(measured(0, disk_reads=900))
    assert (rates.restarted, rates.disk_reads) == (True, 95.0)


def test_a_disk_taken_away_is_no_restart():
    first = measured(0, cpu_seconds=1.0, disk_reads=500, disks=(vda(reads=100), DiskMetrics(target="vdb", reads=400)))
    rates = measured(10, cpu_seconds=2.0, disk_reads=150, disks=(vda(reads=150),)).since(first)
    assert (rates.restarted, rates.disk_reads, rates.disks[0].reads) == (False, 0.0, 5.0)


def test_another_disk_of_the_same_name_counts_from_nothing():
    first = measured(0, cpu_seconds=1.0, disks=(vda(reads=100), DiskMetrics(target="vdb", reads=400)))
    second = measured(10, cpu_seconds=2.0, disks=(vda(reads=150), DiskMetrics(target="vdb", reads=10)))
    assert [d.reads for d in second.since(first).disks] == [5.0, 1.0]


def test_measurements_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match="one VM"):
        measured(10).since(measured(0).replace(vm="two"))
    with pytest.raises(ValueError, match="earlier"):
        measured(10).since(measured(10))


counters = st.fixed_dictionaries({name: st.integers(0, 2**40) for name in VM_COUNTERS} | {"cpu_seconds": st.floats(0, 1e6)})
devices = st.builds(
    lambda disks, nics: {"disks": tuple(disks), "nics": tuple(nics)},
    st.lists(
        st.builds(DiskMetrics, target=st.sampled_from(["vda", "vdb"]), reads=st.integers(0, 99), read_seconds=st.floats(0, 99)),
        unique_by=lambda d: d.target,
    ),
    st.lists(st.builds(NICMetrics, name=st.sampled_from(["v0", "v1"]), dropped=st.integers(0, 99)), unique_by=lambda n: n.name),
)
samples = st.builds(lambda a, b, host: a | b | {"host": host}, counters, devices, st.sampled_from(["a", "b"]))


@given(samples, samples)
def test_no_rate_is_ever_negative(first, second):
    rates = measured(7, **second).since(measured(0, **first)).as_dict()
    found = [rates, *rates["disks"], *rates["nics"]]
    assert all(value >= 0 for one in found for value in one.values() if isinstance(value, int | float))


@given(st.lists(st.integers(0, 2**40), min_size=2, max_size=20))
def test_steps_add_up_to_the_whole(steps):
    seen, points = 0, []
    for second, step in enumerate(steps):
        seen += step
        points.append(measured(second, disk_read_bytes=seen, cpu_seconds=float(second)))
    total = sum(later.since(sooner).disk_read_bytes for sooner, later in pairwise(points))
    assert total == pytest.approx(seen - steps[0])


def test_sums_are_those_of_the_devices():
    with novacron.connect("sim://metrics") as host:
        vm = host.vms.create(name="one", disks=[{"size": "1GiB"}, {"size": "1GiB"}], start=True)
        found = vm.metrics()
        assert [d.target for d in found.disks] == [d.target for d in vm.refresh().record.disks]
        assert found.disk_read_bytes == sum(d.read_bytes for d in found.disks)


def test_a_history_ends_now_and_its_intervals_follow_each_other():
    """On `sim`: as much in each as the counters say, and nothing of a VM that does not run."""
    with novacron.connect("sim://history-of-one") as host:
        vm = host.vms.create(name="one", vcpus=2, disks=[{"size": "1MiB"}], start=True)
        until = time.monotonic() + 60
        while len(found := vm.history(over="100s")) < 2 and time.monotonic() < until:
            time.sleep(0.1)
        assert [usage.seconds for usage in found] == [1.0] * len(found)
        times = [datetime.fromisoformat(usage.at) for usage in found]
        assert {later - sooner for sooner, later in pairwise(times)} == {timedelta(seconds=1)}
        assert found[-1].cpus == pytest.approx(vm.rates(over=0.2).cpus, rel=0.1)
        assert found[-1].disk_read_bytes > 0
        assert vm.stop().history() == []
