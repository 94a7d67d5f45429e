"""Snapshots: create, list, revert, delete."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import pytest

from novacron.errors import AlreadyExistsError, NovaCronError, SnapshotNotFoundError, VMNotFoundError
from novacron.handles.host import HostHandle
from novacron.handles.vm import VMHandle
from novacron.testing.conformance.case import Conformance, needs
from novacron.testing.target import Target

BASICS = ("snapshot_create", "snapshot_list", "snapshot_get")


class TestSnapshots(Conformance):
    """Take, list, go back, delete."""

    @pytest.fixture
    def vm(self, vm_with_disk: VMHandle) -> VMHandle:
        """A stopped VM that can be snapshot."""
        return vm_with_disk

    @needs(*BASICS)
    def test_snapshot_is_listed_and_current(self, host: HostHandle, vm: VMHandle) -> None:
        """The record describes the snapshot; the VM is unchanged."""
        record = vm.snapshots.create("one", description="the first").record
        assert (record.name, record.host, record.status, record.current, record.parent) == (
            "one",
            host.name,
            "stopped",
            True,
            None,
        )
        assert record.vm in (vm.id, vm.name)
        assert record.description == "the first"
        assert datetime.fromisoformat(record.created_at).tzinfo is not None
        assert [s.record for s in vm.snapshots.list()] == [record] == [vm.snapshots["one"].record]
        assert vm.refresh().status == "stopped"

    @needs(*BASICS, "snapshot_check")
    def test_check_says_what_creation_refuses(self, vm: VMHandle) -> None:
        """The check finds a problem exactly when the creation fails; the status that is given counts, not the present one."""
        cases: tuple[dict[str, Any], ...] = ({}, {"memory": True}, {"quiesce": True})
        for options in cases:
            problems = vm.snapshots.check("checked", **options)
            try:
                vm.snapshots.create("checked", **options).delete()
            except NovaCronError:
                assert problems, options
            else:
                assert problems == (), options
        assert vm.snapshots.check("later", memory=True, status="running") == ()
        assert vm.snapshots.list() == []

    @needs(*BASICS)
    def test_snapshots_form_a_tree_parents_first(self, vm: VMHandle) -> None:
        """Each new one follows the current one and becomes it."""
        for name in ("one", "two", "three"):
            vm.snapshots.create(name)
        found = [s.record for s in vm.snapshots.list()]
        assert [(s.name, s.parent, s.current) for s in found] == [
            ("one", None, False),
            ("two", "one", False),
            ("three", "two", True),
        ]

    @needs(*BASICS, "snapshot_revert")
    def test_snapshot_after_a_revert_branches_there(self, vm: VMHandle) -> None:
        """The tree gets a second branch."""
        vm.snapshots.create("one")
        vm.snapshots.create("two")
        vm.snapshots["one"].revert()
        vm.snapshots.create("other")
        assert {s.name: s.record.parent for s in vm.snapshots.list()} == {"one": None, "two": "one", "other": "one"}

    @needs(*BASICS, "snapshot_revert")
    def test_revert_brings_a_stopped_vm_back_to_stopped(self, vm: VMHandle) -> None:
        """Although it runs in between."""
        vm.snapshots.create("off")
        vm.start()
        assert vm.snapshots["off"].revert().status == "stopped"
        assert vm.refresh().status == "stopped"
        assert vm.snapshots["off"].record.current

    @needs(*BASICS, "snapshot_revert")
    def test_revert_brings_a_running_vm_with_memory_back_to_running(self, running: VMHandle) -> None:
        """From stopped and from running."""
        assert running.snapshots.create("on", memory=True).record.memory
        assert running.refresh().status == "running"
        assert running.snapshots["on"].revert().status == "running"
        running.stop()
        assert running.snapshots["on"].revert().status == "running"

    @needs(*BASICS, "snapshot_revert", "disk_attach")
    def test_revert_brings_the_disks_back(self, target: Target, vm: VMHandle) -> None:
        """A disk attached afterwards is gone again."""
        if target.disk is None:
            pytest.skip("the target offers no disk")
        vm.snapshots.create("before")
        disks = vm.refresh().record.disks
        vm.disks.attach(target.disk)
        assert vm.refresh().record.disks != disks
        vm.snapshots["before"].revert()
        assert vm.refresh().record.disks == disks

    @needs(*BASICS, "snapshot_delete")
    def test_deleted_snapshot_gives_its_children_to_its_parent(self, vm: VMHandle) -> None:
        """The VM stays as it is."""
        for name in ("one", "two", "three"):
            vm.snapshots.create(name)
        vm.snapshots["two"].delete()
        assert [(s.name, s.record.parent) for s in vm.snapshots.list()] == [("one", None), ("three", "one")]
        assert vm.refresh().status == "stopped"

    @needs(*BASICS, "snapshot_delete")
    def test_children_are_deleted_when_asked(self, vm: VMHandle) -> None:
        """`children=True` takes the whole branch."""
        for name in ("one", "two", "three"):
            vm.snapshots.create(name)
        vm.snapshots["two"].delete(children=True)
        assert [s.name for s in vm.snapshots.list()] == ["one"]

    @needs(*BASICS)
    def test_taken_name_is_refused(self, vm: VMHandle) -> None:
        """The first one stays."""
        first = vm.snapshots.create("one").record
        with pytest.raises(AlreadyExistsError):
            vm.snapshots.create("one", description="again")
        assert vm.snapshots["one"].record == first

    @needs(*BASICS, "snapshot_revert", "snapshot_delete")
    def test_unknown_snapshot_is_not_found(self, host: HostHandle, vm: VMHandle) -> None:
        """By every operation; and a snapshot of an unknown VM is an unknown VM."""
        for operation, more in (("snapshot_get", {}), ("snapshot_revert", {}), ("snapshot_delete", {"children": False})):
            with pytest.raises(SnapshotNotFoundError):
                host.invoke(operation, vm=vm.id, snapshot="none", **more)
            with pytest.raises(VMNotFoundError):
                host.invoke(operation, vm=str(uuid.uuid4()), snapshot="none", **more)

    @needs(*BASICS)
    def test_vm_with_snapshots_is_deleted_with_them(self, create, vm: VMHandle) -> None:  # type: ignore[no-untyped-def]
        """A new VM of that name has none."""
        vm.snapshots.create("one")
        vm.delete()
        assert create(vm.name).snapshots.list() == []


__all__ = ["TestSnapshots"]
