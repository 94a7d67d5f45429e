"""A migration that copies disks leaves files at the source that something there or on another host may need: real hosts."""

import contextlib
import uuid

import libvirt
import pytest

from novacron.site import Site
from novacron_kvm.migration import transfer
from novacron_kvm.storage import held_files

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]
FOLDER = "/var/lib/libvirt/own"
SEEN = "/run/seen"
DOMAIN = """<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory><os><type>hvm</type></os><devices>
<disk type='file' device='{device}'><driver name='qemu' type='{format}'/><source file='{path}'/><target dev='{target}'/><readonly/></disk>
</devices></domain>"""


@pytest.fixture
def prefix():
    return f"lb{uuid.uuid4().hex[:6]}"


@pytest.fixture
def site(lab, tmp_path):
    with Site(tmp_path / "state") as made:
        for number, machine in enumerate(lab.hosts):
            made.fleet.add(f"host-{number}", machine.uri)
        yield made


@pytest.fixture
def hosts(lab, site, prefix):
    """Two hosts of one fleet, each with a storage pool of its own. The second one also has the first one's folder, at another path."""
    folder = f"{lab.hosts[0].folder}/var-lib-libvirt/own"
    found = [site.fleet.hosts[name] for name in ("host-0", "host-1")]
    for host in found:
        host.pools.create(name="own", type="dir", path=FOLDER)
    lab.hosts[1].exec("mkdir", "-p", SEEN)
    lab.hosts[1].exec("mount", "--bind", folder, SEEN)
    yield found
    for machine in lab.hosts:
        with contextlib.closing(libvirt.open(machine.uri)) as connection:
            for domain in connection.listAllDomains(0):
                if domain.name().startswith(prefix):
                    domain.undefine()
    lab.hosts[1].exec("umount", SEEN)
    for machine, host in zip(lab.hosts, found, strict=True):
        host.pools.stop("own")
        host.pools.delete("own")
        machine.exec("sh", "-c", f"rm -rf {FOLDER}")


def files(machine):
    return sorted(machine.exec("ls", FOLDER).stdout.split())


@pytest.mark.parametrize(("device", "kind"), [("disk", "backing"), ("cdrom", "raw")])
def test_a_file_that_a_vm_of_another_host_needs_stays_when_its_vm_moves_away(lab, hosts, prefix, device, kind):
    """As what a disk is backed by, or as a medium; what nobody needs is deleted."""
    a, b = hosts
    vm = a.vms.create(
        name=f"{prefix}-v",
        memory="32MiB",
        disks=[{"size": "8MiB", "pool": "own", "format": "raw"}, {"size": "8MiB", "pool": "own"}],
    )
    needed, spare = (disk.source for disk in vm.record.disks)
    seen = f"{SEEN}/{needed.rpartition('/')[2]}"
    if kind == "backing":
        lab.hosts[1].exec("mkdir", "-p", "/run/above")
        lab.hosts[1].exec("qemu-img", "create", "-q", "-f", "qcow2", "-b", seen, "-F", "raw", "/run/above/a.qcow2")
        seen, kind = "/run/above/a.qcow2", "qcow2"
    with contextlib.closing(libvirt.open(lab.hosts[1].uri)) as connection:
        target = "vda" if device == "disk" else "hda"
        connection.defineXML(DOMAIN.format(name=f"{prefix}-other", path=seen, device=device, format=kind, target=target))
    vm.migrate(b, storage="copy")
    assert files(lab.hosts[0]) == [needed.rpartition("/")[2]]
    assert files(lab.hosts[1]) == sorted(path.rpartition("/")[2] for path in (needed, spare))
    assert (vm.last_migration.kept, vm.last_migration.hint) == ((needed,), None)
    vm.delete()
    assert files(lab.hosts[1]) == []


def test_files_that_a_silent_host_may_need_stay_when_their_vm_moves_away(lab, site, hosts, prefix, tmp_path):
    """The report says which, and the command that deletes them."""
    a, b = hosts
    vm = a.vms.create(name=f"{prefix}-v", memory="32MiB", disks=[{"size": "8MiB", "pool": "own"}])
    disk = vm.record.disks[0].source
    site.fleet.add("gone", f"qemu+unix:///system?socket={tmp_path}/nobody")
    vm.migrate(b, storage="copy")
    assert files(lab.hosts[0]) == files(lab.hosts[1]) == [disk.rpartition("/")[2]]
    report = vm.last_migration
    assert report.kept == (disk,)
    assert "the host 'gone' does not answer" in report.hint
    assert f"`novacron volume delete --host host-0 --pool own {disk.rpartition('/')[2]}`" in report.hint
    site.fleet.remove("gone")
    vm.delete()
    a.pools.delete_volume(disk.rpartition("/")[2], "own")


def test_a_vm_that_has_moved_away_from_files_that_another_process_holds_has_moved(lab, site, hosts, prefix, monkeypatch):
    """The files stay, and the report names them."""
    a, b = hosts
    vm = a.vms.create(name=f"{prefix}-v", memory="32MiB", disks=[{"size": "8MiB", "pool": "own"}], autostart=True)
    disk = vm.record.disks[0].source
    monkeypatch.setattr(held_files, "PATIENCE", 0.1)
    with held_files.holding(a.dispatcher.driver.native, [disk]):
        monkeypatch.setattr(transfer, "reading", lambda *_: contextlib.nullcontext())  # the other one has come after this
        vm.migrate(b, storage="copy")
    assert files(lab.hosts[0]) == files(lab.hosts[1]) == [disk.rpartition("/")[2]]
    assert vm.last_migration.kept == (disk,)
    assert "another process changes the file" in vm.last_migration.hint
    assert vm.refresh().record.autostart
    vm.delete()
    a.pools.delete_volume(disk.rpartition("/")[2], "own")
