"""What becomes of the file that a disk had before it was moved."""

from contextlib import nullcontext

import pytest

import novacron
from novacron import errors
from novacron_kvm.domains.metadata import facts_of, set_facts
from novacron_kvm.migration import storage
from novacron_kvm.storage.volume_files import find_path


@pytest.fixture
def host():
    with novacron.connect("test:///default") as connected:
        yield connected


@pytest.mark.parametrize("why", ["", "a host does not answer", "another process has it"])
def test_the_file_is_deleted_or_stays_the_vm_s(host, monkeypatch, why):
    """If it stayed and belonged to no VM, nobody would ever delete it."""
    before, there = (  # libvirt's test driver has no time stamps: other sizes make them other files
        host.pools.create_volume("default-pool", name=name, capacity=size, format="raw")
        for name, size in (("before.img", "1MiB"), ("there.img", "2MiB"))
    )
    vm = host.vms.import_definition(
        "<domain type='test'><name>moved</name><memory>1024</memory><os><type>hvm</type></os><devices>"
        f"<disk type='file' device='disk'><source file='{before.path}'/><target dev='hda' bus='ide'/></disk></devices></domain>"
    )
    connection = host.dispatcher.driver.native
    domain = connection.domain(vm.id)
    set_facts(domain, facts_of(domain).with_files([before.path]))
    silent = why == "a host does not answer"
    monkeypatch.setattr(storage, "may_be_needed_elsewhere", lambda *_, **__: {before.path} if silent else set())
    if why == "another process has it":
        monkeypatch.setattr(connection, "exclusive", busy_file)
    for _ in range(2):  # it may run again after a connection was lost
        storage._use_copy(connection, vm.id, "hda", before, there, connection.read)
        assert vm.refresh().record.disks[0].source == there.path
        assert (find_path(connection.read, before.path) is None) is not bool(why)
        assert {*facts_of(domain).made} == ({before.path, there.path} if why else {there.path})
    monkeypatch.undo()
    gone = vm.delete()
    assert {*gone.removed} >= {there.path}
    assert [find_path(connection.read, volume.path) for volume in (before, there)] == [None, None]


def busy_file(key, timeout):
    """The lock of a key, as another process leaves it that holds files, and no definition."""
    if key.startswith("file "):
        raise errors.BusyError(f"another process changes the {key}", outcome="not_sent")
    return nullcontext()
