"""A VM goes from libvirt to vSphere and back as an OVA, its content byte by byte the same."""

import subprocess
from pathlib import Path

import pytest

import novacron
from novacron import errors
from novacron.appliances import vmdk
from novacron_lab.vcenter import VCenter

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
MIB = 2**20


@pytest.fixture(scope="module")
def vsphere():
    with VCenter() as vcenter, novacron.connect(vcenter.uri(path="/DC0"), name="vc", password=vcenter.password) as host:
        yield host


@pytest.fixture
def lab_host(lab_hosts):
    return lab_hosts[0]


def test_packed_disks_are_what_qemu_reads_and_writes(tmp_path):
    """Both ways, whatever is in the disk: nothing, holes, and what can't be compressed; a size that is no whole grain too."""
    for number, (size, parts) in enumerate(
        [(MIB, []), (5 * MIB, [(0, b"boot"), (3 * MIB + 777, bytes(range(256)) * 999)]), (3 * MIB + 512, [(3 * MIB, b"x" * 512)])]
    ):
        raw = tmp_path / f"{number}.raw"
        with raw.open("wb") as file:
            file.truncate(size)
            for at, data in parts:
                file.seek(at)
                file.write(data)
        ours, theirs, back = tmp_path / f"{number}-ours.vmdk", tmp_path / f"{number}-theirs.vmdk", tmp_path / f"{number}-back.raw"
        with raw.open("rb") as source, ours.open("wb") as target:
            vmdk.encode(source, target, size)
        subprocess.run(["qemu-img", "compare", "-f", "raw", "-F", "vmdk", raw, ours], check=True)
        subprocess.run(["qemu-img", "convert", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, theirs], check=True)
        with theirs.open("rb") as source, back.open("w+b") as target:
            vmdk.decode(source, target)
        subprocess.run(["qemu-img", "compare", "-f", "raw", "-F", "raw", raw, back], check=True)


def test_a_vm_goes_to_vsphere_and_back(lab_host, vsphere, tmp_path):
    """From libvirt by files; what it is and what is on its disk arrives, and leaves again."""
    content = tmp_path / "content"
    with content.open("wb") as file:
        file.truncate(8 * MIB)
        for at in (0, 3 * MIB, 8 * MIB - 4096):
            file.seek(at)
            file.write(f"what is at {at}".encode() * 100)
    lab_host.pools.upload(content, "content.raw")
    vm = lab_host.vms.create(
        name="traveller",
        memory="64MiB",
        vcpus=2,
        description="it travels",
        nics=[{"network": "default"}],
        disks=[{"source": "default/content.raw", "copy_mode": "full"}, {"size": "2MiB"}],
    )
    vm.export_appliance(tmp_path / "out.ova")
    with pytest.raises(errors.NetworkNotFoundError) as caught:
        vsphere.vms.import_appliance(tmp_path / "out.ova")
    assert "VM Network" in caught.value.hint
    there = vsphere.vms.import_appliance(tmp_path / "out.ova", networks={"default": "VM Network"}, tags={"travelled"})
    assert (there.record.vcpus, there.record.memory_bytes, there.record.description) == (2, 64 * MIB, "it travels")
    assert [d.size_bytes for d in there.record.disks if d.device == "disk"] == [8 * MIB, 2 * MIB]
    assert [n.network for n in there.record.nics] == ["VM Network"]
    assert there.tags == {"travelled"}
    there.export_appliance(tmp_path / "back.ova")
    back = lab_host.vms.import_appliance(tmp_path / "back.ova", name="returned", networks={"VM Network": "default"}, start=True)
    assert (back.status, back.record.description) == ("running", "it travels")
    back.stop()
    volume = Path(back.refresh().record.disks[0].source).name
    lab_host.pools.convert_volume(volume, "returned.raw", "raw")
    lab_host.pools.download("returned.raw", tmp_path / "returned")
    subprocess.run(["cmp", content, tmp_path / "returned"], check=True)
    assert not [v.name for v in lab_host.pools.volumes() if v.name.startswith(("import-", "export-"))]
    removed = back.delete().removed
    assert len([each for each in removed if "returned-vd" in each]) == 2, removed
    for left in (vm, there):
        left.delete()
    for volume in ("content.raw", "returned.raw"):
        lab_host.pools.delete_volume(volume)
