"""Creating VMs on a real host in every way, booting them, and leaving nothing behind when it fails."""

import io
import json
import subprocess
import uuid
from pathlib import Path

import pytest

from novacron import errors
from novacron.testing.marked import mark

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
"""A public key that nobody has the private one of."""

pytestmark = pytest.mark.lab


@pytest.fixture
def a(lab_hosts):
    return lab_hosts[0]


@pytest.fixture
def image(lab, a):
    """An image of 32 MiB in the pool whose second MiB says 4711, which the guest reads as the last tick on its disk."""
    name = f"image-{uuid.uuid4().hex[:8]}.qcow2"
    raw = lab.shared / f"{name}.raw"
    with raw.open("wb") as file:
        file.truncate(32 * 2**20)
        file.seek(512 * 2048)
        file.write(b"4711".ljust(512))
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, lab.shared / name], check=True)
    raw.unlink()
    a.invoke("pool_refresh", pool="default")
    yield name
    (lab.shared / name).unlink()
    a.invoke("pool_refresh", pool="default")


@pytest.fixture
def nothing_left(lab, a):
    """What was there before a test is what is there after it: VMs, files in the pool, NVRAM, saved memory."""

    def look():
        found = lab.hosts[0].exec("find", "/var/lib/libvirt/qemu", "-type", "f", "-not", "-name", "*.monitor").stdout.split()
        kept = {f for f in found if "/nvram/" in f or "/save/" in f or "/snapshot/" in f}
        return {v.id for v in a.vms.list()}, {p.name for p in lab.shared.iterdir() if not p.name.endswith(".log")}, kept

    before = look()
    yield
    assert look() == before


def kernel(lab, **changes):
    line = lab.guest.command_line
    return {"path": str(lab.guest.kernel), "initrd": str(lab.guest.initrd), "command_line": line} | changes


# --- disks ---


@pytest.mark.parametrize("mode", ["backing", "full"])
def test_a_guest_from_an_image_sees_its_content_and_leaves_the_image_as_it_was(lab, a, boot, image, mode):
    before = (lab.shared / image).read_bytes()
    vm = boot(a, f"from-{mode}", ticks=2, disks=[{"source": f"image:{image}", "copy_mode": mode}])
    vm.console.wait_for("NOVACRON DISK TICK 4711")
    assert (lab.shared / image).read_bytes() == before, "the guest writes its counter to its own disk"
    disk = vm.refresh().record.disks[0]
    assert (disk.size_bytes, disk.format) == (32 * 2**20, "qcow2")
    assert 0 < disk.allocated_bytes < 32 * 2**20
    (volume,) = [v for v in a.pools.volumes("default") if v.path == disk.source]
    assert volume.backing == (str(lab.shared / image) if mode == "backing" else None)


@pytest.mark.parametrize("written", ["image:{name}", "default/{name}", "{path}", "{stem}"])
def test_an_image_is_found_by_name_pool_and_path(lab, a, boot, image, written):
    source = written.format(name=image, path=lab.shared / image, stem=image.removesuffix(".qcow2"))
    vm = boot(a, f"src-{uuid.uuid4().hex[:6]}", ticks=0, start=False, disks=[{"source": source, "size": "48MiB"}])
    assert vm.record.disks[0].size_bytes == 48 * 2**20, "grown to the size that was asked"


@pytest.mark.parametrize("mode", ["backing", "full"])
def test_a_disk_is_not_smaller_than_its_image(lab, a, image, mode):
    """Neither is its content cut off, nor the size that was asked silently ignored."""
    before = {file.name for file in lab.shared.iterdir()}
    with pytest.raises(errors.InvalidSpecError, match="at least the size of the image, 32"):
        a.vms.create(name="too-small", memory="64MiB", disks=[{"source": f"image:{image}", "copy_mode": mode, "size": "31MiB"}])
    assert {file.name for file in lab.shared.iterdir()} == before
    assert "too-small" not in a.vms


def test_a_full_copy_can_be_larger_and_of_another_format(lab, a, boot, image):
    spec = {"source": f"image:{image}", "copy_mode": "full", "format": "raw", "size": "40MiB"}
    vm = boot(a, "grown", ticks=1, disks=[spec])
    vm.console.wait_for("NOVACRON DISK TICK 4711")
    assert (vm.record.disks[0].format, vm.record.disks[0].size_bytes) == ("raw", 40 * 2**20)


@pytest.mark.parametrize(
    ("asked", "target", "bus"),
    [
        ({}, "vda", "virtio"),
        ({"bus": "sata"}, "sda", "sata"),
        ({"bus": "scsi"}, "sda", "scsi"),
        ({"target": "vdc"}, "vdc", "virtio"),
    ],
)
def test_a_blank_disk_is_where_it_was_asked(a, boot, asked, target, bus):
    vm = boot(a, f"blank-{target}-{bus}", ticks=0, kernel=None, disks=[{"size": "16MiB", **asked}])
    (disk,) = vm.record.disks
    assert (disk.target, disk.bus, disk.size_bytes) == (target, bus, 16 * 2**20)
    assert vm.status == "running"


def test_an_iso_is_a_read_only_drive_and_belongs_to_nobody(lab, a, boot):
    path = lab.shared / "medium.iso"
    _iso(path, {"hello": b"world"})
    vm = boot(a, "with-iso", ticks=0, kernel=None, iso=str(path))
    (drive,) = [d for d in vm.record.disks if d.device == "cdrom"]
    assert (drive.source, drive.read_only, drive.format) == (str(path), True, "raw")
    assert str(path) in vm.delete(force=True).kept
    path.unlink()


def _iso(path, files):
    import pycdlib

    iso = pycdlib.PyCdlib()
    iso.new(joliet=3)
    for number, (name, data) in enumerate(files.items()):
        iso.add_fp(io.BytesIO(data), len(data), f"/F{number}.;1", joliet_path=f"/{name}")
    iso.write(str(path))
    iso.close()


def test_the_cloud_init_seed_says_what_was_asked(lab, a, boot):
    import pycdlib

    vendor = f"#cloud-config\n# {mark('cloud-init')}\n{{}}\n"
    wanted = {"hostname": "web1", "ssh_keys": [KEY], "vendor_data": vendor, "network_config": "version: 2\n"}
    vm = boot(a, "seeded", ticks=0, kernel=None, cloud_init=wanted)
    (drive,) = [d for d in vm.record.disks if d.device == "cdrom"]
    assert drive.bus == "scsi", "the kernels of cloud images have no driver for SATA"
    iso = pycdlib.PyCdlib()
    iso.open(drive.source)
    found = {}
    for name in ("user-data", "meta-data", "network-config", "vendor-data"):
        out = io.BytesIO()
        iso.get_file_from_iso_fp(out, joliet_path=f"/{name}")
        found[name] = out.getvalue().decode()
    assert iso.pvd.volume_identifier.decode().strip().lower() == "cidata", "cloud-init finds it by this label"
    iso.close()
    assert found["user-data"].startswith("#cloud-config\n")
    assert json.loads(found["user-data"].partition("\n")[2]) == {"ssh_authorized_keys": [KEY]}
    assert found["vendor-data"] == vendor
    assert 'local-hostname: "web1"' in found["meta-data"]
    assert found["network-config"] == "version: 2\n"
    assert drive.source in vm.delete(force=True).removed
    assert not Path(drive.source).exists()


# --- machines and firmware ---


@pytest.mark.parametrize("machine", ["q35", "pc"])
def test_a_guest_boots_on_both_machines_of_x86(a, boot, machine):
    vm = boot(a, f"on-{machine}", machine=machine)
    assert machine in vm.record.machine or vm.record.machine.startswith("pc-i440fx")
    assert vm.record.firmware == "bios"


@pytest.mark.timeout(180)
def test_a_guest_boots_with_uefi_and_has_nvram_of_its_own(lab, a, boot, nothing_left):
    vm = boot(a, "with-uefi", ticks=0, firmware="uefi", memory="256MiB")
    vm.console.wait_for("NOVACRON TICK 1", 120)
    assert vm.record.firmware == "uefi"
    assert "with-uefi" in lab.hosts[0].exec("ls", "/var/lib/libvirt/qemu/nvram").stdout
    vm.delete(force=True)


def test_secure_boot_is_defined_with_enrolled_keys_and_started(lab, a, boot, nothing_left):
    vm = boot(a, "with-secure-boot", ticks=0, firmware="uefi-secure", kernel=None, memory="256MiB")
    assert (vm.status, vm.record.firmware) == ("running", "uefi-secure")
    text = vm.export().text
    assert "<feature enabled='yes' name='secure-boot'/>" in text
    assert "<smm state='on'/>" in text
    vm.delete(force=True)


def test_secure_boot_of_a_direct_kernel_is_refused(lab, a, nothing_left):
    """The firmware would run an unsigned one unchecked while everything says that Secure Boot is on."""
    with pytest.raises(errors.InvalidSpecError) as caught:
        a.vms.create(name="unchecked", firmware="uefi-secure", kernel=kernel(lab))
    assert "unsigned" in str(caught.value)


def test_the_record_of_a_new_vm_says_what_was_asked_and_what_is(a, boot):
    vm = boot(
        a,
        "described",
        ticks=1,
        vcpus=2,
        vcpus_max=4,
        memory="96MiB",
        memory_max="128MiB",
        tags={"web"},
        metadata={"owner": "me"},
        description="a <test> & more",
        nics=[{"network": "default", "mac": "52:54:00:AA:00:01"}],
        autostart=True,
    )
    record = vm.record
    assert record.vcpus == 2
    vm.console.wait_until(lambda: vm.refresh().record.memory_bytes == 96 * 2**20, 20, "balloon of 96 MiB")
    assert (record.tags, record.metadata, record.description) == ({"web"}, {"owner": "me"}, "a <test> & more")
    assert [n.mac for n in record.nics] == ["52:54:00:aa:00:01"]
    assert record.autostart
    assert record.node == a.nodes()[0].name
    assert record.native["virt_type"] == a.capabilities().virt_type
    vm.update(tags={"db"}, metadata={"owner": None, "x": "y"}, description="")
    assert (vm.tags, vm.record.metadata, vm.record.description) == ({"db"}, {"x": "y"}, "")
    vm.stop()
    assert (a.vms[vm.id].tags, a.vms[vm.id].record.metadata) == ({"db"}, {"x": "y"}), "it outlives the running VM"


# --- failures ---

FAILING = {
    "no such image": ({"disks": [{"size": "8MiB"}, {"source": "image:no-such"}]}, errors.ImageNotFoundError),
    "no such path": ({"disks": [{"size": "8MiB"}, {"path": "/no/such.qcow2"}]}, errors.ImageNotFoundError),
    "no such iso": ({"disks": [{"size": "8MiB"}], "iso": "/no/such.iso"}, errors.ImageNotFoundError),
    "no such pool": ({"disks": [{"size": "8MiB"}, {"size": "8MiB", "pool": "no-such"}]}, errors.StoragePoolNotFoundError),
    "no such network": ({"disks": [{"size": "8MiB"}], "nics": [{"network": "no-such"}]}, errors.NetworkNotFoundError),
    "no such bridge": ({"disks": [{"size": "8MiB"}], "nics": [{"bridge": "nobr0"}]}, errors.NetworkNotFoundError),
    "no such kernel": ({"firmware": "uefi", "kernel": {"path": "/no/kernel"}}, errors.ImageNotFoundError),
    "no such machine": ({"machine": "pc-9"}, errors.InvalidSpecError),
    "no such architecture": ({"arch": "pdp11"}, errors.InvalidSpecError),
    "no such filter": ({"nics": [{"network": "default", "filter": "no-such"}]}, errors.NovaCronError),
    "no such node": ({"node": "elsewhere"}, errors.InvalidSpecError),
    "more memory than the host has": ({"memory": "64TiB"}, errors.InvalidSpecError),
    "more vCPUs than a machine has": ({"vcpus": 4096}, errors.NovaCronError),
    "a disk that no format holds": ({"disks": [{"size": "8MiB"}, {"size": 2**59}]}, errors.NovaCronError),
    "more preallocated than there is": (
        {"disks": [{"size": "8MiB"}, {"size": "900TiB", "preallocate": True, "format": "raw"}]},
        errors.ResourceAllocationError,
    ),
    "a disk bus that libvirt lacks": ({"disks": [{"size": "8MiB", "bus": "nvme"}]}, errors.InvalidSpecError),
    "a console log in no folder": ({"disks": [{"size": "8MiB"}], "serial": {"log": "/no/such/folder/log"}}, errors.NovaCronError),
    "secure boot on a machine without": ({"firmware": "uefi-secure", "machine": "pc"}, errors.NovaCronError),
}


@pytest.mark.parametrize("cause", FAILING)
def test_a_creation_that_fails_leaves_nothing_and_its_name_is_free(lab, a, nothing_left, cause):
    fields, error = FAILING[cause]
    with pytest.raises(error) as caught:
        a.vms.create(
            name="failing", memory=fields.get("memory", "96MiB"), start=True, **{k: v for k, v in fields.items() if k != "memory"}
        )
    assert caught.value.outcome in ("failed", "not_sent")
    assert not isinstance(caught.value, errors.DriverError), f"unmapped: {caught.value}"
    assert "failing" not in a.vms
    a.vms.create(name="failing", memory="96MiB", disks=[{"size": "8MiB"}]).delete()


@pytest.mark.parametrize("taken", ["name", "uuid", "volume"])
def test_what_is_taken_is_refused_and_its_owner_keeps_everything(lab, a, boot, taken):
    owner = boot(a, "taken", ticks=0, start=False)
    before = {p.name: p.stat().st_size for p in lab.shared.iterdir()}
    fields = {
        "name": {"name": "taken", "disks": [{"size": "8MiB"}]},
        "uuid": {"name": "taken2", "id": owner.id, "disks": [{"size": "8MiB"}]},
        "volume": {"name": "taken3", "disks": [{"size": "8MiB"}, {"size": "8MiB", "name": "taken-vda.qcow2"}]},
    }[taken]
    with pytest.raises(errors.AlreadyExistsError):
        a.vms.create(**fields)
    assert {p.name: p.stat().st_size for p in lab.shared.iterdir()} == before
    assert a.vms["taken"].id == owner.id
    owner.start()


def test_a_guest_sees_the_cpu_that_was_asked_for(a, boot, nothing_left, wait_for_agent):
    vm = boot(
        a, "shaped", vcpus=2, cpu_model="Nehalem", cpu_features={"-x2apic"}, topology={"sockets": 1, "cores": 2}, watchdog="reset"
    )
    definition = vm.export().text
    assert "<watchdog model='i6300esb' action='reset'" in definition
    wait_for_agent(vm)
    seen = vm.guest.read("/proc/cpuinfo").decode()
    assert "Nehalem" in seen
    assert "x2apic" not in seen
    assert "cpu cores\t: 2" in seen
    vm.delete(force=True)


def test_a_cpu_that_the_host_lacks_is_refused_and_leaves_nothing(a, lab, nothing_left):
    with pytest.raises(errors.NovaCronError) as caught:
        a.vms.create(name="no-such-cpu", memory="64MiB", cpu_model="Pentium-99", start=True)
    assert "Pentium-99" in str(caught.value)


def test_huge_pages_that_the_host_does_not_have_are_refused_and_leave_nothing(a, lab, nothing_left):
    if int(next(line.split()[1] for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("HugePages_Free"))):
        pytest.skip("this machine has huge pages")
    with pytest.raises((errors.ResourceAllocationError, errors.UnsupportedOperationError)):
        a.vms.create(name="on-large-pages", memory="64MiB", memory_backing={"hugepages": True}, start=True)
