"""A deletion whose host does not come back says which files may be left."""

import libvirt
import pytest

import novacron
from novacron import errors
from novacron_kvm import connection as connections
from novacron_kvm.domains.metadata import facts_of, set_facts


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
