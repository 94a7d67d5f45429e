"""What a machine is made of, on a real host: each architecture, what a guest then sees, and what a host lacks, said beforehand."""

import pytest
from lxml import etree

from novacron import errors

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

EVERYWHERE = {
    "memory": "256MiB",
    "iothreads": 1,
    "nics": [{"network": "default"}],
    "display": {"type": "vnc"},
    "watchdog": "reset",
    "channels": [{"name": "org.novacron.test"}],
    "disks": [
        {"size": "16MiB", "serial": "d1", "iothread": 1},
        {"size": "16MiB", "bus": "scsi", "queues": 2},
        {"device": "cdrom"},
    ],
}


@pytest.fixture
def a(lab_hosts):
    return lab_hosts[0]


@pytest.fixture
def bare(boot, a):
    """Return a function that creates a VM without a guest, and gives its definition as libvirt keeps it."""

    def create(name, **fields):
        vm = boot(a, name, ticks=0, **({"kernel": None, "serial": {}, "start": False, "disks": []} | fields))
        return vm, etree.fromstring(vm.export().text)

    return create


@pytest.mark.parametrize(
    ("arch", "machine"),
    [
        ("x86_64", "q35"),
        ("x86_64", "pc"),
        ("i686", "pc"),
        ("aarch64", "virt"),
        ("armv7l", "virt"),
        ("riscv64", "virt"),
        ("ppc64le", "pseries"),
        ("s390x", "s390-ccw-virtio"),
    ],
)
def test_each_architecture_has_its_machine_with_all_devices_and_is_started(a, bare, arch, machine):
    """Emulated; libvirt and QEMU take every device that was written for it."""
    vm, definition = bare(f"on-{arch}-{machine}", arch=arch, machine=machine, **EVERYWHERE)
    assert vm.record.arch == arch
    assert machine.partition("-")[0] in definition.find("os/type").get("machine")
    found = {device.tag for device in definition.find("devices")}
    assert {"disk", "interface", "channel", "input", "graphics", "video", "watchdog", "rng", "memballoon", "serial"} <= found
    assert vm.start().host.name == a.name
    if arch != "s390x":  # whose firmware ends the machine when there is nothing to boot
        assert vm.refresh().status == "running"


@pytest.mark.parametrize("arch", ["aarch64", "riscv64", "ppc64le", "s390x"])
def test_an_architecture_has_its_own_machine_when_none_was_asked_for(bare, arch):
    vm, _ = bare(f"default-{arch}", arch=arch)
    wanted = {"aarch64": "virt", "riscv64": "virt", "ppc64le": "pseries", "s390x": "s390-ccw-virtio"}
    assert vm.record.machine.startswith(wanted[arch])
    assert vm.record.firmware == ("uefi" if arch == "aarch64" else "bios")


def test_secure_boot_is_there_on_arm_too(bare):
    vm, _ = bare("secure-arm", arch="aarch64", firmware="uefi-secure", tpm=True)
    assert vm.start().record.firmware == "uefi-secure"


def test_a_guest_sees_what_its_machine_was_given(lab, a, boot, wait_for_agent):
    vm = boot(
        a,
        "furnished",
        vcpus=2,
        memory="192MiB",
        iothreads=2,
        tpm=True,
        numa=[
            {"vcpus": "0", "memory": "64MiB"},
            {"vcpus": "1", "memory": "128MiB"},
        ],
        disks=[
            {
                "size": "8MiB",
                "serial": "first-disk",
                "cache": "none",
                "io": "native",
                "discard": "unmap",
                "iothread": 1,
                "queues": 2,
            },
            {"size": "9MiB", "bus": "scsi", "serial": "second-disk", "iothread": 2},
        ],
        channels=[{"name": "org.novacron.test"}],
        features={"pmu": False},
        clock="Etc/GMT-2",
        filesystems=[{"source": str(lab.shared), "tag": "everything", "type": "virtiofs"}],
        balloon=False,
    )
    wait_for_agent(vm)

    def seen(command):
        done = vm.guest.exec("/bin/sh", "-c", command)
        assert done.exit_status == 0, done
        return done.stdout.decode()

    assert seen("cat /sys/devices/system/node/node0/cpulist /sys/devices/system/node/node1/cpulist").split() == ["0", "1"]
    sizes = [int(s) for s in seen("sed -n 's/.*MemTotal: *\\([0-9]*\\).*/\\1/p' /sys/devices/system/node/node*/meminfo").split()]
    assert sizes[0] < 64 * 1024 < sizes[1] < 128 * 1024
    assert seen("cat /sys/block/vda/serial").strip() == "first-disk"
    assert len(seen("ls /sys/block/vda/mq").split()) == 2
    assert "org.novacron.test" in seen("cat /sys/class/virtio-ports/*/name").split()
    seen("modprobe sd_mod && modprobe virtio_scsi && sleep 2")
    assert int(seen("cat /sys/block/sda/size")) * 512 == 9 * 2**20
    assert seen("cat /sys/class/tpm/tpm0/tpm_version_major").strip() == "2"
    seen("modprobe virtiofs && mkdir -p /mnt && mount -t virtiofs everything /mnt && echo from-the-guest > /mnt/from-the-guest")
    file = lab.shared / "from-the-guest"
    assert file.read_text().strip() == "from-the-guest"
    file.unlink()
    assert a.invoke("resources_get", vm=vm.id).iothreads == (1, 2)
    definition = etree.fromstring(vm.export().text)
    assert (definition.find("clock").get("timezone"), definition.find("features/pmu").get("state")) == ("Etc/GMT-2", "off")
    assert definition.find("devices/memballoon").get("model") == "none"


def test_a_folder_over_9p_and_both_displays_are_taken_by_qemu(lab, bare):
    vm, definition = bare(
        "with-9p",
        filesystems=[{"source": str(lab.shared), "tag": "images", "read_only": True}],
        display={"type": "spice", "keymap": "de"},
        video="qxl",
        sound="ich9",
        features={"iommu": "virtio"},
        serial={"type": "virtio"},
    )
    assert definition.find("devices/filesystem/readonly") is not None
    assert [c.get("type") for c in definition.iterfind("devices/channel")].count("spicevmc") == 1
    assert vm.start().status == "running"
    assert vm.display().kind == "spice"


LACKING = {
    "disks.0.bus": {"disks": [{"size": "8MiB", "bus": "nvme"}]},
    "disks.1.bus": {"disks": [{"size": "8MiB"}, {"size": "8MiB", "bus": "ide"}]},
    "features.hyperv": {"features": {"hyperv": True}, "virt_type": "qemu"},
    "launch_security.type": {"launch_security": {"type": "sev"}},
    "host_devices.0": {"host_devices": [{"pci": "00:1f.0"}]},
    "cpu_model": {"cpu_model": "Pentium-99"},
    "vcpus": {"vcpus": 4096},
    "firmware": {"firmware": "uefi", "arch": "riscv64"},
    "tpm": {"tpm": True, "arch": "s390x"},
    "video": {"video": "qxl", "arch": "s390x"},
    "cpu_mode": {"cpu_mode": "host-passthrough", "virt_type": "qemu"},
}
"""A field, and a VM that asks there for what this host does not offer."""


@pytest.mark.parametrize("field", LACKING)
def test_what_the_host_does_not_offer_is_refused_before_anything_is_made(lab, a, field):
    files = {p.name for p in lab.shared.iterdir()}
    with pytest.raises(errors.InvalidSpecError) as caught:
        a.vms.create(name="too-much", memory="64MiB", **LACKING[field])
    assert [p.path for p in caught.value.problems] == [field]
    assert caught.value.problems[0].allowed
    assert "too-much" not in a.vms
    assert {p.name for p in lab.shared.iterdir()} == files


def test_all_that_the_host_lacks_is_named_at_once(a):
    with pytest.raises(errors.InvalidSpecError) as caught:
        a.vms.create(name="too-much", vcpus=4096, cpu_model="Pentium-99", launch_security={"type": "sev"}, tpm=True, arch="s390x")
    assert {p.path for p in caught.value.problems} >= {"vcpus", "cpu_model", "tpm"}


def test_a_disk_on_a_bus_that_is_not_emulated_is_refused_when_it_is_plugged_in(lab, bare):
    vm, _ = bare("unplugged")
    files = {p.name for p in lab.shared.iterdir()}
    with pytest.raises(errors.InvalidSpecError, match=r"disks\.0\.bus: got 'nvme', allowed: one of fdc, sata, scsi, usb, virtio"):
        vm.disks.attach(size="8MiB", target="nvme0n1")
    assert {p.name for p in lab.shared.iterdir()} == files


def test_a_vm_that_ends_by_itself_just_then_is_deleted(bare):
    """Its firmware finds nothing to boot and ends the machine between our look and our stop."""
    for number in range(5):
        vm, _ = bare(f"short-lived-{number}", arch="s390x")
        vm.start()
        vm.delete(force=True)


def test_devices_of_the_host_are_listed_attached_and_detached(bare, a, monkeypatch):
    """A PCI device is refused where there is no IOMMU. The definition of a stopped VM takes a USB device that the host reports."""
    from novacron_kvm.operations import devices

    vm, _ = bare("with-device")
    assert all(device.host == a.name for device in a.devices.list())
    if pci := a.devices.list("pci"):
        with pytest.raises(errors.InvalidSpecError) as caught:
            vm.host_devices.attach(pci=pci[0].address)
        assert "IOMMU" in caught.value.hint
    with pytest.raises(errors.DeviceNotFoundError):
        vm.host_devices.attach(usb="046d:c52b")
    stick = {"kind": "usb", "address": "001:004", "id": "046d:c52b"}
    monkeypatch.setattr(devices, "_node_devices", lambda _: [stick])
    vm.host_devices.attach(usb="046d:c52b")
    assert a.devices.list()[0].vms == (vm.name,)
    assert etree.fromstring(vm.export().text).find("devices/hostdev/source/vendor").get("id") == "0x046d"
    vm.host_devices.detach("046d:c52b")
    assert a.devices.list()[0].vms == ()
