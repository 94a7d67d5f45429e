"""Attaching a file that is a disk already: refused before anything changes, unless all of its users share it."""

from contextlib import nullcontext

import pytest
from lxml import etree

import novacron
import novacron_kvm.operations.disks as disks
from novacron import errors
from novacron_kvm.storage.host_files import HostFiles

PATH = "/default-pool/attached.img"


@pytest.fixture
def host():
    with novacron.connect("test:///default") as connected:
        made = connected.pools.create_volume("default-pool", name="attached.img", capacity="1MiB", format="raw")
        assert made.path == PATH
        yield connected
        connected.pools.delete_volume("attached.img", "default-pool")


def test_a_disk_of_another_vm_is_refused_before_a_controller_is_added_for_it(host, monkeypatch):
    plugged = []
    monkeypatch.setattr(disks, "plug", lambda domain, element: plugged.append(element.tag))
    first = host.vms.import_definition(
        "<domain type='test'><name>first</name><memory>1024</memory><os><type>hvm</type></os><devices>"
        f"<disk type='file' device='disk'><source file='{PATH}'/><target dev='hda' bus='ide'/></disk></devices></domain>"
    )
    with pytest.raises(errors.DiskLockedError, match="'first'"):
        host.vms["test"].disks.attach(path=PATH, bus="scsi")
    assert plugged == []
    first.delete()


SHARED, READ = "<shareable/>", "<readonly/>"


@pytest.mark.parametrize(
    ("there", "new", "refused"),
    [("", "", True), (SHARED, "", True), ("", SHARED, True), (SHARED, SHARED, False), ("", READ, False), (READ, "", False)],
)
def test_a_file_is_a_disk_of_a_vm_twice_only_if_both_share_it_or_one_reads_it(host, there, new, refused):
    text = f"<disk type='file' device='disk'><source file='{PATH}'/><target dev='{{}}'/>{{}}</disk>"
    root = etree.fromstring(f"<domain><devices>{text.format('vda', there)}</devices></domain>")
    conn = host.dispatcher.driver.native.read
    with pytest.raises(errors.InvalidStateError, match="'vda' of 'test' already") if refused else nullcontext():
        disks._refuse_twice(HostFiles(conn), conn.lookupByName("test"), root, etree.fromstring(text.format("vdb", new)))
