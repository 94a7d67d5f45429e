"""Images that pretend to be of another format, so that the hypervisor reads a file of the host for a guest."""

import io
import json
import subprocess
from pathlib import Path

import pytest

from novacron.appliances import vmdk
from novacron.appliances.archive import write
from novacron.appliances.ovf import ApplianceDisk, Description
from novacron.errors import ImageError, InvalidSpecError
from novacron.specs import VolumeSpec

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

SECRET = b"root:$6$only-root-may-read-this:20000:0:99999:7:::"
MIB = 2**20


@pytest.fixture
def secret(lab):
    """A file of the host that no guest may read, outside of all storage pools."""
    path = Path(lab.hosts[0].folder) / "shadow"
    path.write_bytes(SECRET.ljust(65536, b"\n"))
    yield path
    path.unlink()


def an_image(folder: Path, *options: str) -> bytes:
    """Return a qcow2 image that names a file of the host."""
    image = folder / "naming.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, image, "64K"], check=True)
    return image.read_bytes()


def backed(folder: Path, below: Path) -> bytes:
    return an_image(folder, "-b", str(below), "-F", "raw")


def shown(lab, but: str = "") -> list[str]:
    """Return the volumes that show the secret when they are opened as the format that they seem to have."""
    found = []
    for path in lab.shared.iterdir():
        if path.is_file() and path.name != but:
            plain = lab.shared.parent / "plain"
            subprocess.run(["qemu-img", "convert", "-U", "-O", "raw", path, plain], capture_output=True, check=False)
            content = plain.read_bytes() if plain.exists() else b""
            plain.unlink(missing_ok=True)
            if SECRET in content or SECRET in path.read_bytes():
                found.append(path.name)
    return found


@pytest.fixture
def raw_disk(lab, lab_hosts, boot, tmp_path, secret):
    """A VM whose guest has written the header of an image into its raw disk, as libvirt sees it after its next look at the pool."""
    vm = boot(lab_hosts[0], "writes-a-header", ticks=0, start=False, disks=[{"size": "1MiB", "format": "raw"}])
    with open(vm.record.disks[0].source, "r+b") as file:
        file.write(backed(tmp_path, secret))
    lab_hosts[0].pools.refresh("default")
    name = Path(vm.record.disks[0].source).name
    assert lab_hosts[0].pools.volume(name).backing == str(secret), "the attack works: libvirt follows the header"
    return vm


def test_a_guest_that_writes_an_image_header_into_its_raw_disk_reads_no_file_of_the_host(lab, lab_hosts, raw_disk, tmp_path):
    host, name = lab_hosts[0], Path(raw_disk.record.disks[0].source).name
    attempts = {
        "clone": lambda: raw_disk.clone("copied"),
        "linked clone": lambda: raw_disk.clone("copied", linked=True),
        "convert": lambda: host.pools.convert_volume(name, "copied.qcow2", format="qcow2"),
        "clone of the volume": lambda: host.pools.clone_volume(name, "copied.raw"),
        "export": lambda: raw_disk.export_appliance(tmp_path / "copied.ova"),
        "template": lambda: host.templates.create(raw_disk.name, "copied", seal=False),
        "new VM from it": lambda: host.vms.create(name="copied", disks=[{"source": f"default/{name}", "copy_mode": "full"}]),
        "new VM on top of it": lambda: host.vms.create(name="copied", disks=[{"source": f"default/{name}"}]),
        "new VM with it": lambda: host.vms.create(name="copied", disks=[{"path": raw_disk.record.disks[0].source}]),
        "external snapshot": lambda: raw_disk.snapshots.create("copied", kind="external"),
        "another pool, while it is stopped": lambda: raw_disk.migrate_storage("copied-to"),
    }
    lab.hosts[0].exec("mkdir", "-p", lab.shared / "copied-to")
    host.pools.create(name="copied-to", path=str(lab.shared / "copied-to"))
    for what, attempt in attempts.items():
        with pytest.raises(ImageError) as caught:
            attempt()
        assert "shadow" not in str(caught.value), what
        assert shown(lab, but=name) == [], what
    assert "copied" not in host.vms
    assert list(host.pools.volumes("copied-to")) == []
    host.pools.delete("copied-to")
    (lab.shared / "copied-to").rmdir()
    raw_disk.refresh()
    assert [disk.format for disk in raw_disk.record.disks] == ["raw"]


def test_a_guest_reads_no_disk_of_another_vm_either(lab, lab_hosts, boot, tmp_path):
    """That disk is in a storage pool, as backing files of honest images are."""
    host = lab_hosts[0]
    victim = boot(host, "victim-of-a-header", ticks=0, start=False, disks=[{"size": "1MiB", "format": "raw"}])
    disk = Path(victim.record.disks[0].source)
    disk.write_bytes(b"of another VM".ljust(MIB, b"\n"))
    vm = boot(host, "reads-the-victim", ticks=0, start=False, disks=[{"size": "1MiB", "format": "raw"}])
    source = Path(vm.record.disks[0].source)
    with source.open("r+b") as file:
        file.write(backed(tmp_path, disk))
    host.pools.refresh("default")
    for attempt in (
        lambda: vm.clone("copied"),
        lambda: host.pools.convert_volume(source.name, "copied.qcow2", format="qcow2"),
        lambda: host.vms.create(name="copied", disks=[{"source": f"default/{source.name}", "copy_mode": "full"}]),
    ):
        with pytest.raises(ImageError):
            attempt()
    assert not list(lab.shared.glob("copied*"))


@pytest.mark.parametrize("kind", ["a backing file", "its data in another file"])
def test_an_uploaded_image_that_names_a_file_of_the_host_is_not_used(lab, lab_hosts, secret, tmp_path, kind):
    host = lab_hosts[0]
    if kind == "a backing file":
        data = backed(tmp_path, secret)
    else:
        data = an_image(tmp_path, "-o", f"data_file={secret},data_file_raw=on")  # this empties the file
        secret.write_bytes(SECRET.ljust(65536, b"\n"))
    (tmp_path / "hostile.qcow2").write_bytes(data)
    host.pools.create_volume(name="hostile.qcow2", capacity="64KiB", format="qcow2")
    try:
        with pytest.raises(ImageError, match=kind):
            host.pools.upload(tmp_path / "hostile.qcow2", "hostile.qcow2")
        (lab.shared / "hostile.qcow2").write_bytes(data)  # another tool can put it there
        host.pools.refresh("default")
        for attempt in (
            lambda: host.pools.convert_volume("hostile.qcow2", "copied.raw", format="raw"),
            lambda: host.vms.create(name="copied", disks=[{"source": "default/hostile.qcow2", "copy_mode": "full"}]),
            lambda: host.vms.create(name="copied", disks=[{"source": "default/hostile.qcow2"}]),
            lambda: host.vms.create(name="copied", disks=[{"path": str(lab.shared / "hostile.qcow2")}]),
        ):
            with pytest.raises(ImageError):
                attempt()
        assert shown(lab, but="hostile.qcow2") == []
    finally:
        host.pools.delete_volume("hostile.qcow2")


def test_the_content_of_an_appliance_is_no_image_that_names_a_file_of_the_host(lab, lab_hosts, secret, tmp_path):
    disk = tmp_path / "x-disk0.vmdk"
    with disk.open("wb") as file:
        vmdk.encode(io.BytesIO(backed(tmp_path, secret)), file, MIB)
    parts = (ApplianceDisk(file=disk.name, capacity=MIB, size=disk.stat().st_size),)
    with (tmp_path / "x.ova").open("wb") as file:
        write(file, Description(name="forged-ova", vcpus=1, memory=64 * MIB, disks=parts), [disk])
    with pytest.raises(InvalidSpecError, match="qcow2"):
        lab_hosts[0].vms.import_appliance(tmp_path / "x.ova")
    assert shown(lab) == []
    assert not list(lab.shared.glob("import-*"))


def test_a_backing_file_in_a_storage_pool_is_fine(lab_hosts, tmp_path):
    """What NovaCron and others make themselves still works: an image on top of another one."""
    host = lab_hosts[0]
    host.invoke("volume_create", pool="default", spec=VolumeSpec(name="honest-base.qcow2", capacity="64KiB"))
    host.invoke(
        "volume_create", pool="default", spec=VolumeSpec(name="honest.qcow2", capacity="64KiB", backing="honest-base.qcow2")
    )
    try:
        copy = host.pools.convert_volume("honest.qcow2", "honest-copy.qcow2", format="qcow2")
        assert copy.backing is None
        vm = host.vms.create(name="honest", memory="32MiB", disks=[{"source": "default/honest.qcow2"}])
        vm.delete()
    finally:
        for name in ("honest.qcow2", "honest-base.qcow2", "honest-copy.qcow2"):
            host.pools.delete_volume(name)


def test_a_forged_template_deletes_no_file_of_others(lab, lab_hosts, boot):
    """Whoever can write into a shared pool can write the file that describes a template."""
    host = lab_hosts[0]
    victim = boot(host, "victim-of-a-template", ticks=0, start=False, disks=[{"size": "1MiB"}])
    host.invoke("volume_create", pool="default", spec=VolumeSpec(name="of-nobody.qcow2", capacity="1MiB"))
    mine = str(lab.shared / "of-nobody.qcow2")
    facts = {
        "name": "forged",
        "version": 1,
        "description": "",
        "tags": [],
        "disks": {"vda": mine, "vdb": victim.record.disks[0].source},
    }
    facts["created_at"] = "2026-01-01T00:00:00+00:00"
    (lab.shared / "template-forged-v1.xml").write_bytes(f"{json.dumps(facts)}\n<domain/>".encode().ljust(MIB, b"\0"))
    host.pools.refresh("default")
    assert "forged" in [template.name for template in host.templates.list()]
    assert mine not in host.templates.delete("forged").removed
    assert Path(mine).exists()
    assert Path(victim.record.disks[0].source).exists()
    host.pools.delete_volume("of-nobody.qcow2")
