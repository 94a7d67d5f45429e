"""How listing, metrics and events grow from 10 to 100 to 1,000 VMs of a host: with the VMs, or not at all."""

import statistics
import threading
import time

import libvirt
import pytest

import novacron

pytestmark = [pytest.mark.benchmark, pytest.mark.lab, pytest.mark.timeout(600)]

SIZES = (10, 100, 1000)
CHANGES = 60
SLACK = 1.3
"""What ten times the VMs may take above ten times the time."""


@pytest.fixture(scope="module")
def hosts(growing_crowds):
    """{10: host, 100: host, 1000: host}, connected."""
    connected = {size: novacron.connect(growing_crowds[size].uri, name=f"crowd-{size}") for size in SIZES}
    yield connected
    for host in connected.values():
        host.close()


def told(seconds, unit=1000):
    """The times of 10, 100 and 1,000 VMs, and how many times as long each step takes."""
    ten, hundred, thousand = (seconds[size] * unit for size in SIZES)
    return (
        f"{ten:.2f}, {hundred:.2f}, {thousand:.2f} ms for 10, 100, 1,000 VMs: x {hundred / ten:.1f}, x {thousand / hundred:.1f}"
    )


@pytest.mark.parametrize("detail", ["summary", "full"])
def test_a_list_grows_with_its_vms(hosts, measure, tell, detail):
    """Of every VM its record; with `full` its disks, NICs and tags too, for which libvirt is asked VM by VM."""
    m = measure({size: lambda host=host: list(host.vms.list(detail=detail)) for size, host in hosts.items()})
    seconds = {size: m.best(size) for size in SIZES}
    tell(told(seconds))
    assert seconds[1000] <= 10 * SLACK * seconds[100]
    assert seconds[100] <= 10 * SLACK * seconds[10]


def test_metrics_grow_with_their_vms(hosts, measure, tell):
    """The records of all VMs, each disk and NIC included. They are stopped: running ones cost libvirt more and us the same."""
    from novacron_kvm.operations.metrics import vm_metrics

    def sweep(host):
        stats = host.dispatcher.driver.native.read.getAllDomainStats(0, 0)
        return [vm_metrics(host.name, domain, values, "2026-01-01T00:00:00+00:00") for domain, values in stats]

    for size, host in hosts.items():
        assert len(sweep(host)) == size
    m = measure({size: lambda host=host: sweep(host) for size, host in hosts.items()})
    seconds = {size: m.best(size) for size in SIZES}
    tell(told(seconds))
    assert seconds[1000] <= 10 * SLACK * seconds[100]
    assert seconds[100] <= 10 * SLACK * seconds[10]


def test_an_event_comes_as_soon_whatever_the_number_of_vms(hosts, growing_crowds, tell):
    """From before a VM is defined anew until the subscriber has heard of it, at the median."""
    seconds = {}
    for size, host in hosts.items():
        maker = libvirt.open(growing_crowds[size].uri)
        definition = maker.lookupByName("crowd-00003").XMLDesc(0)
        heard = threading.Event()
        subscription = host.subscribe(lambda event, heard=heard: heard.set() if event.resource == "crowd-00003" else None)
        delays = []
        for _ in range(CHANGES):
            heard.clear()
            began = time.perf_counter()
            maker.defineXML(definition)
            assert heard.wait(20)
            delays.append(time.perf_counter() - began)
        subscription.close()
        maker.close()
        seconds[size] = statistics.median(delays)
    tell(told(seconds))
    assert seconds[1000] <= 5 * seconds[10], "it does not grow with the VMs"
