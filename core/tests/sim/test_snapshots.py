"""Snapshots and what reverting to them restores."""

import io

import pytest

from novacron import errors


def test_revert_brings_back_status_disks_and_size(a, make, volumes):
    vm = make(a, disks=[{"size": "5GiB"}], start=True)
    vm.snapshots.create("running")
    vm.stop().update(vcpus=4)
    vm.disks.attach(size="1GiB")
    assert vm.snapshots["running"].revert().status == "running"
    assert (len(vm.record.disks), vm.record.vcpus) == (1, 1)
    vm.delete(force=True)
    assert volumes(a) == []


def test_a_snapshot_without_memory_reverts_to_a_stopped_vm(a, make):
    vm = make(a, start=True)
    assert vm.snapshots.create("disks", memory=False).record.status == "stopped"
    assert vm.snapshots["disks"].revert().status == "stopped"
    with pytest.raises(errors.InvalidStateError):
        vm.snapshots.create("impossible", memory=True)
    with pytest.raises(errors.GuestAgentUnavailableError):
        vm.snapshots.create("quiet", quiesce=True)


def test_snapshots_make_a_tree(a, make):
    vm = make(a)
    for name in ("one", "two", "three"):
        vm.snapshots.create(name)
    vm.snapshots["one"].revert()
    vm.snapshots.create("side")
    tree = {s.name: s.record.parent for s in vm.snapshots}
    assert tree == {"one": None, "two": "one", "three": "two", "side": "one"}
    assert next(s.name for s in vm.snapshots) == "one"
    assert [s.name for s in vm.snapshots if s.record.current] == ["side"]
    with pytest.raises(errors.AlreadyExistsError):
        vm.snapshots.create("two")


def test_snapshots_are_chosen_by_all_that_is_given(a, make):
    """By name, kind, memory, age, and place in the tree; what is not there is said."""
    vm = make(a, start=True)
    for name in ("one", "two-a", "two-b"):
        vm.snapshots.create(name)
    vm.snapshots["one"].revert()
    vm.snapshots.create("side", memory=False)

    def names(**chosen):
        return [s.name for s in vm.snapshots.list(**chosen)]

    assert names() == ["one", "two-a", "side", "two-b"]
    assert names(name="two-*") == ["two-a", "two-b"]
    assert names(memory=False) == ["side"]
    assert names(memory=True, leaves=True) == ["two-b"]
    assert names(below="one", leaves=True) == ["side", "two-b"]
    assert names(below="two-a") == ["two-b"]
    assert names(kind="external") == [s.name for s in vm.snapshots if s.record.kind == "external"]
    assert names(newer_than="1h") == names()
    assert names(older_than="1h") == []
    with pytest.raises(errors.SnapshotNotFoundError):
        names(below="none")
    with pytest.raises(errors.InvalidValueError):
        names(older_than="a while")


def test_deleting_one_gives_its_children_to_its_parent(a, make):
    vm = make(a)
    for name in ("one", "two", "three"):
        vm.snapshots.create(name)
    vm.snapshots["two"].delete()
    assert {s.name: s.record.parent for s in vm.snapshots} == {"one": None, "three": "one"}
    vm.snapshots["one"].delete(children=True)
    assert len(vm.snapshots) == 0
    with pytest.raises(errors.SnapshotNotFoundError):
        vm.snapshots["one"]


def test_volume_content_comes_back(a, make):
    vm = make(a, disks=[{"size": "1MiB", "format": "raw"}])
    put = lambda data: a.invoke(  # noqa: E731
        "volume_upload", pool="default", volume="web1-vda.raw", source=io.BytesIO(data)
    )
    put(b"old")
    vm.snapshots.create("one")
    put(b"new")
    vm.snapshots["one"].revert()
    out = io.BytesIO()
    a.invoke("volume_download", pool="default", volume="web1-vda.raw", target=out)
    assert out.getvalue()[:3] == b"old"
