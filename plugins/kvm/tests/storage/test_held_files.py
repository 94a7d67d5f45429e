"""Locks of files within one process."""

from contextlib import contextmanager

import pytest
from lxml import etree

import novacron
from novacron.errors import BusyError
from novacron_kvm.storage.held_files import holding, using


@pytest.fixture
def connection(monkeypatch):
    """A connection whose locks are seen: one that is held is refused at once, as another process would be after a while."""
    held, asked = set(), []

    @contextmanager
    def exclusive(key, timeout):
        if key in held:
            raise BusyError(key)
        held.add(key)
        asked.append(key)
        try:
            yield
        finally:
            held.discard(key)

    with novacron.connect("test:///default") as host:
        found = host.dispatcher.driver.native
        monkeypatch.setattr(found, "exclusive", exclusive)
        found.held, found.asked = held, asked
        yield found


@pytest.fixture
def volumes(connection):
    """The paths of two files of one name in two folders."""
    conn = connection.read
    pool = conn.storagePoolCreateXML("<pool type='dir'><name>second</name><target><path>/second</path></target></pool>", 0)
    text = "<volume><name>a.img</name><capacity>1024</capacity></volume>"
    found = [each.createXML(text, 0) for each in (conn.storagePoolLookupByName("default-pool"), pool)]
    yield [volume.path() for volume in found]
    found[0].delete(0)
    pool.destroy()


def test_a_vm_may_write_one_file_and_read_another_one_of_the_same_name(connection, volumes):
    disks = [
        etree.fromstring(f"<disk type='file' device='{device}'><source file='{path}'/><target dev='vda'/></disk>")
        for device, path in zip(("disk", "cdrom"), volumes, strict=True)
    ]
    with using(connection, connection.read, disks):
        assert connection.held == {"file a.img"}
    assert not connection.held


def test_a_file_that_another_one_holds_is_refused_and_nothing_stays_held(connection):
    with holding(connection, ["/x/b", "/x/a", "/y/a"]):
        assert connection.held == {"file a", "file b"}
        with pytest.raises(BusyError), holding(connection, ["/z/a", "/z/c"]):
            pass
        assert connection.held == {"file a", "file b"}
    assert not connection.held


def test_vms_that_write_what_the_other_one_reads_take_the_locks_in_one_order(connection, volumes):
    """Each would hold one file and wait for the other one until both give up."""
    pool = connection.read.storagePoolLookupByName("default-pool")
    other = pool.createXML("<volume><name>b.img</name><capacity>1024</capacity></volume>", 0)
    ways = []
    for written, shown in ((volumes[0], other.path()), (other.path(), volumes[0])):
        disks = [
            etree.fromstring(f"<disk type='file' device='{device}'><source file='{path}'/><target dev='vda'/></disk>")
            for device, path in (("disk", written), ("cdrom", shown))
        ]
        del connection.asked[:]
        with using(connection, connection.read, disks):
            assert connection.held == {"file a.img", "file b.img"}
        ways.append([*connection.asked])
    assert ways == [["file a.img", "file b.img"]] * 2
    other.delete(0)
