"""A deletion whose host does not come back says which files may be left."""

from contextlib import nullcontext

import libvirt
import pytest

import novacron
from novacron import errors
from novacron_kvm import connection as connections
from novacron_kvm.domains.metadata import facts_of, set_facts
from novacron_kvm.lifecycle import deletion
from novacron_kvm.storage.deletion_notes import Note


@pytest.fixture
def host():
    with novacron.connect("test:///default") as connected:
        yield connected


def test_files_that_nobody_knows_any_more_are_named_if_the_host_stays_away(host, monkeypatch):
    volume = host.pools.create_volume("default-pool", name="left.img", capacity="1MiB", format="raw")
    vm = host.vms.import_definition(
        "<domain type='test'><name>gone</name><memory>1024</memory><os><type>hvm</type></os><devices>"
        f"<disk type='file' device='disk'><source file='{volume.path}'/><target dev='hda' bus='ide'/></disk></devices></domain>"
    )
    domain = host.dispatcher.driver.native.domain(vm.id)
    set_facts(domain, facts_of(domain).with_files([volume.path]))
    real = libvirt.virDomain.undefineFlags

    def lost(self, flags):
        if self.name() == "gone":
            real(self, flags)
            monkeypatch.setattr(connections, "RECONNECT_TIMEOUT", -1.0)  # the host does not come back
        error = libvirt.libvirtError("Cannot recv data: Connection reset by peer")
        error.err = (libvirt.VIR_ERR_SYSTEM_ERROR, 0, str(error), 2, str(error), None, None, 104, 0)
        raise error

    monkeypatch.setattr(libvirt.virDomain, "undefineFlags", lost)
    with pytest.raises(errors.HostConnectionError) as caught:
        vm.delete()
    assert caught.value.outcome == "unknown"
    assert caught.value.details["left"] == [volume.path]
    assert volume.path in caught.value.hint
    monkeypatch.undo()
    host.pools.delete_volume(volume.name, "default-pool")


@pytest.mark.parametrize("error", [libvirt.libvirtError("cannot unlink"), errors.BusyError("held")])
def test_a_file_that_can_not_be_deleted_does_not_keep_those_of_other_vms(host, monkeypatch, error):
    found, done = [Note("1", "one", {}, True), Note("2", "two", {}, True)], []

    def finish(connection, conn, note):
        done.append(note.name)
        if note.name == "one":
            raise error

    monkeypatch.setattr(deletion.deletion_notes, "notes", lambda conn: iter(found))
    monkeypatch.setattr(deletion, "destroying", lambda *_, **__: nullcontext())
    monkeypatch.setattr(deletion, "_finish", finish)
    deletion.finish_interrupted(host.dispatcher.driver.native)
    assert done == ["one", "two"]
