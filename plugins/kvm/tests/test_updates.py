"""What becomes of a VM's definition when an update fails."""

import pytest

import novacron
from novacron import errors
from novacron_kvm.domains.metadata import change_facts, facts_of
from novacron_kvm.lifecycle import changes
from novacron_kvm.storage.copies import set_defined_disk_file


@pytest.fixture
def host():
    with novacron.connect("test:///default") as connected:
        yield connected


def test_what_another_process_changes_meanwhile_stays_when_an_update_fails(host, monkeypatch):
    """A snapshot or a move has switched a disk: a definition with the old file would start the VM with data that is frozen or gone."""
    vm = host.vms.create(
        name="fails", memory="64MiB", vcpus=1, disks=[{"size": "1MiB", "format": "raw", "pool": "default-pool"}], tags=["one"]
    )
    there = host.pools.create_volume("default-pool", name="fails-there.img", capacity="2MiB", format="raw")
    connection = host.dispatcher.driver.native
    domain = connection.domain(vm.id)
    update = changes._update_at_once

    def fails(*arguments):
        update(*arguments)
        set_defined_disk_file(connection, connection.read, domain, "hda", there)
        own = facts_of(domain)
        change_facts(connection, domain, own, own.with_files([there.path]).with_labels(None, {"owner": "ann"}))
        raise errors.InvalidStateError("a later change fails")

    monkeypatch.setattr(changes, "_update_at_once", fails)
    with pytest.raises(errors.InvalidStateError, match="a later change fails"):
        vm.update(vcpus_max=2, tags=["two"])
    monkeypatch.undo()
    try:
        now = vm.refresh().record
        assert vm.configuration().fields["vcpus_max"] == 1
        assert now.disks[0].source == there.path
        assert there.path in facts_of(domain).made
        assert ({*now.tags}, now.metadata) == ({"one"}, {"owner": "ann"})
    finally:
        vm.delete()
