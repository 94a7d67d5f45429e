"""The simulated driver at the size of a large fleet."""

import gc
import tracemalloc

import pytest

from novacron.drivers.sim.plugin import connect
from novacron.plugins import ConnectContext, HostURI
from novacron.specs import VMQuery

VMS = 100


def listed(driver):
    (part,) = (part for part in driver.parts if hasattr(part, "vm_list"))
    return len(part.vm_list(VMQuery()))


def bytes_of(make):
    """Return what `make` returns, and how many bytes live on because of it."""
    gc.collect()
    tracemalloc.start()
    try:
        made = make()
        gc.collect()
        return made, tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def drivers(count, vms):
    uris = (HostURI.parse(f"sim://grown{vms}-{number}?vms={vms}") for number in range(count))
    return [connect(uri, ConnectContext(uri.host, 1.0, {})) for uri in uris]


@pytest.mark.slow
def test_untouched_vms_take_no_memory_and_hosts_little(sample):
    """Hosts with 100 VMs each, connected and listed, take at most a tenth more than empty ones, and 100 times as much as a hundredth."""
    hosts = sample(300, 1000)

    def made_and_listed(count, vms):
        found = drivers(count, vms)
        assert sum(map(listed, found)) == count * vms
        return found

    made_and_listed(1, 1)  # imports
    _, empty = bytes_of(lambda: made_and_listed(hosts, 0))
    _, filled = bytes_of(lambda: made_and_listed(hosts, VMS))
    _, one = bytes_of(lambda: made_and_listed(hosts // 100, VMS // 2))
    assert filled / empty < 1.1
    assert filled / (100 * one) < 1.5
    assert filled / (hosts * VMS) < 512, "bytes per VM"
