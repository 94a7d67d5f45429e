"""A file that a VM needs is never deleted, wiped or overwritten, whatever the VM's definition calls it: on real hosts."""

import io
import json
import os
import subprocess
import time
import uuid
from types import SimpleNamespace

import libvirt
import pytest

from novacron import errors
from novacron.specs import TemplateSpec, VMSpec, VolumeSpec
from novacron_kvm.storage.host_files import HostFiles
from novacron_kvm.xml.parsing import NAMESPACE

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]
MIB = 2**20
DOMAIN = """<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory><os><type>hvm</type></os>
<devices><disk type='{type}'><driver name='qemu' type='{format}'/>{source}<target dev='vda' bus='virtio'/></disk></devices></domain>"""


@pytest.fixture
def a(lab_hosts):
    return lab_hosts[0]


@pytest.fixture
def raw(lab):
    connection = libvirt.open(lab.hosts[0].uri)
    yield connection
    connection.close()


@pytest.fixture
def place(lab, a, raw, tmp_path_factory):
    """Volumes, links to them and VMs that other tools defined; all of it is gone at the end."""
    prefix = f"use{uuid.uuid4().hex[:6]}"
    outside = tmp_path_factory.mktemp(prefix)
    outside.chmod(0o755)
    domains = []

    def volume(name="disk.qcow2", **fields):
        spec = VolumeSpec(name=f"{prefix}-{name}", **({"capacity": 8 * MIB} | fields))
        return a.invoke("volume_create", pool="default", spec=spec)

    def define(source, *, running=False, type="file", format="qcow2"):
        text = DOMAIN.format(name=f"{prefix}-{len(domains)}", source=source, type=type, format=format)
        domain = raw.defineXML(text)
        domains.append(domain)
        if running:
            domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        return domain

    def end():
        for domain in domains:
            for call in (domain.destroy, domain.undefine):
                try:
                    call()
                except libvirt.libvirtError:
                    pass  # it is stopped, or gone

    yield SimpleNamespace(volume=volume, define=define, outside=outside, prefix=prefix, end=end)
    end()
    a.invoke("pool_refresh", pool="default")
    for found in sorted(a.pools.volumes(), key=lambda v: v.backing or "", reverse=True):
        if found.name.startswith(prefix):
            (lab.shared / found.name).unlink()
    a.invoke("pool_refresh", pool="default")


def as_volume(lab, place, volume):
    return f"<source pool='default' volume='{volume.name}'/>", "volume"


def spelled(text):
    def source(lab, place, volume):
        return f"<source file='{text.format(folder=lab.shared, name=volume.name)}'/>", "file"

    return source


def by_link_to_folder(lab, place, volume):
    link = place.outside / "folder"
    link.symlink_to(lab.shared)
    return f"<source file='{link / volume.name}'/>", "file"


def by_link(lab, place, volume):
    link = place.outside / "link.qcow2"
    link.symlink_to(volume.path)
    return f"<source file='{link}'/>", "file"


def by_hard_link(lab, place, volume):
    link = lab.shared / f"{place.prefix}-other.qcow2"
    link.hardlink_to(volume.path)
    return f"<source file='{link}'/>", "file"


def by_link_and_back(lab, place, volume):
    (place.outside / "inner").mkdir()
    link = place.outside / "back"
    link.symlink_to(lab.shared / f"{place.prefix}-sub")
    (lab.shared / f"{place.prefix}-sub").mkdir(exist_ok=True)
    return f"<source file='{link}/../{volume.name}'/>", "file"


SPELLINGS = {
    "pool and volume": as_volume,
    "dot": spelled("{folder}/./{name}"),
    "up and down": spelled("{folder}/../shared/{name}"),
    "two slashes": spelled("{folder}//{name}"),
    "a link to the folder": by_link_to_folder,
    "a link to the file": by_link,
    "a hard link": by_hard_link,
    "up from a linked folder": by_link_and_back,
}


@pytest.fixture(params=SPELLINGS)
def used(request, lab, a, place):
    """A volume that a paused VM has as its disk by one of many names."""
    volume = place.volume()
    source, kind = SPELLINGS[request.param](lab, place, volume)
    domain = place.define(source, type=kind, running=True)
    yield SimpleNamespace(volume=volume, domain=domain)
    folder = lab.shared / f"{place.prefix}-sub"
    if folder.exists():
        folder.rmdir()


def operations(a, volume):
    where = {"pool": "default", "volume": volume.name}
    return {
        "delete": lambda: a.invoke("volume_delete", **where),
        "wipe": lambda: a.invoke("volume_wipe", **where),
        "upload": lambda: a.invoke("volume_upload", source=io.BytesIO(b"x" * 4096), **where),
        "resize": lambda: a.invoke("volume_resize", size=16 * MIB, shrink=False, **where),
    }


def test_a_running_vms_disk_is_refused_by_each_operation_whatever_its_name(a, place, used):
    for operation in operations(a, used.volume).values():
        with pytest.raises(errors.InvalidStateError, match=used.domain.name()):
            operation()
    used.domain.destroy()
    with pytest.raises(errors.InvalidStateError, match=used.domain.name()):
        a.invoke("volume_delete", pool="default", volume=used.volume.name)


def test_deleting_another_vm_keeps_it(a, raw, place, used, lab):
    """The other VM's facts claim the file: it was made for that one, and a third tool then used it."""
    other = a.vms.create(name=f"{place.prefix}-owner", memory="32MiB", disks=[{"path": used.volume.path, "read_only": True}])
    claim = json.dumps({"made": [used.volume.path]})
    domain = raw.lookupByUUIDString(other.id)
    domain.setMetadata(
        libvirt.VIR_DOMAIN_METADATA_ELEMENT, f"<vm>{claim}</vm>", "novacron", NAMESPACE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
    )
    gone = other.delete()
    assert used.volume.path in gone.kept
    assert (lab.shared / used.volume.name).exists()


def test_detaching_it_from_another_vm_with_deletion_is_refused(a, place, used):
    other = a.vms.create(name=f"{place.prefix}-second", memory="32MiB", disks=[{"path": used.volume.path, "read_only": True}])
    try:
        with pytest.raises(errors.InvalidStateError, match=used.domain.name()):
            other.disks["vda"].detach(delete=True)
    finally:
        other.delete(keep_disks=True)


@pytest.mark.parametrize("running", [True, False])
def test_what_the_disk_is_backed_by_is_kept_too(lab, a, place, running):
    """The chain is outside the pools, and its lowest file is a volume that is named relatively and through a link."""
    import subprocess

    base = place.volume("base.qcow2")
    (place.outside / "images").symlink_to(lab.shared)
    middle, top = place.outside / "middle.qcow2", place.outside / "top.qcow2"
    make = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"]
    subprocess.run([*make, f"./images/{base.name}", middle], check=True)
    subprocess.run([*make, "middle.qcow2", top], check=True)
    domain = place.define(f"<source file='{top}'/>", running=running)
    for name in ("delete", "wipe", "upload"):
        with pytest.raises(errors.InvalidStateError, match=domain.name()):
            operations(a, base)[name]()


def test_a_volume_with_its_likeness_beside_it_is_free(lab, a, place):
    """Two files that look alike are two: what only the other one's VM needs does not hold this one."""
    first, second = place.volume("first.raw", format="raw"), place.volume("second.raw", format="raw")
    place.define(f"<source file='{second.path}'/>", format="raw")
    operations(a, first)["wipe"]()
    operations(a, first)["delete"]()
    assert not (lab.shared / first.name).exists()


def test_a_disk_that_only_the_next_start_has_is_in_use(a, place):
    first, second = place.volume("now.qcow2"), place.volume("then.qcow2")
    domain = place.define(f"<source file='{first.path}'/>", running=True)
    domain.attachDeviceFlags(
        f"<disk type='volume'><driver name='qemu' type='qcow2'/><source pool='default' volume='{second.name}'/>"
        "<target dev='vdb' bus='virtio'/></disk>",
        libvirt.VIR_DOMAIN_AFFECT_CONFIG,
    )
    with pytest.raises(errors.InvalidStateError, match=domain.name()):
        operations(a, second)["delete"]()


def test_a_pool_that_a_vms_disk_is_named_by_is_not_forgotten(lab, a, raw, place, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool")
    pool = a.pools.create(name=f"{place.prefix}-pool", path=str(folder))
    try:
        volume = a.invoke("volume_create", pool=f"{place.prefix}-pool", spec=VolumeSpec(name="d.qcow2", capacity=MIB))
        domain = place.define(f"<source pool='{place.prefix}-pool' volume='{volume.name}'/>", type="volume")
        with pytest.raises(errors.InvalidStateError, match=domain.name()):
            a.invoke("pool_delete", pool=f"{place.prefix}-pool")
        domain.undefine()
    finally:
        a.invoke("pool_delete", pool=f"{place.prefix}-pool")
    assert pool


@pytest.mark.parametrize("linked", [False, True])
def test_a_vm_whose_disk_is_named_as_a_volume_is_cloned_resized_and_made_a_template(lab, a, place, linked):
    volume = place.volume()
    domain = place.define(f"<source pool='default' volume='{volume.name}'/>", type="volume")
    vm = a.vms[domain.UUIDString()]
    assert vm.record.disks[0].source == volume.path
    assert vm.disks["vda"].resize("16MiB").record.size_bytes == 16 * MIB
    clone = vm.clone(f"{place.prefix}-clone", linked=linked)
    assert clone.record.disks[0].size_bytes == 16 * MIB
    clone.delete()
    if not linked:
        a.invoke("template_create", vm=vm.id, spec=TemplateSpec(name=f"{place.prefix}t", seal=False))
        deployed = a.invoke(
            "template_deploy", template=f"{place.prefix}t", spec=VMSpec(name=f"{place.prefix}-d"), version=None, linked=False
        )
        assert deployed.disks[0].size_bytes == 16 * MIB
        a.vms[deployed.id].delete()
        a.invoke("template_delete", template=f"{place.prefix}t", version=None)


@pytest.mark.parametrize(("refreshed", "hint"), [(True, "novacron volume list default"), (False, "check the path")])
def test_a_volume_that_a_disk_names_and_that_is_gone_is_named_by_resize(lab, a, place, refreshed, hint):
    volume = place.volume()
    vm = a.vms[place.define(f"<source pool='default' volume='{volume.name}'/>", type="volume").UUIDString()]
    (lab.shared / volume.name).unlink()
    if refreshed:
        a.pools.refresh("default")
    with pytest.raises(errors.NotFoundError, match=volume.name) as gone:
        vm.disks["vda"].resize("16MiB")
    assert hint in gone.value.hint
    vm.disks["vda"].detach(delete=True)  # there is nothing to delete
    assert vm.refresh().record.disks == ()


def test_a_disk_of_a_stopped_pool_is_neither_resized_nor_silently_kept_by_detach(a, raw, place, tmp_path_factory):
    pool = f"{place.prefix}-pool"
    folder = tmp_path_factory.mktemp("pool")
    a.pools.create(name=pool, path=str(folder))
    try:
        a.invoke("volume_create", pool=pool, spec=VolumeSpec(name="d.qcow2", capacity=MIB))
        vm = a.vms[place.define(f"<source pool='{pool}' volume='d.qcow2'/>", type="volume").UUIDString()]
        a.pools.stop(pool)
        for refused in (lambda: vm.disks["vda"].resize("16MiB"), lambda: vm.disks["vda"].detach(delete=True)):
            with pytest.raises(errors.InvalidStateError) as stopped:
                refused()
            assert pool in stopped.value.message
            assert "novacron pool start" in stopped.value.hint
        assert vm.refresh().record.disks
        vm.disks["vda"].detach()
        assert (folder / "d.qcow2").exists()
        raw.lookupByUUIDString(vm.id).undefine()
    finally:
        a.invoke("pool_delete", pool=pool)


def test_a_disk_named_as_a_volume_has_external_snapshots_and_comes_back(lab, a, place):
    volume = place.volume()
    domain = place.define(f"<source pool='default' volume='{volume.name}'/>", type="volume", running=True)
    vm = a.vms[domain.UUIDString()]
    vm.snapshots.create(name="one", kind="external", memory=False)
    assert vm.refresh().record.disks[0].source != volume.path
    with pytest.raises(errors.InvalidStateError, match=domain.name()):
        operations(a, volume)["delete"]()
    vm.snapshots["one"].delete()
    assert vm.refresh().record.disks[0].source == volume.path
    domain.destroy()


def test_a_migration_check_says_which_pool_lacks_the_volume(lab, lab_hosts, a, place, tmp_path_factory):
    name = f"{place.prefix}-only-a"
    folder = tmp_path_factory.mktemp("pool")
    a.pools.create(name=name, path=str(folder))
    try:
        volume = a.invoke("volume_create", pool=name, spec=VolumeSpec(name="d.qcow2", capacity=MIB))
        domain = place.define(f"<source pool='{name}' volume='{volume.name}'/>", type="volume", running=True)
        found = a.vms[domain.UUIDString()].migration_check(lab_hosts[1])
        assert any(name in failure and "d.qcow2" in failure for failure in found.failures)
        domain.destroy()
        domain.undefine()
    finally:
        a.invoke("pool_delete", pool=name)


def refused_by_each_operation(a, name, user):
    operations = {"volume_delete": {}, "volume_wipe": {}, "volume_upload": {"source": io.BytesIO(b"x")}}
    for operation, arguments in operations.items():
        with pytest.raises(errors.InvalidStateError, match=user):
            a.invoke(operation, pool="default", volume=name, **arguments)


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize(
    ("format", "options", "part"),
    [
        ("qcow2", "data_file={folder}/{part},data_file_raw=on", "{prefix}-disk.raw"),
        ("vmdk", "subformat=monolithicFlat", "{prefix}-disk-flat.vmdk"),
        ("vmdk", "subformat=twoGbMaxExtentFlat", "{prefix}-disk-f001.vmdk"),
    ],
    ids=["data file of qcow2", "extent of VMDK", "first of several extents"],
)
def test_the_other_files_of_a_disks_image_are_kept_too(lab, a, place, format, options, part, running):
    """libvirt does not say that an image has its content in other files."""
    part = part.format(prefix=place.prefix)
    image = lab.shared / f"{place.prefix}-disk.{format}"
    create = ["qemu-img", "create", "-q", "-f", format, "-o", options.format(part=part, folder=lab.shared), image, "8M"]
    subprocess.run(create, check=True, cwd=lab.shared)
    for file in (image, lab.shared / part):
        file.chmod(0o666)
    a.invoke("pool_refresh", pool="default")
    domain = place.define(f"<source file='{image}'/>", running=running, format=format)
    refused_by_each_operation(a, part, domain.name())
    if running:
        domain.destroy()
    domain.undefine()
    refused_by_each_operation(a, part, image.name)
    a.invoke("volume_delete", pool="default", volume=image.name)
    a.invoke("volume_delete", pool="default", volume=part)


def test_the_memory_of_an_external_snapshot_is_kept(a, boot):
    vm = boot(a, "remembering", kernel=None, ticks=0, memory="32MiB")
    vm.snapshots.create("s1", kind="external", memory=True)
    a.invoke("pool_refresh", pool="default")
    (memory,) = [volume.name for volume in a.pools.volumes() if volume.name.startswith(f"{vm.id}.s1~")]
    refused_by_each_operation(a, memory, vm.name)
    vm.stop()
    vm.snapshots["s1"].revert()
    vm.snapshots["s1"].delete()
    assert memory not in [volume.name for volume in a.pools.volumes()]


def look_the_same(*paths):
    """Give files that differ the same time stamps, as files have that were made at the same moment.

    A change is stamped by a clock that ticks a few hundred times a second; since Linux 6.13 by an exact one if somebody has read the
    stamp before it.
    """
    for _ in range(10_000):
        for path in paths * 2:
            os.utime(path, ns=(0, 0))
        if len({os.stat(path).st_ctime_ns for path in paths}) == 1:
            return
    pytest.fail("the clock never stood still")


@pytest.mark.parametrize("where", ["in one folder", "under the same names in two folders"])
def test_of_files_that_look_the_same_each_keeps_what_it_is_backed_by(lab, a, place, tmp_path_factory, where):
    bases = [place.volume("base.qcow2"), place.volume("base2.qcow2")]
    pools = ["default", "default"]
    overlays = [place.volume(f"over{n}.qcow2", backing=base.name) for n, base in enumerate(bases)]
    if where != "in one folder":
        pools[1] = f"{place.prefix}-pool"
        folder = tmp_path_factory.mktemp("pool")
        a.pools.create(name=pools[1], path=str(folder))
        for n, backing in enumerate((None, bases[0].name)):
            name = (bases if n == 0 else overlays)[0].name
            made = a.invoke("volume_create", pool=pools[1], spec=VolumeSpec(name=name, capacity=8 * MIB, backing=backing))
            (bases if n == 0 else overlays)[1] = made
    try:
        look_the_same(*(overlay.path for overlay in overlays))
        for pool in {*pools}:
            a.invoke("pool_refresh", pool=pool)
        for pool, base, overlay in zip(pools, bases, overlays, strict=True):
            with pytest.raises(errors.InvalidStateError, match=overlay.name):
                a.invoke("volume_delete", pool=pool, volume=base.name)
        domain = place.define(f"<source file='{overlays[1].path}'/>", running=True)
        with pytest.raises(errors.InvalidStateError, match=domain.name()):
            a.invoke("volume_wipe", pool=pools[1], volume=bases[1].name)
        domain.destroy()
    finally:
        for pool in {*pools} - {"default"}:
            a.invoke("pool_delete", pool=pool)


def test_a_vm_and_its_disk_are_deleted_although_another_vms_disk_looks_the_same(lab, a, place):
    base = place.volume("base.qcow2")
    clones = [
        a.vms.create(name=f"{place.prefix}-{n}", memory="32MiB", disks=[{"source": base.path, "copy_mode": "backing"}])
        for n in "ab"
    ]
    disks = [clone.record.disks[0].source for clone in clones]
    look_the_same(*disks)
    a.invoke("pool_refresh", pool="default")
    gone = clones[0].delete()
    assert gone.kept == ()
    assert [os.path.exists(disk) for disk in disks] == [False, True]
    clones[1].delete()


def test_a_vm_is_reverted_although_its_overlay_looks_the_same_as_the_file_below_it(lab, a, place):
    vm = a.vms.create(name=f"{place.prefix}-vm", memory="32MiB", disks=[{"size": "8MiB"}])
    below = vm.record.disks[0].source
    vm.snapshots.create(name="one", kind="external", memory=False)
    above = vm.refresh().record.disks[0].source
    os.truncate(below, os.path.getsize(above))
    look_the_same(below, above)
    a.invoke("pool_refresh", pool="default")
    vm.snapshots["one"].revert()
    assert vm.refresh().record.disks[0].source not in (below, above)
    vm.delete()


@pytest.mark.parametrize("linked", ["its own", "the other"])
def test_a_file_that_is_written_all_the_time_is_known_by_another_name(a, place, monkeypatch, tmp_path_factory, linked):
    volume = place.volume()
    pool = f"{place.prefix}-pool"
    folder = tmp_path_factory.mktemp("pool")
    link = folder / "link.qcow2"
    link.hardlink_to(volume.path)
    a.pools.create(name=pool, path=str(folder))
    read = HostFiles._read

    def read_and_write(files, *arguments):
        read(files, *arguments)
        os.utime(volume.path)

    try:
        used, other = (volume.path, link) if linked == "the other" else (link, volume.path)
        domain = place.define(f"<source file='{used}'/>")
        monkeypatch.setattr(HostFiles, "_read", read_and_write)
        with pytest.raises(errors.InvalidStateError, match=domain.name()):
            a.invoke("volume_delete", pool=pool if other == link else "default", volume=os.path.basename(other))
    finally:
        place.end()
        a.invoke("pool_delete", pool=pool)


def test_a_vm_is_no_user_of_a_file_because_both_are_written_meanwhile(raw, place):
    mine, other = (place.volume(f"{name}.qcow2").path for name in "ab")
    place.define(f"<source file='{other}'/>", running=True)
    os.utime(mine)
    time.sleep(0.01)
    os.utime(other)
    files = HostFiles(raw)
    os.utime(mine)
    assert files.users([mine])[mine] == {}
