"""Snapshots of real guests: the tree, reverting with the guest's data really back, refusals, and our own death in the middle."""

import signal
import subprocess
import sys
import time
from itertools import pairwise
from textwrap import dedent

import pytest

from novacron import errors
from novacron_kvm.snapshots import metadata

pytestmark = pytest.mark.lab


def names(vm):
    return [(s.name, s.record.parent) for s in vm.snapshots.list()]


def begin_migration(vm, source, destination):
    """Start a slow migration in a process of its own and return that when memory is flowing."""
    script = dedent(f"""
        import novacron, sys, time
        a = novacron.connect({source.uri!r}, name={source.name!r})
        b = novacron.connect({destination.uri!r}, name={destination.name!r})
        job = a.vms[{vm.id!r}].migrate(b, wait=False, bandwidth="2MiB/s", deadline=120, auto_converge=False)
        job.listen(lambda p: p.details.get("transferred_bytes") and print("moving", flush=True))
        job.result()
    """)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "moving\n", process.poll()
    return process


@pytest.mark.timeout(180)
def test_snapshots_survive_our_death_in_the_middle_of_a_migration(lab_hosts, boot):
    """The process is killed with SIGKILL; libvirt goes on; wherever the VM ends up, its snapshots are there and can be reverted to."""
    a, b = lab_hosts
    vm = boot(a, "orphaned", ticks=2)
    vm.snapshots.create("first", description="before the move")
    vm.snapshots.create("second")
    migrating = begin_migration(vm, a, b)
    migrating.send_signal(signal.SIGKILL)
    migrating.wait()
    assert names(vm) == [("first", None), ("second", "first")], "they are shown while the VM is on its way"
    assert vm.snapshots["first"].record.description == "before the move"
    with pytest.raises(errors.BusyError) as caught:
        vm.snapshots.create("third")
    assert caught.value.hint
    a.invoke("migration_tune", vm=vm.id, bandwidth=2**30, max_downtime=5.0, post_copy=False)
    deadline = time.monotonic() + 60
    while vm.id not in b.vms or vm.id in a.vms:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    moved = b.vms[vm.id]
    moved.snapshots.create("third")
    assert names(moved) == [("first", None), ("second", "first"), ("third", "second")]
    assert moved.snapshots["third"].record.current
    assert moved.record.status == "running"
    moved.snapshots["first"].revert()
    vm.console.wait_until(lambda: any(x[0] > y[0] for x, y in pairwise(vm.console.ticks)), 30, "a second counted before")
    assert "novacron-snapshots" not in moved.export().text
    moved.delete(force=True)


def domain_of(vm):
    return vm.host.dispatcher.driver.native.domain(vm.id)


def test_snapshots_survive_our_death_before_the_migration_begins(lab_hosts, boot, monkeypatch):
    """StoredSnapshot and then nothing: they are shown at once and given back when it is certain that nothing is under way."""
    a = lab_hosts[0]
    vm = boot(a, "parked", ticks=0, start=False)
    vm.snapshots.create("one")
    vm.snapshots.create("two")
    vm.snapshots["one"].revert()
    metadata.store_metadata(domain_of(vm))
    assert domain_of(vm).snapshotListNames() == []
    assert names(vm) == [("one", None), ("two", "one")]
    assert domain_of(vm).snapshotListNames() == []
    monkeypatch.setattr(metadata, "GRACE", 0.0)
    assert names(vm) == [("one", None), ("two", "one")]
    assert sorted(domain_of(vm).snapshotListNames()) == ["one", "two"]
    assert vm.snapshots["one"].record.current
    assert metadata.stored_metadata(domain_of(vm)) == ([], 0.0)


def test_giving_snapshots_back_may_be_cut_short_and_repeated(lab_hosts, boot):
    """What is there already is left as it is, also a snapshot that somebody took meanwhile."""
    a = lab_hosts[0]
    vm = boot(a, "half-back", ticks=0, start=False)
    vm.snapshots.create("one")
    vm.snapshots.create("two")
    domain = domain_of(vm)
    metadata.store_metadata(domain)
    kept, _ = metadata.stored_metadata(domain)
    domain.snapshotCreateXML(kept[0].definition, 1)  # 1: redefine
    domain.snapshotCreateXML("<domainsnapshot><name>meanwhile</name></domainsnapshot>", 0)
    metadata.restore_metadata(domain)
    metadata.restore_metadata(domain)
    assert {s.name for s in vm.snapshots.list()} == {"one", "two", "meanwhile"}
    assert vm.snapshots["meanwhile"].record.current
