"""The connection is lost just when libvirt has done what it was asked for: what a VM now needs is not rolled back."""

from pathlib import Path

import libvirt
import pytest

from novacron import errors
from novacron_kvm.connection import KVMConnection
from novacron_kvm.operations import migration
from novacron_kvm.xml.parsing import parse

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


@pytest.fixture
def a(lab_hosts):
    return lab_hosts[0]


@pytest.fixture
def answer_lost(monkeypatch):
    """Return a function that lets libvirt's answer to the next call of a method be lost."""

    def lose(of, method, when=lambda *arguments: True):
        real, lost = getattr(of, method), []

        def call(self, *arguments):
            result = real(self, *arguments)
            if not lost and when(*arguments):
                lost.append(method)
                text = "Cannot recv data: Connection reset by peer"
                error = libvirt.libvirtError(text)
                error.err = (libvirt.VIR_ERR_SYSTEM_ERROR, 0, text, 2, text, None, None, 104, 0)
                raise error
            return result

        monkeypatch.setattr(of, method, call)
        return lost

    return lose


def needed(vm):
    """The files that a VM's definitions name as disks, of now and of the next start."""
    domain = vm.host.dispatcher.driver.native.domain(vm.id)
    texts = [domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)] + ([domain.XMLDesc(0)] if domain.isActive() else [])
    return {source.get("file") for text in texts for source in parse(text).iterfind("devices/disk//source[@file]")}


def made_whole(host, before):
    """Every VM that is there now has its files, and starts; what is left beside is nothing."""
    host.pools.refresh("default")
    files = {volume.path for volume in host.pools.volumes()}
    used = set()
    for vm in host.vms.list():
        wanted = needed(vm)
        assert all(Path(path).exists() for path in wanted), f"{vm.name} has lost a file: {wanted - files}"
        used |= wanted
    return files - before - used


@pytest.mark.parametrize("memory", [False, True], ids=["disks", "memory"])
def test_an_external_snapshot_whose_answer_is_lost_keeps_the_file_that_qemu_writes(a, boot, answer_lost, memory):
    vm = boot(a, "answerless", ticks=0, kernel=None)
    lost = answer_lost(libvirt.virDomain, "snapshotCreateXML")
    with pytest.raises(errors.NovaCronError) as caught:
        vm.snapshots.create("taken", memory=memory, kind="external")
    assert lost
    assert caught.value.outcome == "unknown"
    assert made_whole(a, set()) is not None
    assert [s.name for s in vm.snapshots.list()] == ["taken"]
    vm.stop()
    vm.start()
    vm.snapshots["taken"].revert()
    vm.snapshots["taken"].delete()
    assert vm.refresh().status in ("running", "suspended", "stopped")


@pytest.mark.parametrize("method", ["restoreFlags", "defineXMLFlags"])
def test_a_revert_whose_answer_is_lost_leaves_a_vm_with_all_its_files(a, boot, answer_lost, method):
    vm = boot(a, "reverts-unheard", ticks=0, kernel=None)
    vm.snapshots.create("then", memory=True, kind="external")
    lost = answer_lost(libvirt.virConnect, method)
    with pytest.raises(errors.NovaCronError):
        vm.snapshots["then"].revert()
    assert lost
    made_whole(a, set())
    vm.snapshots["then"].revert()
    assert vm.refresh().status == "running"


def test_a_disk_whose_attachment_is_not_heard_of_stays(a, boot, answer_lost):
    vm = boot(a, "attached-unheard", ticks=0, kernel=None)
    lost = answer_lost(libvirt.virDomain, "attachDeviceFlags")
    with pytest.raises(errors.NovaCronError) as caught:
        vm.disks.attach(size="16MiB")
    assert lost
    assert caught.value.outcome == "unknown"
    made_whole(a, set())
    vm.stop()
    vm.start()
    assert len(vm.refresh().record.disks) in (1, 2)


@pytest.mark.parametrize(
    "method", [(libvirt.virDomain, "create"), (libvirt.virConnect, "defineXMLFlags")], ids=["start", "define"]
)
def test_a_creation_whose_answer_is_lost_leaves_nothing_or_a_whole_vm(a, answer_lost, method):
    a.pools.refresh("default")
    before = {volume.path for volume in a.pools.volumes()}
    lost = answer_lost(*method)
    with pytest.raises(errors.NovaCronError):
        a.vms.create(name="created-unheard", memory="32MiB", disks=[{"size": "16MiB"}], start=True)
    assert lost
    assert made_whole(a, before) == set()
    assert "created-unheard" not in [vm.name for vm in a.vms.list()]


@pytest.mark.parametrize("number", [0, 1], ids=["clone", "original"])
def test_a_linked_clone_whose_answer_is_lost_leaves_the_original_whole(a, boot, answer_lost, number):
    vm = boot(a, "cloned-unheard", ticks=0, kernel=None, start=False)
    calls = iter(range(100))
    before = {volume.path for volume in a.pools.volumes()}
    lost = answer_lost(libvirt.virConnect, "defineXMLFlags", when=lambda *_: next(calls) == number)
    with pytest.raises(errors.NovaCronError):
        vm.clone("clone-unheard", linked=True)
    assert lost
    assert made_whole(a, before) == set()
    vm.start()
    vm.stop()


@pytest.fixture
def elsewhere(lab, a):
    """The folder of a second storage pool."""
    folder = lab.shared / "elsewhere"
    folder.mkdir()
    a.pools.create(name="elsewhere", type="dir", path=str(folder))
    yield folder
    a.pools.stop("elsewhere")
    a.pools.delete("elsewhere")
    for left in folder.iterdir():
        left.unlink()
    folder.rmdir()


def test_a_cold_move_of_a_disk_whose_answer_is_lost_leaves_one_file(a, boot, answer_lost, elsewhere):
    vm = boot(a, "moved-unheard", ticks=0, kernel=None, start=False)
    lost = answer_lost(libvirt.virStoragePool, "createXMLFrom")
    with pytest.raises(errors.NovaCronError):
        vm.migrate_storage("elsewhere")
    assert lost
    made_whole(a, set())
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])
def test_a_file_that_another_process_makes_just_then_is_not_taken_away(a, boot, elsewhere, monkeypatch, running):
    """The names in the pool were read before, and the file is there when libvirt is to make ours."""
    vm = boot(a, "too-late", ticks=0, kernel=None, start=running)
    a.pools.create_volume("elsewhere", name="too-late-vda.qcow2", capacity="1MiB", format="qcow2")
    [theirs] = elsewhere.iterdir()
    content = theirs.read_bytes()
    monkeypatch.setattr(libvirt.virStoragePool, "listVolumes", lambda pool: [])
    with pytest.raises(errors.AlreadyExistsError):
        vm.migrate_storage("elsewhere")
    monkeypatch.undo()
    assert theirs.read_bytes() == content
    assert vm.refresh().record.disks[0].source.endswith("/shared/too-late-vda.qcow2")


def test_a_copy_under_a_name_that_another_process_takes_just_then_leaves_that_volume(a, monkeypatch, elsewhere):
    for name in ("original", "copy"):
        a.pools.create_volume("elsewhere", name=name, capacity="1MiB", format="qcow2")
    content = (elsewhere / "copy").read_bytes()
    monkeypatch.setattr(libvirt.virStoragePool, "listVolumes", lambda pool: [])
    with pytest.raises(errors.AlreadyExistsError):
        a.pools.clone_volume("original", "copy", "elsewhere")
    assert (elsewhere / "copy").read_bytes() == content


def test_two_processes_that_take_a_snapshot_of_one_name_save_memory_to_files_of_their_own(a, boot, monkeypatch):
    """The one that libvirt refuses deletes its file, which must not be that of the other one."""
    vm, saved = boot(a, "same-name", ticks=0, kernel=None), []

    def refuse(self, text, flags):
        saved.append(parse(text).find("memory").get("file"))
        raise libvirt.libvirtError("operation failed: domain snapshot same already exists")

    monkeypatch.setattr(libvirt.virDomain, "snapshotCreateXML", refuse)
    for _ in range(2):
        with pytest.raises(errors.NovaCronError):
            vm.snapshots.create("same", memory=True, kind="external")
    assert len({*saved}) == 2


def test_a_migration_whose_destination_is_lost_at_its_very_end_is_not_repeated(lab_hosts, boot, monkeypatch):
    """The VM has moved. A second migration would not find it at the source, and say that there is no such VM."""
    a, b = lab_hosts
    vm = boot(a, "moved-once", ticks=0, kernel=None, start=False)
    vm.update(autostart=True)
    armed, moves = [], []
    find, move, decide = KVMConnection.domain, libvirt.virDomain.migrateToURI3, migration.reconcile

    def domain(self, *arguments):
        if armed and self is b.dispatcher.driver.native:
            armed.clear()
            raise errors.HostConnectionError("client socket is closed", outcome="not_sent")
        return find(self, *arguments)

    def reconcile(*arguments):
        found = decide(*arguments)
        armed.append(1)
        return found

    monkeypatch.setattr(KVMConnection, "domain", domain)
    monkeypatch.setattr(migration, "reconcile", reconcile)
    monkeypatch.setattr(libvirt.virDomain, "migrateToURI3", lambda *arguments: moves.append(1) or move(*arguments))
    report = vm.migrate(to=b)
    assert len(moves) == 1
    assert not armed
    assert b.vms["moved-once"].record.autostart
    assert report is not None


@pytest.mark.parametrize("method", ["wipe", "delete"])
def test_an_image_whose_wiping_is_not_heard_of_is_there_wiped(lab, a, answer_lost, method):
    """Once its header is overwritten, only NovaCron knows what to make anew."""
    volume = a.pools.create_volume("default", name="wiped-unheard.qcow2", capacity="8MiB", format="qcow2")
    names = []
    lost = answer_lost(libvirt.virStorageVol, method, when=lambda *_: method == "wipe" or names.append(1) or len(names) == 2)
    wiped = a.invoke("volume_wipe", pool="default", volume=volume.name)
    assert lost
    assert (wiped.name, wiped.format, wiped.capacity_bytes) == (volume.name, "qcow2", volume.capacity_bytes)
    a.invoke("volume_delete", pool="default", volume=volume.name)


def test_an_image_whose_making_anew_is_not_heard_of_is_there(a, answer_lost):
    volume = a.pools.create_volume("default", name="remade-unheard.qcow2", capacity="8MiB", format="qcow2")
    names = []
    lost = answer_lost(libvirt.virStoragePool, "createXML", when=lambda *_: names.append(1) or len(names) == 2)
    wiped = a.invoke("volume_wipe", pool="default", volume=volume.name)
    assert lost
    assert (wiped.name, wiped.format) == (volume.name, "qcow2")
    a.invoke("volume_delete", pool="default", volume=volume.name)


@pytest.mark.parametrize(
    ("of", "method"), [(libvirt.virDomain, "undefineFlags"), (libvirt.virStorageVol, "delete")], ids=["definition", "file"]
)
def test_a_deletion_whose_answer_is_lost_leaves_no_file(a, answer_lost, of, method):
    """After the definition is gone, nobody knows any more which files were made for the VM."""
    a.pools.refresh("default")
    before = {volume.path for volume in a.pools.volumes()}
    vm = a.vms.create(name="deleted-unheard", memory="32MiB", disks=[{"size": "8MiB"}, {"size": "8MiB"}])
    own = {disk.source for disk in vm.record.disks}
    lost = answer_lost(of, method)
    gone = vm.delete()
    assert lost
    assert own <= {*gone.removed}
    assert gone.kept == ()
    assert made_whole(a, before) == set()
    assert "deleted-unheard" not in [vm.name for vm in a.vms.list()]


def test_a_running_vm_whose_end_is_not_heard_of_is_deleted(a, boot, answer_lost):
    vm = boot(a, "ended-unheard", ticks=0, kernel=None)
    lost = answer_lost(libvirt.virDomain, "destroy")
    vm.delete(force=True)
    assert lost
    assert "ended-unheard" not in [vm.name for vm in a.vms.list()]
