"""Two processes: one deletes a file, or gives it to a VM, just when another one begins to use it. Real hosts."""

import sys
import time
import uuid
from functools import partial
from pathlib import Path

import pytest

from novacron import errors
from novacron.site import Site
from novacron.threads import in_thread
from novacron_kvm.migration import storage
from novacron_kvm.operations import disks, volumes
from novacron_kvm.storage import cloning, copies, held_files

sys.path.insert(0, str(Path(__file__).parent))
from leftovers import remove_named

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]


@pytest.fixture
def host(lab, own_state):
    with Site(own_state) as site:
        site.fleet.add("here", lab.hosts[0].uri)
        yield site.fleet.hosts["here"]


@pytest.fixture
def prefix(host):
    found = f"ra{uuid.uuid4().hex[:6]}"
    yield found
    remove_named(host, found)


@pytest.fixture
def races(host, lab):
    """A second pool of the host, named so."""
    lab.hosts[0].exec("mkdir", "-p", "/run/races")
    host.pools.create(name="races", type="dir", path="/run/races")
    yield
    host.pools.stop("races")
    host.pools.delete("races")


@pytest.fixture
def other(host, own_state):
    """The same host as another process of the same state directory has it: the two share nothing but locks that are files."""
    with Site(own_state) as site:
        yield site.fleet.hosts["here"]


def between(monkeypatch, module, name, action):
    """Let an action happen once just before a function is called, or just after it if it only looks."""
    real, done = getattr(module, name), []

    def function(*arguments, **more):
        if module is volumes:
            found = real(*arguments, **more)
        if not done:
            done.append(True)
            action()
        return found if module is volumes else real(*arguments, **more)

    monkeypatch.setattr(module, name, function)


WAYS = {
    "create": lambda host, p: host.vms.create(name=f"{p}-new", memory="32MiB", disks=[{"source": f"{p}-base.qcow2"}]),
    "volume": lambda host, p: host.pools.create_volume(name=f"{p}-new.qcow2", backing=f"{p}-base.qcow2"),
    "attach": lambda host, p: host.vms[f"{p}-vm"].disks.attach(source=f"{p}-base.qcow2"),
}


@pytest.mark.parametrize(("verb", "way"), [("delete", "create"), ("delete", "volume"), ("delete", "attach"), ("wipe", "volume")])
def test_no_overlay_is_left_above_a_file_that_another_process_destroys(host, other, prefix, monkeypatch, verb, way):
    """One has looked for users of the file before the other one's overlay is made, and destroys it afterwards."""
    host.pools.create_volume(name=f"{prefix}-base.qcow2", capacity="8MiB")
    vm = host.vms.create(name=f"{prefix}-vm", memory="32MiB")
    there = {volume.name for volume in host.pools.volumes()}
    began = []

    def meanwhile():
        began.append(in_thread(partial(WAYS[way], other, prefix), "other"))
        while not began[0].done() and not {volume.name for volume in host.pools.volumes()} - there:
            time.sleep(0.02)

    between(monkeypatch, volumes, "users_everywhere", meanwhile)
    destroy = host.pools.delete_volume if verb == "delete" else host.pools.wipe_volume
    destroy(f"{prefix}-base.qcow2")
    with pytest.raises(errors.BusyError, match="was deleted or changed by another client meanwhile"):
        began[0].result()
    host.pools.refresh("default")
    left = {volume.name for volume in host.pools.volumes()}
    assert left == there - ({f"{prefix}-base.qcow2"} if verb == "delete" else set())
    assert f"{prefix}-new" not in host.vms
    assert not vm.refresh().record.disks


@pytest.mark.parametrize("way", ["delete", "attach", "create"])
def test_a_file_that_is_being_given_to_a_vm_is_neither_deleted_nor_given_to_another(host, other, prefix, monkeypatch, way):
    """The other process comes after this one has looked for users of the file, and before the VM has it."""
    monkeypatch.setattr(held_files, "PATIENCE", 0.5)
    path = Path(host.pools.create_volume(name=f"{prefix}-a.qcow2", capacity="8MiB").path)
    vm, second = (host.vms.create(name=f"{prefix}-{name}", memory="32MiB") for name in ("v", "w"))
    ways = {
        "delete": lambda: other.pools.delete_volume(path.name),
        "attach": lambda: other.vms[second.name].disks.attach(path=str(path)),
        "create": lambda: other.vms.create(name=f"{prefix}-x", memory="32MiB", disks=[{"path": str(path)}]),
    }
    began = []

    def meanwhile():
        began.append(in_thread(ways[way], "other"))
        began[0].exception()

    between(monkeypatch, disks, "plug", meanwhile)
    vm.disks.attach(path=str(path))
    with pytest.raises(errors.BusyError, match=f"another process changes the file {path.name}"):
        began[0].result()
    assert path.exists()
    assert [disk.source for disk in vm.refresh().record.disks] == [str(path)]
    assert not second.refresh().record.disks
    assert f"{prefix}-x" not in host.vms


@pytest.mark.parametrize("way", ["move", "linked clone"])
def test_a_stopped_vm_that_another_process_starts_keeps_what_it_writes(host, other, prefix, races, monkeypatch, way):
    """It is started when its disk is copied, and before its definition names the new file."""
    vm = host.vms.create(name=f"{prefix}-v", memory="32MiB", disks=[{"size": "8MiB"}])
    disk = vm.record.disks[0].source
    there = {volume.name for volume in host.pools.volumes()}
    module, step = (storage, "set_defined_disk_file") if way == "move" else (cloning, "_go_on_above")
    action = partial(vm.migrate_storage, "races") if way == "move" else partial(vm.clone, f"{prefix}-c", linked=True)
    between(monkeypatch, module, step, other.vms[vm.name].start)
    with pytest.raises(errors.InvalidStateError, match="it was started meanwhile"):
        action()
    assert host.pools.volumes("races") == []
    assert {volume.name for volume in host.pools.volumes()} == there
    assert f"{prefix}-c" not in host.vms
    assert vm.refresh().status == "running"
    vm.stop()
    assert vm.refresh().record.disks[0].source == disk


@pytest.mark.parametrize("way", ["move", "clone", "template", "volume"])
def test_the_copy_of_a_disk_that_changed_meanwhile_is_removed(host, prefix, races, monkeypatch, way):
    """Another process has started and stopped the VM while its disk was copied."""
    vm = host.vms.create(name=f"{prefix}-v", memory="32MiB", disks=[{"size": "8MiB", "format": "raw"}])
    disk = Path(vm.record.disks[0].source)
    there = {volume.name for volume in host.pools.volumes()}
    action = {
        "move": lambda: vm.migrate_storage("races"),
        "clone": lambda: vm.clone(f"{prefix}-c"),
        "template": lambda: host.templates.create(vm.name, f"{prefix}-t", seal=False),
        "volume": lambda: host.pools.clone_volume(disk.name, f"{prefix}-c.raw"),
    }[way]
    real = {module: module.create_whole for module in (storage, copies, volumes)}

    def written(module, *arguments):
        found = real[module](*arguments)
        with disk.open("r+b") as file:
            file.write(b"newer")
        return found

    for module in real:
        monkeypatch.setattr(module, "create_whole", partial(written, module))
    with pytest.raises(errors.BusyError, match="was deleted or changed by another client meanwhile"):
        action()
    assert host.pools.volumes("races") == []
    assert {volume.name for volume in host.pools.volumes()} == there
    assert vm.refresh().record.disks[0].source == str(disk)
    assert disk.read_bytes()[:5] == b"newer"


def test_the_file_of_an_attachment_that_another_process_has_deleted_is_refused(host, prefix, monkeypatch):
    name = f"{prefix}-a.qcow2"
    path = host.pools.create_volume(name=name, capacity="8MiB").path
    vm = host.vms.create(name=f"{prefix}-v", memory="32MiB")
    between(monkeypatch, disks, "holding", lambda: host.pools.delete_volume(name))
    with pytest.raises(errors.VolumeNotFoundError):
        vm.disks.attach(path=path)
    assert not vm.refresh().record.disks


def test_a_snapshot_whose_files_another_process_holds_is_deleted_and_the_error_says_so(host, other, prefix, monkeypatch):
    """Its files are merged by the next deletion, and until then all are there."""
    monkeypatch.setattr(held_files, "PATIENCE", 0.1)
    vm = host.vms.create(name=f"{prefix}-v", memory="32MiB", disks=[{"size": "8MiB", "format": "raw"}])
    base = Path(vm.record.disks[0].source)
    for name in ("one", "two"):
        vm.snapshots.create(name, kind="external")
    with (
        held_files.holding(other.dispatcher.driver.native, [str(base)]),
        pytest.raises(errors.BusyError, match="one is deleted, and its files are merged by the next delete") as caught,
    ):
        vm.snapshots["one"].delete()
    assert caught.value.outcome == "unknown"
    assert [snapshot.name for snapshot in vm.snapshots.list()] == ["two"]
    assert base.exists()
    vm.snapshots["two"].delete()
    assert vm.refresh().record.disks[0].source == str(base)
