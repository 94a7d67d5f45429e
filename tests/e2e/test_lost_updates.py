"""Two processes change what libvirt keeps about one VM, each from what it has read before: neither change is lost. Real hosts."""

import sys
import threading
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest

from novacron.dispatch import filelocks
from novacron.site import Site
from novacron.threads import in_thread
from novacron_kvm import hardware
from novacron_kvm.domains import metadata
from novacron_kvm.snapshots import external

sys.path.insert(0, str(Path(__file__).parent))
from leftovers import remove_named

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]


@pytest.fixture
def vms(lab, own_state):
    """One VM, as two processes of the same state directory have it: the two share nothing but locks that are files."""
    name = f"lu{uuid.uuid4().hex[:6]}"
    with Site(own_state) as one, Site(own_state) as two:
        one.fleet.add("here", lab.hosts[0].uri)
        first, second = one.fleet.hosts["here"], two.fleet.hosts["here"]
        first.vms.create(name=name, memory="32MiB", vcpus=1, disks=[{"size": "8MiB", "format": "raw"}])
        yield first.vms[name], second.vms[name]
        remove_named(first, name)


@pytest.fixture
def waits(monkeypatch):
    """Set when somebody waits for a lock of another process."""
    event = threading.Event()
    pause = filelocks.time.sleep

    def sleep(seconds):
        event.set()
        pause(seconds)

    monkeypatch.setattr(filelocks, "time", SimpleNamespace(sleep=sleep))
    return event


def once_before(monkeypatch, module, name, action):
    """Let an action happen just before the first call of a function."""
    real, done = getattr(module, name), []

    def function(*arguments, **more):
        if not done:
            done.append(True)
            action()
        return real(*arguments, **more)

    monkeypatch.setattr(module, name, function)


def begin(change, waits):
    """Begin a change in another thread; return its future when it has ended, or waits for a lock."""
    waits.clear()
    future = in_thread(change, "other process")
    future.add_done_callback(lambda _: waits.set())
    assert waits.wait(60)
    return future


def test_labels_that_another_process_gives_during_a_snapshot_stay_and_so_do_its_files(vms, waits, monkeypatch):
    vm, same = vms
    others = []
    once_before(
        monkeypatch, metadata, "set_facts", lambda: others.append(begin(lambda: same.update(metadata={"owner": "ann"}), waits))
    )
    vm.snapshots.create("before", memory=False)
    others[0].result(60)
    assert vm.refresh().record.metadata == {"owner": "ann"}
    overlay = vm.record.disks[0].source
    assert ".before." in overlay
    assert overlay in vm.delete().removed


def test_a_disk_that_a_snapshot_has_switched_stays_switched_when_another_process_changes_the_hardware(vms, waits, monkeypatch):
    """The other process has read the definition before the snapshot, and writes it back afterwards."""
    vm, same = vms
    others = []
    once_before(
        monkeypatch,
        hardware,
        "redefine",
        lambda: others.append(begin(lambda: same.snapshots.create("before", memory=False), waits)),
    )
    vm.update(vcpus_max=2)
    others[0].result(60)
    assert ".before." in vm.refresh().record.disks[0].source
    assert vm.configuration().fields["vcpus_max"] == 2


def test_a_definition_that_is_written_back_while_libvirt_takes_a_snapshot_is_mended(vms, waits, monkeypatch):
    vm, same = vms
    read, others = threading.Event(), []

    def written():
        read.set()
        waits.clear()
        assert waits.wait(60), "the snapshot did not look at the definition afterwards"

    def meanwhile():
        others.append(in_thread(lambda: same.update(vcpus_max=2), "other process"))
        assert read.wait(60)

    once_before(monkeypatch, hardware, "redefine", written)
    once_before(monkeypatch, external, "job_progress", meanwhile)
    vm.snapshots.create("before", memory=False)
    others[0].result(60)
    assert ".before." in vm.refresh().record.disks[0].source
    assert vm.configuration().fields["vcpus_max"] == 2
