"""No two VMs write one file, nothing changes below an overlay, and what another host's VM needs stays: real hosts share storage."""

import contextlib
import uuid

import libvirt
import pytest

from novacron import errors
from novacron.site import Site
from novacron.specs import VolumeSpec

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]
MIB = 2**20
DOMAIN = """<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory><os><type>hvm</type></os><devices>
<disk type='file'><driver name='qemu' type='qcow2'/><source file='{path}'/><target dev='vda' bus='virtio'/></disk></devices></domain>"""


@pytest.fixture
def hosts(lab, lab_hosts, tmp_path):
    """Both hosts, in one fleet: so one knows of the other's VMs."""
    with Site(tmp_path / "state") as site:
        for number, host in enumerate(lab.hosts):
            site.fleet.add(f"host-{number}", host.uri)
        yield [site.fleet.hosts[name] for name in ("host-0", "host-1")]


@pytest.fixture
def prefix(lab, hosts):
    """What the names of VMs and volumes begin with; at the end all of them are gone."""
    found = f"du{uuid.uuid4().hex[:6]}"
    yield found
    for machine in lab.hosts:
        with contextlib.closing(libvirt.open(machine.uri)) as connection:
            for domain in connection.listAllDomains(0):
                if domain.name().startswith(found):
                    if domain.isActive():
                        domain.destroy()
                    domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA)
    for path in lab.shared.glob(f"*{found}*"):
        path.unlink()
    for host in hosts:
        host.pools.refresh("default")


def define(machine, prefix, path):
    """Another tool defines a VM with a file as its disk."""
    with contextlib.closing(libvirt.open(machine.uri)) as connection:
        connection.defineXML(DOMAIN.format(name=f"{prefix}-other", path=path))


@pytest.fixture
def owner(hosts, prefix):
    return hosts[0].vms.create(name=f"{prefix}-owner", memory="32MiB", disks=[{"size": "8MiB"}])


def use(way, host, prefix, **disk):
    """Let a second VM use a disk, in one of four ways."""
    name = f"{prefix}-second"
    if way == "create":
        host.vms.create(name=name, memory="32MiB", disks=[disk])
    elif way == "preview":
        host.vms.preview(name=name, memory="32MiB", disks=[disk])
    elif way == "deploy":
        host.templates.deploy(f"{prefix}-t", name=name, disks=[disk])
    else:
        host.vms[f"{prefix}-blank"].disks.attach(**disk)


@pytest.mark.parametrize("way", ["create", "preview", "attach", "deploy"])
@pytest.mark.parametrize("number", [0, 1])
def test_the_disk_of_a_vm_is_no_disk_of_another_one(hosts, prefix, owner, way, number):
    """Of a VM of this host or of another one of the fleet. Disks that are only read may be used."""
    path, host = owner.record.disks[0].source, hosts[number]
    host.pools.refresh("default")
    blank = host.vms.create(name=f"{prefix}-blank", memory="32MiB", disks=[{"size": "8MiB"}])
    if way == "deploy":
        host.templates.create(blank.name, f"{prefix}-t", seal=False)
    before = {volume.name for volume in host.pools.volumes()}
    with pytest.raises(errors.DiskLockedError, match=f"'{owner.name}'") as caught:
        use(way, host, prefix, path=path)
    assert ("of the host host-0" in caught.value.message) == (number == 1)
    assert f"{prefix}-second" not in host.vms
    assert {volume.name for volume in host.pools.volumes()} == before, "nothing half-made stays"
    use(way, host, prefix, path=path, read_only=True)


def test_a_file_is_no_second_disk_of_its_own_vm_but_comes_back_after_a_detach(owner):
    path = owner.record.disks[0].source
    with pytest.raises(errors.InvalidStateError, match="the disk 'vda'"):
        owner.disks.attach(path=path)
    owner.snapshots.create("before", kind="external", memory=False)
    above = owner.refresh().record.disks[0].source
    owner.disks["vda"].detach()
    assert owner.disks.attach(path=above).record.source == above


def test_a_file_that_volumes_or_templates_need_is_no_disk(hosts, prefix, owner):
    a = hosts[0]
    a.pools.create_volume(name=f"{prefix}-base.qcow2", capacity="8MiB")
    a.pools.create_volume(name=f"{prefix}-above.qcow2", backing=f"{prefix}-base.qcow2")
    with pytest.raises(errors.InvalidStateError, match=f"'{prefix}-above.qcow2' is backed by it"):
        owner.disks.attach(path=f"{prefix}-base.qcow2")
    a.templates.create(owner.name, f"{prefix}-t", seal=False)
    with pytest.raises(errors.InvalidStateError, match=f"it belongs to the template '{prefix}-t'"):
        owner.disks.attach(path=f"template-{prefix}-t-v1-vda.qcow2")
    assert len(owner.refresh().record.disks) == 1


def test_nothing_starts_from_the_disk_of_a_vm_that_may_write_to_it(hosts, prefix, owner):
    a, path = hosts[0], owner.record.disks[0].source
    for start in (
        lambda: a.vms.create(name=f"{prefix}-linked", memory="32MiB", disks=[{"source": path}]),
        lambda: a.invoke("volume_create", pool="default", spec=VolumeSpec(name=f"{prefix}-above.qcow2", backing=path)),
        lambda: a.pools.create_volume(name=f"{prefix}-above.qcow2", backing=path.rpartition("/")[2]),
    ):
        with pytest.raises(errors.DiskLockedError, match=f"the disk of the VM '{owner.name}'"):
            start()
    whole = [{"source": path, "copy_mode": "full"}]
    a.vms.create(name=f"{prefix}-whole", memory="32MiB", disks=whole)
    a.dispatcher.driver.native.domain(owner.id).createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    with pytest.raises(errors.DiskLockedError, match="can't copy"):
        a.vms.create(name=f"{prefix}-torn", memory="32MiB", disks=whole)
    assert {vm.name for vm in a.vms.list() if vm.name.startswith(prefix)} == {owner.name, f"{prefix}-whole"}


def test_a_backing_file_outside_of_all_pools_is_refused_and_a_raw_one_keeps_its_format(hosts, lab, prefix):
    a = hosts[0]
    a.pools.create_volume(name=f"{prefix}-base.raw", capacity="8MiB", format="raw")
    above = a.pools.create_volume(name=f"{prefix}-above.qcow2", backing=str(lab.shared / f"{prefix}-base.raw"))
    assert (above.backing, above.capacity_bytes) == (str(lab.shared / f"{prefix}-base.raw"), 8 * MIB)
    with pytest.raises(errors.VolumeNotFoundError):
        a.pools.create_volume(name=f"{prefix}-other.qcow2", backing="/etc/passwd")


def test_deleting_a_snapshot_keeps_the_files_that_another_hosts_vm_uses(hosts, lab, prefix):
    a = hosts[0]
    vm = a.vms.create(name=f"{prefix}-two", memory="32MiB", disks=[{"size": "8MiB"}, {"size": "8MiB"}])
    vm.snapshots.create("one", kind="external")
    above = vm.refresh().record.disks[1].source
    vm.disks["vdb"].detach()
    define(lab.hosts[1], prefix, above)
    vm.snapshots["one"].delete()
    assert (lab.shared / above.rpartition("/")[2]).exists()
    below = next(v.backing for v in a.pools.volumes() if v.path == above)
    assert (lab.shared / below.rpartition("/")[2]).exists()
    assert vm.refresh().record.disks[0].source.endswith("-vda.qcow2"), "the other disk is one file again"


def test_a_host_that_does_not_answer_may_use_a_file(hosts, lab, prefix, mended):
    a = hosts[0]
    vm = a.vms.create(name=f"{prefix}-two", memory="32MiB", disks=[{"size": "8MiB"}, {"size": "8MiB"}])
    vm.snapshots.create("one", kind="external")
    above = vm.refresh().record.disks[1].source
    vm.disks["vdb"].detach()
    lab.hosts[1].freeze_daemon()
    vm.snapshots["one"].delete()
    assert (lab.shared / above.rpartition("/")[2]).exists()
    lab.hosts[1].thaw_daemon()


def test_nothing_is_committed_into_a_file_that_another_hosts_vm_uses(hosts, lab, prefix):
    a = hosts[0]
    base = a.pools.create_volume(name=f"{prefix}-base.qcow2", capacity="8MiB").path
    vm = a.vms.create(name=f"{prefix}-vm", memory="32MiB", disks=[{"source": base}])
    define(lab.hosts[1], prefix, base)
    with pytest.raises(errors.InvalidStateError, match=f"'{prefix}-other' of the host host-1"):
        vm.disks["vda"].commit()


def test_moving_a_disk_keeps_the_original_that_another_hosts_vm_uses(hosts, lab, prefix, owner, tmp_path):
    path = owner.record.disks[0].source
    define(lab.hosts[1], prefix, path)
    target = f"{prefix}-pool"
    hosts[0].pools.create(name=target, type="dir", path=f"/var/lib/libvirt/{target}")
    try:
        owner.migrate_storage(target)
        assert owner.refresh().record.disks[0].pool == target or target in owner.record.disks[0].source
        assert (lab.shared / path.rpartition("/")[2]).exists()
    finally:
        owner.delete()
        hosts[0].pools.stop(target)
        hosts[0].pools.delete(target)


@pytest.mark.parametrize("kind", ["internal", "external"])
def test_a_vm_does_not_go_back_to_a_disk_that_another_vm_has_now(hosts, lab, prefix, kind):
    """Refused before the VM is stopped or a file is changed."""
    a = hosts[0]
    vm = a.vms.create(name=f"{prefix}-back", memory="32MiB", disks=[{"size": "8MiB"}, {"size": "8MiB"}])
    then = vm.record.disks[1].source
    vm.snapshots.create("then", kind=kind)
    vm.disks["vdb"].detach()
    define(lab.hosts[1 if kind == "internal" else 0], prefix, then)
    volumes = {volume.name for volume in a.pools.volumes()}
    with pytest.raises(errors.DiskLockedError, match=f"'{prefix}-other'"):
        vm.snapshots["then"].revert()
    assert [disk.target for disk in vm.refresh().record.disks] == ["vda"]
    assert {volume.name for volume in a.pools.volumes()} == volumes
