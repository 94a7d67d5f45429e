"""Every list of the driver while a second connection makes and deletes what is listed."""

import threading
from contextlib import contextmanager

import libvirt
import pytest

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
MOST = 400
"""Reads of a list after which a round ends, should the other connection be slow."""


@pytest.fixture
def a(lab_hosts):
    return lab_hosts[0]


@contextmanager
def changing(uri, change, rounds):
    """Change things over a second connection in a thread; give a function that says whether it still does."""
    failures = []
    ended = threading.Event()

    def run():
        connection = libvirt.open(uri)
        try:
            for number in range(rounds):
                change(connection, number)
        except BaseException as error:  # noqa: BLE001 - told by the test
            failures.append(error)
        finally:
            ended.set()
            connection.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield lambda: not ended.is_set()
    thread.join(120)
    assert not failures, failures
    assert ended.is_set()


def read_while(changes, *reads):
    number = 0
    while changes() and number < MOST:
        for read in reads:
            read()
        number += 1
    return number


def volumes(connection, number):
    pool = connection.storagePoolLookupByName("default")
    made = pool.createXML(f"<volume><name>stress-{number}</name><capacity>4096</capacity></volume>", 0)
    made.delete(0)


def pools(connection, number):
    path = f"/var/tmp/stress-{number}"
    pool = connection.storagePoolCreateXML(
        f"<pool type='dir'><name>stress-{number}</name><target><path>{path}</path></target></pool>",
        libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD,
    )
    pool.destroy()


def networks(connection, number):
    found = connection.networkDefineXML(f"<network><name>stress-{number}</name></network>")
    found.undefine()


def filters(connection, number):
    connection.nwfilterDefineXML(f"<filter name='stress-{number}' chain='root'/>").undefine()


def vms(connection, number):
    connection.defineXML(
        f"<domain type='qemu'><name>stress-{number}</name><memory unit='MiB'>16</memory><os><type arch='x86_64'>hvm</type></os></domain>"
    ).undefine()


LISTS = {
    "volumes": (volumes, lambda host: host.invoke("volume_list", pool="default")),
    "pools": (pools, lambda host: host.invoke("pool_list")),
    "networks": (networks, lambda host: host.invoke("network_list")),
    "filters": (filters, lambda host: host.invoke("filter_list")),
    "vms": (vms, lambda host: list(host.vms)),
    "templates": (volumes, lambda host: host.invoke("template_list")),
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_is_read_while_another_connection_makes_and_deletes(a, kind, sample):
    change, read = LISTS[kind]
    with changing(a.uri, change, sample(25, 400)) as still:
        assert read_while(still, lambda: read(a))


def test_vms_are_listed_in_full_while_others_come_and_go(a, sample):
    from novacron.specs.query import VMQuery

    with changing(a.uri, vms, sample(25, 400)) as still:
        assert read_while(still, lambda: a.invoke("vm_list", query=VMQuery(detail="full")))


@pytest.mark.parametrize("running", [False, True])
def test_snapshots_are_listed_while_another_connection_takes_and_deletes_them(a, boot, running, sample):
    vm = boot(a, f"busy-{running}", ticks=0, kernel=None, start=running, disks=[{"size": "16MiB"}])
    vm.snapshots.create("kept")

    def change(connection, number):
        domain = connection.lookupByUUIDString(vm.id)
        domain.snapshotCreateXML(f"<domainsnapshot><name>s{number}</name></domainsnapshot>", 0).delete(0)

    with changing(a.uri, change, sample(4, 40)) as still:
        seen = []
        number = read_while(
            still, lambda: seen.append([s.name for s in vm.snapshots.list()]), lambda: vm.snapshots["kept"].record
        )
    assert number
    assert all("kept" in names for names in seen)
