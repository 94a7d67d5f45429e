"""Snapshots that would crash QEMU, power a VM off for nothing or overlook a disk: refused beforehand by name, or taken a safe way."""

import shutil
from collections import Counter
from contextlib import suppress

import libvirt
import pytest
from lxml import etree

from novacron import errors
from novacron.testing.marked import mark
from novacron.workflow import steps

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


@pytest.fixture
def a(lab_hosts):
    return lab_hosts[0]


@pytest.fixture
def raw(lab):
    """A second connection to the first host, libvirt's own."""
    connection = libvirt.open(lab.hosts[0].uri)
    yield connection
    connection.close()


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("NOVACRON_SECRET_DISK_KEY", mark("environment"))


@pytest.mark.parametrize("memory", [None, True])
def test_an_internal_snapshot_of_a_running_vm_with_an_encrypted_disk_is_refused(a, boot, key, memory):
    """QEMU 7.2 ends with an assertion when it saves memory into a qcow2 disk with LUKS."""
    vm = boot(a, f"luks-{memory}", disks=[{"size": "64MiB"}, {"size": "16MiB", "encryption": "disk-key", "format": "qcow2"}])
    for kind in (None, "internal"):
        with pytest.raises(errors.UnsupportedOperationError, match="encrypted disk") as caught:
            vm.snapshots.create("deadly", kind=kind, memory=memory)
        assert "stop the VM" in caught.value.hint
    assert vm.refresh().status == "running"
    vm.console.wait_for_more_ticks()
    assert vm.snapshots.list() == []


MATRIX = [
    (disk_format, encrypted, kind, memory, firmware)
    for disk_format in ("qcow2", "raw")
    for encrypted in (False, True)
    for kind in ("internal", "external")
    for memory in (True, False)
    for firmware in ("bios", "uefi")
]


@pytest.mark.timeout(1800)
def test_no_kind_of_snapshot_of_any_kind_of_disk_ends_a_running_vm(a, boot, key, sample):
    """Each combination either is refused by name or works; the guest runs on, and reverting brings it back."""
    outcomes = Counter()
    for disk_format, encrypted, kind, memory, firmware in sample(MATRIX[:: len(MATRIX) // 3], MATRIX):
        label = f"m-{disk_format}-{'luks' if encrypted else 'clear'}-{kind}-{memory}-{firmware}".lower()
        disk = {"size": "16MiB", "format": disk_format} | ({"encryption": "disk-key"} if encrypted else {})
        vm = boot(a, label, ticks=1 if firmware == "bios" else 0, disks=[{"size": "64MiB"}, disk], firmware=firmware)
        with suppress(errors.UnsupportedOperationError, errors.SnapshotError):
            vm.snapshots.create("s", kind=kind, memory=memory)
        taken = vm.snapshots.list()
        assert vm.refresh().status == "running", label
        if firmware == "bios":
            vm.console.wait_for_more_ticks()
        if taken:
            vm.snapshots["s"].revert()
            assert vm.refresh().status == ("running" if memory else "stopped"), label
        outcomes[f"{kind} {'taken' if taken else 'refused'}"] += 1
        print(f"{label}: {'taken and reverted' if taken else 'refused'}")
        vm.delete(force=True)
    print(dict(outcomes))
    assert all(outcomes[f"{kind} taken"] for kind in ("internal", "external"))


def checkpoint(domain, name):
    return domain.checkpointCreateXML(
        f"<domaincheckpoint><name>{name}</name><disks><disk name='vda' checkpoint='bitmap'/></disks></domaincheckpoint>", 0
    )


def test_a_vm_with_checkpoints_is_not_reverted_and_runs_on(a, boot, raw):
    vm = boot(a, "bitmaps", disks=[{"size": "64MiB"}])
    domain = raw.lookupByUUIDString(vm.id)
    made = checkpoint(domain, "backup-1")
    vm.snapshots.create("before", kind="internal")
    with pytest.raises(errors.InvalidStateError, match="backup-1") as caught:
        vm.snapshots["before"].revert()
    assert "checkpoint" in caught.value.hint
    assert vm.refresh().status == "running"
    vm.console.wait_for_more_ticks()
    made.delete(0)
    vm.snapshots["before"].revert()
    assert vm.refresh().status == "running"


def test_a_disk_that_names_a_volume_has_external_snapshots(a, boot, raw):
    """`<disk type='volume'>`: frozen, reverted to and merged like a disk with a path."""
    vm = boot(a, "volumes", ticks=0, start=False, disks=[{"size": "64MiB"}])
    disk = vm.record.disks[0]
    root = etree.fromstring(raw.lookupByUUIDString(vm.id).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    element = root.find("devices/disk")
    element.set("type", "volume")
    source = element.find("source")
    source.attrib.clear()
    source.set("pool", "default")
    source.set("volume", disk.source.rpartition("/")[2])
    raw.defineXMLFlags(etree.tostring(root, encoding="unicode"), 0)
    vm.start()
    vm.snapshots.create("one", kind="external", memory=False)
    vm.snapshots.create("two", kind="external", memory=False)
    vm.snapshots["one"].revert()
    assert vm.refresh().status == "stopped"
    vm.snapshots["two"].delete()
    vm.snapshots["one"].delete()
    assert vm.snapshots.list() == []
    vm.start()
    assert set(vm.delete(force=True).kept) == set()


def test_migration_checks_of_a_disk_that_names_a_volume_ask_the_destination_for_it(lab_hosts, boot, raw):
    a, b = lab_hosts
    vm = boot(a, "named", ticks=0, start=False, disks=[{"size": "16MiB"}])
    root = etree.fromstring(raw.lookupByUUIDString(vm.id).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    element = root.find("devices/disk")
    name = element.find("source").get("file").rpartition("/")[2]
    element.set("type", "volume")
    element.find("source").attrib.clear()
    element.find("source").set("pool", "default")
    element.find("source").set("volume", name)
    raw.defineXMLFlags(etree.tostring(root, encoding="unicode"), 0)
    assert vm.migration_check(b).ok, vm.migration_check(b).failures
    element.find("source").set("pool", "of-nobody")
    raw.defineXMLFlags(etree.tostring(root, encoding="unicode"), 0)
    failures = vm.migration_check(b).failures
    assert [text for text in failures if b.name in text and "of-nobody" in text], failures


def test_a_medium_only_at_the_source_is_to_be_ejected(lab, lab_hosts, boot):
    a, b = lab_hosts
    folder = "/var/lib/libvirt/only-here"
    lab.hosts[0].exec("sh", "-c", f"mkdir -p {folder}; head -c 1048576 /dev/zero > {folder}/only.iso")
    vm = boot(a, "drive", ticks=0, start=False, disks=[{"size": "16MiB"}])
    root = etree.fromstring(vm.export().text)
    drive = etree.fromstring(
        f"<disk type='file' device='cdrom'><source file='{folder}/only.iso'/><target dev='sdz' bus='sata'/><readonly/></disk>"
    )
    root.find("devices").append(drive)
    connection = libvirt.open(lab.hosts[0].uri)
    connection.defineXMLFlags(etree.tostring(root, encoding="unicode"), 0)
    connection.close()
    failures = vm.migration_check(b).failures
    (told,) = [text for text in failures if "sdz" in text]
    assert "eject" in told
    assert "copy" not in told


def test_what_both_hosts_see_need_not_be_a_volume_of_a_pool(lab, lab_hosts, boot, raw):
    """A disk in a folder below a shared pool, also by a link or a detour, and a medium beside it: the destination sees them."""
    a, b = lab_hosts
    folder, link = lab.shared / "below", lab.shared / "linked"
    folder.mkdir()
    link.symlink_to("below")
    try:
        (folder / "disk.raw").write_bytes(bytes(2**20))
        (folder / "medium.iso").write_bytes(bytes(2**20))
        vm = boot(a, "below-a-pool", ticks=0, start=False, disks=[{"size": "1MiB"}])
        for path in (folder / "disk.raw", link / "disk.raw", f"{folder}/../below/disk.raw", folder / "medium.iso"):
            root = etree.fromstring(vm.export().text)
            device = "cdrom" if str(path).endswith(".iso") else "disk"
            root.find("devices").append(
                etree.fromstring(
                    f"<disk type='file' device='{device}'><driver name='qemu' type='raw'/><source file='{path}'/>"
                    "<target dev='sdz' bus='sata'/></disk>"
                )
            )
            domain = raw.defineXMLFlags(etree.tostring(root, encoding="unicode"), 0)
            assert vm.migration_check(b).failures == (), path
            copied = [text for text in vm.migration_check(b, storage="copy").failures if "sdz" in text]
            assert ["is it shared?" in text for text in copied] == ([True] if device == "disk" else []), path
            domain.detachDeviceFlags("<disk type='file'><target dev='sdz' bus='sata'/></disk>", libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    finally:
        link.unlink()
        shutil.rmtree(folder)


def test_a_plan_knows_which_snapshots_can_not_be_taken(a, boot, raw, tmp_path):
    """A raw disk outside all pools prevents both kinds; with UEFI, encryption or an external snapshot before, internal ones."""
    vm = boot(a, "planned", ticks=0, start=False, disks=[{"size": "1MiB"}])

    def agrees():
        answers = {}
        for kind in (None, "internal", "external"):
            step = steps.snapshot(f"by-{kind}", kind=kind)
            planned = step.plan(vm.refresh())
            assert planned.ok == (step.run(vm).status == "done"), (kind, planned.problems)
            assert planned.ok == (vm.snapshots.check("other", kind=kind) == ())
            answers[kind] = planned.problems
            for snapshot in vm.snapshots.list():
                snapshot.delete()
        return answers

    assert not any(agrees().values())
    outside = tmp_path / "outside.raw"
    outside.write_bytes(bytes(2**20))
    root = etree.fromstring(vm.export().text)
    root.find("devices").append(
        etree.fromstring(
            f"<disk type='file'><driver name='qemu' type='raw'/><source file='{outside}'/><target dev='vdb' bus='virtio'/></disk>"
        )
    )
    raw.defineXMLFlags(etree.tostring(root, encoding="unicode"), 0)
    refused = agrees()
    assert all(refused.values())
    assert "not qcow2: vdb" in refused["internal"][0]
    assert "vdb" in refused["external"][0]
    assert "in no storage pool" in refused["external"][0]
