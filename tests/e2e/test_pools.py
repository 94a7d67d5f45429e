"""Storage pools of real kinds: a folder, a file system on a block device, what can't be reached, what vanishes, and what is full."""

import os
import shutil
import subprocess
import threading

import libvirt
import pytest

from novacron import errors
from novacron.specs import StoragePoolSpec
from novacron_kvm.storage import busy_pools

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

MIB = 2**20


@pytest.fixture
def a(lab_hosts):
    return lab_hosts[0]


def make(host, **fields):
    return host.invoke("pool_create", spec=StoragePoolSpec(**fields))


@pytest.fixture
def block_device(tmp_path):
    """A block device of 64 MiB with an ext4 file system."""
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(64 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    device = subprocess.run(["losetup", "--find", "--show", image], check=True, capture_output=True, text=True).stdout.strip()
    yield device
    subprocess.run(["losetup", "--detach", device], check=True)


def test_a_folder_becomes_a_pool_and_stays_when_it_is_forgotten(lab, a):
    folder = lab.shared.parent / "made-for-a-pool"
    pool = make(a, name="made", path=str(folder))
    try:
        assert (pool.active, pool.autostart, pool.path, pool.type) == (True, True, str(folder), "dir")
        volume = a.pools.create_volume("made", name="one.img", capacity="1MiB", format="raw")
        assert volume.path == f"{folder}/one.img"
        assert not a.pools.stop("made").active
        with pytest.raises(errors.InvalidStateError):
            a.pools.create_volume("made", name="two.img", capacity="1MiB", format="raw")
        assert a.pools.start("made").active
        (folder / "three.img").write_bytes(bytes(MIB))
        a.pools.refresh("made")
        assert [v.name for v in a.pools.volumes("made")] == ["one.img", "three.img"]
    finally:
        gone = a.pools.delete("made")
        assert gone.kept == (str(folder),)
        assert (folder / "one.img").exists()
        shutil.rmtree(folder)


def test_a_file_system_on_a_block_device_is_mounted_and_a_guest_runs_on_it(lab, a, boot, block_device):
    mounted = "/run/novacron-pool"
    pool = make(a, name="on-block", type="fs", source_path=block_device, path=mounted)
    try:
        assert 32 * MIB < pool.capacity_bytes < 64 * MIB
        vm = boot(a, "on-a-file-system", disks=[{"size": "16MiB", "pool": "on-block"}], ticks=2)
        assert vm.record.disks[0].source.startswith(mounted + "/")
        vm.delete(force=True)
        assert not a.pools.stop("on-block").active
        assert mounted not in lab.hosts[0].exec("cat", "/proc/mounts").stdout
        assert a.pools.start("on-block").active
    finally:
        a.pools.delete("on-block")


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "fs", "source_path": "/dev/no-such-device", "path": "/run/nowhere"},
        {"type": "logical", "source_name": "no-such-group"},
        {"type": "iscsi", "source_host": "127.0.0.1", "source_path": "iqn.2026-01.org.example:disks"},
        {"type": "netfs", "source_host": "127.0.0.1", "source_path": "/exported", "path": "/run/nowhere"},
        {"type": "dir", "path": "/proc/no/such/folder"},
    ],
    ids=lambda fields: fields["type"],
)
def test_a_pool_that_can_not_be_had_is_forgotten_again(a, fields):
    with pytest.raises(errors.NovaCronError) as caught:
        make(a, name="not-to-be-had", **fields)
    assert type(caught.value) is not errors.DriverError
    assert "not-to-be-had" not in {pool.name for pool in a.pools.list()}


def test_a_pool_that_vanishes_is_said_and_nothing_hangs_on_it(lab, a, boot):
    folder = lab.shared.parent / "vanishing"
    make(a, name="vanishing", path=str(folder))
    try:
        vm = boot(a, "bereft", disks=[{"size": "8MiB", "pool": "vanishing"}], ticks=1)
        shutil.rmtree(folder)
        for refused in (
            lambda: a.pools.refresh("vanishing"),
            lambda: a.pools.create_volume("vanishing", name="x.img", capacity="1MiB", format="raw"),
            lambda: a.vms.create(name="never", disks=[{"size": "8MiB", "pool": "vanishing"}]),
            lambda: vm.disks.attach(size="1MiB", pool="vanishing"),
        ):
            with pytest.raises(errors.NovaCronError) as caught:
                refused()
            assert str(folder) in str(caught.value) or "vanishing" in str(caught.value)
        assert "never" not in a.vms
        vm.console.wait_for_more_ticks(more=2)
        assert [d.target for d in vm.refresh().record.disks] == ["vda"]
        vm.stop()
        with pytest.raises(errors.NovaCronError):
            vm.start()
        assert vm.refresh().status == "stopped"
        a.pools.stop("vanishing")
        folder.mkdir()
        assert a.pools.start("vanishing").active
    finally:
        a.pools.delete("vanishing")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("kind", ["internal", "external"])
def test_a_snapshot_that_finds_no_space_is_not_there_and_its_vm_goes_on(lab, a, boot, kind):
    """The memory of the guest does not fit into the pool."""
    folder = f"/run/small-{kind}"
    lab.hosts[0].exec("mkdir", "-p", folder)
    lab.hosts[0].exec("mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", folder)
    make(a, name="small", path=folder)
    try:
        vm = boot(a, f"no-space-{kind}", disks=[{"size": "64MiB", "pool": "small"}], fill=64, ticks=2)
        vm.console.wait_for("NOVACRON LOADED", 60)
        files = lab.hosts[0].exec("ls", folder).stdout
        with pytest.raises(errors.NovaCronError) as caught:
            vm.snapshots.create("too-large", kind=kind, memory=True)
        assert isinstance(caught.value, (errors.ResourceAllocationError, errors.StorageError, errors.SnapshotError)), caught.value
        assert vm.snapshots.list() == []
        assert lab.hosts[0].exec("ls", folder).stdout == files
        assert vm.refresh().status == "running"
        vm.console.wait_for_more_ticks(more=2)
        vm.delete(force=True)
    finally:
        a.pools.delete("small")
        lab.hosts[0].exec("umount", folder)


@pytest.fixture
def copying(lab, a):
    """Another client copies a volume in the pool "default", and goes on until the test calls the function that this returns."""
    gate, begun, program = (lab.shared / f"copying-{name}" for name in ("gate", "begun", "qemu-img"))
    for fifo in (gate, begun):
        os.mkfifo(fifo)
    real = shutil.copy("/usr/bin/qemu-img", lab.shared / "copying-real")
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *copying-target*) echo begun > {begun}; read line < {gate};; esac\nexec {real} "$@"\n'
    )
    program.chmod(0o755)
    source = a.pools.create_volume("default", name="copying-source.raw", capacity="1MiB", format="raw")
    connection = libvirt.open(lab.hosts[0].uri)
    definition = (
        "<volume><name>copying-target.raw</name><capacity>1048576</capacity><target><format type='qcow2'/></target></volume>"
    )

    def copy():
        connection.storagePoolLookupByName("default").createXMLFrom(definition, connection.storageVolLookupByPath(source.path), 0)

    def end():
        if thread.is_alive():
            gate.write_text("go on\n")
            thread.join(60)

    thread = threading.Thread(target=copy)
    lab.hosts[0].exec("mount", "--bind", str(program), "/usr/bin/qemu-img")
    try:
        thread.start()
        begun.read_text()
        yield end
        end()
    finally:
        lab.hosts[0].exec("umount", "/usr/bin/qemu-img")
        for volume in ("copying-source.raw", "copying-target.raw"):
            a.pools.delete_volume(volume, "default")
        connection.close()
        for file in (gate, begun, program, lab.shared / "copying-real"):
            file.unlink()


def test_while_another_client_copies_in_a_pool_its_vms_work(a, boot, copying):
    """libvirt refuses to refresh the pool meanwhile. What needs a refresh for new files only does without one."""
    vm = boot(a, "in-a-busy-pool", ticks=0, kernel=None, start=False, disks=[{"size": "1MiB"}], firmware="uefi")
    disk = vm.disks.attach(size="1MiB")
    vm.snapshots.create("external", kind="external", memory=False)
    vm.snapshots["external"].revert()
    vm.snapshots["external"].delete()
    vm.disks[disk.record.target].detach(delete=True)
    assert vm.delete().kept == ()


def test_what_a_copy_holds_waits_for_its_end_and_then_says_that_the_pool_is_busy(a, copying, monkeypatch):
    monkeypatch.setattr(busy_pools, "PATIENCE", 0.0)
    for operation in ("pool_stop", "pool_refresh", "pool_delete"):
        with pytest.raises(errors.BusyError, match="default") as caught:
            a.invoke(operation, pool="default")
        assert "copies a volume" in caught.value.hint
    for operation in ("volume_delete", "volume_wipe"):
        with pytest.raises(errors.BusyError, match=r"copying-source\.raw"):
            a.invoke(operation, pool="default", volume="copying-source.raw")
    monkeypatch.undo()
    waits = threading.Event()
    monkeypatch.setattr(busy_pools.time, "sleep", lambda seconds: waits.wait(seconds) or waits.set())
    refreshed = a.submit("pool_refresh", pool="default")
    assert waits.wait(60)
    assert not refreshed.done()
    copying()
    assert refreshed.result(60).active
