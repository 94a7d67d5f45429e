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
    """Return a definition with other facts in it, without a UUID, that only reads its disks."""
    root = etree.fromstring(text)
    for disk in root.iterfind("devices/disk"):
        etree.SubElement(disk, "readonly")
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


@pytest.mark.parametrize("where", ["another VM", "pool", "host"])
def test_an_imported_vm_that_names_other_files_as_its_nvram_can_not_delete_them(lab_hosts, lab, where):
    """libvirt deletes whatever file a definition names as its NVRAM, unless it is told to keep it."""
    a, machine = lab_hosts[0], lab.hosts[0]
    folder = "/var/lib/libvirt/qemu/nvram"
    path = {"another VM": f"{folder}/victim_VARS.fd", "pool": str(lab.shared / "victim.raw"), "host": f"{machine.folder}/victim"}[
        where
    ]
    machine.exec("sh", "-c", f"mkdir -p {folder}; printf precious > {path}")
    firmware = "<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>"
    text = (
        "<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory><os><type machine='q35'>hvm</type>"
        f"{firmware}<nvram>{{path}}</nvram></os><features><acpi/></features></domain>"
    )
    victim = a.vms.import_definition(text.format(name="victim", path=path)) if where == "another VM" else None
    try:
        forged = path.replace("victim", "./victim", 1) if where == "another VM" else path
        a.vms.import_definition(text.format(name="thief", path=forged)).delete()
        assert machine.exec("cat", path).stdout == "precious"
        assert "thief" not in a.vms
        if victim is not None:
            victim.delete()
            assert machine.exec("sh", "-c", f"ls {path} || true").stdout == "", "its own variables go with it"
            victim = None
    finally:
        if victim is not None:
            victim.delete()
        machine.exec("rm", "-f", path)


def test_a_migration_moves_no_nvram_of_others(lab_hosts, lab):
    """It would write the file at the destination, and delete it at the source."""
    (a, b), (here, there) = lab_hosts, lab.hosts
    path = "/var/lib/libvirt/somebodys-file"  # each host has this folder for itself
    here.exec("sh", "-c", f"printf precious > {path}")
    text = (
        "<domain type='qemu'><name>thief</name><memory unit='MiB'>32</memory><os><type machine='q35'>hvm</type>"
        f"<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader><nvram>{path}</nvram></os>"
        "<features><acpi/></features></domain>"
    )
    thief = a.vms.import_definition(text)
    try:
        with pytest.raises(errors.InvalidStateError, match="somebodys-file"):
            thief.migrate(b)
        assert here.exec("cat", path).stdout == "precious"
        assert there.exec("sh", "-c", f"ls {path} || true").stdout == ""
        assert ("thief" in a.vms, "thief" in b.vms) == (True, False)
    finally:
        thief.delete()
        here.exec("rm", "-f", path)


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


def test_an_import_under_another_uuid_with_a_disk_in_use_is_refused(lab, lab_hosts, boot, tmp_path):
    """By a VM of this host or of another host of the fleet, whatever the definition calls the file, and while the VM is stopped."""
    from novacron.site import Site

    with Site(tmp_path / "state") as site:
        for number, host in enumerate(lab.hosts):
            site.fleet.add(f"host-{number}", host.uri)
        a, b = (site.fleet.hosts[name] for name in ("host-0", "host-1"))
        vm = boot(a, "has-the-disk", ticks=0, start=False, disks=[{"size": "8MiB"}])
        disk = vm.record.disks[0].source
        volume = disk.rpartition("/")[2]
        for host, kind, source in (
            (a, "file", f'<source file="{lab.shared}/./../{lab.shared.name}//{volume}"/>'),
            (b, "volume", f'<source pool="default" volume="{volume}"/>'),
        ):
            host.pools.refresh("default")
            text = (
                f"<domain type='qemu'><name>second</name><memory unit='MiB'>32</memory><os><type>hvm</type></os><devices>"
                f"<disk type='{kind}'><driver name='qemu' type='qcow2'/>{source}<target dev='vda' bus='virtio'/>{{}}</disk>"
                "</devices></domain>"
            )
            with pytest.raises(errors.DiskLockedError, match="'has-the-disk'") as caught:
                host.vms.import_definition(text.format(""))
            assert ("host host-0" in str(caught.value)) == (host is b), source
            assert "second" not in host.vms
            assert len(host.vms.import_definition(text.format("<readonly/>")).delete().removed) == 1, "only its definition"
        assert (lab.shared / volume).exists()
        vm.delete()
        again = b.vms.import_definition(text.format(""))
        again.delete()


def test_what_another_host_of_the_fleet_uses_is_neither_taken_nor_deleted(lab, lab_hosts, tmp_path):
    """Two hosts share their storage. The fleet is what makes one host know of the other's VMs."""
    from novacron.site import Site

    with Site(tmp_path / "state") as site:
        for number, host in enumerate(lab.hosts):
            site.fleet.add(f"host-{number}", host.uri)
        a, b = (site.fleet.hosts[name] for name in ("host-0", "host-1"))
        vm = a.vms.create(name="shared-disk", memory="32MiB", disks=[{"size": "8MiB"}])
        try:
            disk = vm.record.disks[0]
            with pytest.raises(errors.AlreadyExistsError, match=r"host-0 has a VM with the UUID .*'shared-disk'"):
                b.vms.import_definition(vm.export().text)
            assert "shared-disk" not in b.vms
            b.pools.refresh("default")
            for refused in ("volume_delete", "volume_wipe"):
                with pytest.raises(errors.InvalidStateError, match="'shared-disk' of the host host-0"):
                    b.invoke(refused, pool="default", volume=disk.source.rpartition("/")[2])
            other = b.vms.create(name="other-disk", memory="32MiB", disks=[{"path": disk.source, "read_only": True}])
            deleted = vm.delete()
            assert deleted.kept == (disk.source,)
            b.pools.refresh("default")
            assert other.refresh().record.disks[0].source == disk.source
            other.delete()
            b.pools.delete_volume(disk.source.rpartition("/")[2])
        finally:
            for host, name in ((a, "shared-disk"), (b, "other-disk")):
                if name in host.vms:
                    host.vms[name].delete(force=True)


def test_the_nvram_of_a_vm_follows_it_to_another_name(lab_hosts, lab):
    """libvirt finds it by the name. The next VM of the old name gets none of it, and takes none away."""
    host, folder = lab_hosts[0], "/var/lib/libvirt/qemu/nvram"
    vm = host.vms.create(name="first-name", memory="32MiB", firmware="uefi")
    script = f"mkdir -p {folder}; printf keys > {folder}/first-name_VARS.fd; chmod 600 {folder}/first-name_VARS.fd"
    lab.hosts[0].exec("sh", "-c", script)
    with pytest.raises(errors.AlreadyExistsError):
        vm.rename("first-name")
    vm.rename("second-name")
    there = lab.hosts[0].exec("ls", folder).stdout.split()
    assert "second-name_VARS.fd" in there
    assert "first-name_VARS.fd" not in there
    assert lab.hosts[0].exec("cat", f"{folder}/second-name_VARS.fd").stdout == "keys"
    assert lab.hosts[0].exec("stat", "-c", "%a", f"{folder}/second-name_VARS.fd").stdout.strip() == "600"
    host.vms.create(name="first-name", memory="32MiB", firmware="uefi").delete()
    assert "second-name_VARS.fd" in lab.hosts[0].exec("ls", folder).stdout
    vm.delete()
    assert "second-name_VARS.fd" not in lab.hosts[0].exec("ls", folder).stdout
