"""Which files belong to a VM: a definition from outside that claims files of others must not let them be deleted."""

import pytest
from lxml import etree

from novacron import errors
from novacron.specs import VolumeSpec
from novacron_kvm.snapshots import metadata
from novacron_kvm.xml.facts import VMFacts
from novacron_kvm.xml.parsing import NAMESPACE

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]


def claiming(text, facts, **identity):
    """Return a definition with other facts in it, and without a UUID."""
    root = etree.fromstring(text)
    root.remove(root.find("uuid"))
    root.find("name").text = identity["name"]
    facts.write(root)
    return etree.tostring(root, encoding="unicode")


@pytest.mark.parametrize("claim", ["made", "chain"])
def test_an_imported_vm_that_claims_other_files_can_not_delete_them(lab_hosts, boot, lab, claim):
    """The claims: its own disk, which another VM made; a volume of somebody; the disk of a VM that is stopped."""
    a = lab_hosts[0]
    victim = boot(a, f"victim-{claim}", ticks=0, start=False, disks=[{"size": "8MiB"}])
    a.invoke("volume_create", pool="default", spec=VolumeSpec(name=f"mine-{claim}.qcow2", capacity="8MiB"))
    mine = str(lab.shared / f"mine-{claim}.qcow2")
    disks = [disk.source for disk in victim.record.disks]
    forged = claiming(victim.export().text, VMFacts(tags=("kept",), **{claim: (mine, *disks)}), name=f"forged-{claim}")
    vm = a.vms.import_definition(forged)
    handle = a.vms[f"forged-{claim}"]
    assert handle.record.tags == {"kept"}, "what is no claim about files is kept"
    deleted = handle.delete()
    assert not {mine, *disks} & {*deleted.removed}
    assert all((lab.shared / path.rpartition("/")[2]).exists() for path in (mine, *disks)), vm
    victim.delete()
    a.invoke("volume_delete", pool="default", volume=f"mine-{claim}.qcow2")


def test_an_imported_vm_with_stored_snapshots_of_another_gets_none(lab_hosts, boot):
    a = lab_hosts[0]
    vm = boot(a, "stored", ticks=0, start=False)
    vm.snapshots.create("one")
    domain = a.dispatcher.driver.native.domain(vm.id)
    metadata.store_metadata(domain)
    try:
        text = domain.XMLDesc(0)
        assert metadata.NAMESPACE in text
        imported = claiming(text, VMFacts(), name="stored-copy")
        a.invoke("vm_import", definition=imported, validate=True)
        copy = a.vms["stored-copy"]
        assert copy.snapshots.list() == []
        assert metadata.NAMESPACE not in copy.export().text
        assert NAMESPACE in copy.export().text
        with pytest.raises(errors.SnapshotNotFoundError):
            copy.snapshots["one"].delete()
        copy.delete()
    finally:
        metadata.restore_metadata(domain)
    assert [s.name for s in vm.snapshots.list()] == ["one"]
