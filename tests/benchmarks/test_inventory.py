"""Listing all VMs of a host: few calls, however many there are, and hardly more time than libvirt itself takes."""

import json
import os
import subprocess
import sys
import time

import libvirt
import pytest
from lxml import etree

import novacron

pytestmark = [pytest.mark.benchmark, pytest.mark.lab, pytest.mark.timeout(900)]

GROUPS = libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_VCPU | libvirt.VIR_DOMAIN_STATS_BALLOON
STATUS = {libvirt.VIR_DOMAIN_RUNNING: "running", libvirt.VIR_DOMAIN_PAUSED: "suspended", libvirt.VIR_DOMAIN_SHUTOFF: "stopped"}
MORE_THAN_DEFINITIONS = 2.5
"""How many times the CPU of the bare way a list with disks and NICs may take. It was 11 times with threads and two calls for each disk."""

COUNTING = """
import json, os, sys
import libvirt, novacron
log, uri = os.environ["LIBVIRT_LOG_OUTPUTS"].removeprefix("1:file:"), sys.argv[1]
def calls(work):
    began = os.path.getsize(log)
    work()
    with open(log, "rb") as file:
        file.seek(began)
        return sum(b"RPC_CLIENT_MSG_TX_QUEUE" in line and b" type=0 " in line for line in file)
raw, host = libvirt.open(uri), novacron.connect(uri)
print(json.dumps({
    "one": calls(raw.getLibVersion),
    "info": calls(lambda: [domain.info() for domain in raw.listAllDomains(0)]),
    "ours": calls(host.vms.list),
    "ours again": calls(host.vms.list),
    "full": calls(lambda: host.vms.list(detail="full")),
}))
"""


def bulk(connection):
    """The quickest way there is to the same information: three calls, and a tuple for each VM."""
    stats = connection.getAllDomainStats(GROUPS, 0)
    transient = {domain.UUID() for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_TRANSIENT)}
    autostart = {domain.UUID() for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART)}
    return [
        (
            domain.UUIDString(),
            domain.name(),
            STATUS[values["state.state"]],
            values["vcpu.current"],
            values.get("balloon.current", values["balloon.maximum"]) * 1024,
            domain.UUID() not in transient,
            domain.UUID() in autostart,
        )
        for domain, values in stats
    ]


def with_info(connection):
    """What virsh list does: one call for each VM."""
    return [(d.UUIDString(), d.name(), d.info()) for d in connection.listAllDomains(0)]


def with_five(connection):
    """What many tools do: several calls for each VM, here the five that give our record."""
    return [
        (d.UUIDString(), d.name(), d.info(), d.state(), d.isPersistent(), d.autostart(), d.hasManagedSaveImage())
        for d in connection.listAllDomains(0)
    ]


def record(vm):
    """A VM of ours as `bulk` tells it."""
    return vm.id, vm.name, vm.status, vm.record.vcpus, vm.record.memory_bytes, vm.record.persistent, vm.record.autostart


@pytest.fixture
def sides(crowd):
    """(the number of VMs, libvirt's connection, ours) to the same daemon."""
    size, host = crowd
    raw, ours = libvirt.open(host.uri), novacron.connect(host.uri, name=host.name)
    yield size, raw, ours
    ours.close()
    raw.close()


def test_a_list_tells_what_libvirt_tells_and_sees_what_another_process_changed(sides, crowd):
    size, raw, ours = sides
    assert sorted(map(record, ours.vms.list())) == sorted(bulk(raw))
    assert len(ours.vms.list()) == size
    virsh = ["virsh", "-q", "-c", crowd[1].uri]
    definition = subprocess.run([*virsh, "dumpxml", "crowd-00007"], capture_output=True, check=True).stdout
    subprocess.run([*virsh, "undefine", "crowd-00007"], check=True)
    try:
        assert "crowd-00007" not in {vm.name for vm in ours.vms.list()}
    finally:
        subprocess.run([*virsh, "define", "/dev/stdin"], input=definition, check=True)
    assert len(ours.vms.list()) == size


def test_a_list_makes_at_most_four_calls_however_many_vms_there_are(crowd, tmp_path, tell):
    """Three as in `bulk`, and one that finds the VMs that libvirtd has lost, if there are stopped ones.

    Counted in libvirt's own log of what it sends; the counter is proven by calls whose number is known.
    """
    size, host = crowd
    logged = {"LIBVIRT_LOG_FILTERS": "1:rpc.netclient", "LIBVIRT_LOG_OUTPUTS": f"1:file:{tmp_path / 'log'}"}
    ran = subprocess.run([sys.executable, "-c", COUNTING, host.uri], env=os.environ | logged, capture_output=True, check=True)
    counted = json.loads(ran.stdout)
    assert (counted["one"], counted["info"]) == (1, size + 1)
    tell(f"{counted['ours']} calls for {size} VMs, list + info {counted['info']}")
    assert counted["ours"] == counted["ours again"] <= 4
    assert counted["full"] <= size + 12, "a list with disks and NICs makes one call for each VM, that for its definition"


def test_a_list_takes_hardly_longer_than_libvirts_bulk_calls(sides, measure, tell):
    size, raw, ours = sides
    m = measure(
        {
            "raw bulk": lambda: bulk(raw),
            "NovaCron": lambda: list(ours.vms.list()),
            "raw bulk again": lambda: bulk(raw),
            "list+info": lambda: with_info(raw),
            "list+5": lambda: with_five(raw),
        },
        control=("raw bulk again", "raw bulk"),
    )
    tell(
        f"{1e6 * m.best('NovaCron') / size:.1f} us a VM, {m.told('NovaCron', 'raw bulk')}; "
        f"list + info takes {m.told('list+info', 'NovaCron')}, list + 5 calls {m.told('list+5', 'NovaCron')}; "
        f"control {m.told('raw bulk again', 'raw bulk')}"
    )
    assert m.ratio("NovaCron", "raw bulk") <= 1.4
    assert m.ratio("list+info", "NovaCron") >= 6
    assert m.ratio("list+5", "NovaCron") >= 25


def test_a_list_with_disks_and_nics_costs_little_more_cpu_than_to_read_the_definitions(crowds, measure, tell):
    """libvirt has no call for the definitions of all VMs, so the bare way asks for each and parses it, and has no records yet."""
    size, uri = 1000, crowds[1000].uri
    raw, ours = libvirt.open(uri), novacron.connect(uri)
    ways = {
        "bare": lambda: [etree.fromstring(domain.XMLDesc(0)) for domain in raw.listAllDomains(0)],
        "NovaCron": lambda: ours.vms.list(detail="full"),
        "bare again": lambda: [etree.fromstring(domain.XMLDesc(0)) for domain in raw.listAllDomains(0)],
    }
    m = measure(ways, rounds=5, control=("bare again", "bare"), clock=time.process_time)
    tell(
        f"{1e6 * m.best('NovaCron') / size:.0f} us of CPU a VM, {m.told('NovaCron', 'bare')}; control {m.told('bare again', 'bare')}"
    )
    assert m.ratio("NovaCron", "bare") <= MORE_THAN_DEFINITIONS
    ours.close()
    raw.close()


def test_metrics_take_hardly_longer_than_libvirts_bulk_call(sides, measure, tell):
    """The records of all VMs, each disk and NIC included. The VMs are stopped: running ones cost libvirt more and us the same."""
    from novacron_kvm.operations.metrics import vm_metrics

    size, raw, ours = sides
    read, at = ours.dispatcher.driver.native.read, "2026-01-01T00:00:00+00:00"
    m = measure(
        {
            "raw bulk": lambda: raw.getAllDomainStats(0, 0),
            "NovaCron": lambda: [vm_metrics("crowd", domain, values, at) for domain, values in read.getAllDomainStats(0, 0)],
            "raw bulk again": lambda: raw.getAllDomainStats(0, 0),
        },
        control=("raw bulk again", "raw bulk"),
    )
    tell(
        f"{1e6 * m.best('NovaCron') / size:.1f} us a VM, {m.told('NovaCron', 'raw bulk')}; control {m.told('raw bulk again', 'raw bulk')}"
    )
    assert m.ratio("NovaCron", "raw bulk") <= 1.5
