"""Disks of VMs."""

from __future__ import annotations

from typing import Any

import pytest

from novacron.errors import (
    DeviceNotFoundError,
    InvalidSpecError,
    InvalidStateError,
)
from novacron.handles.host import HostHandle
from novacron.handles.vm import VMHandle
from novacron.specs import DiskSpec
from novacron.testing.conformance.case import Conformance, needs
from novacron.testing.conformance.storage import LIFE, MIB, CreateVolume, create_volume
from novacron.testing.target import Target


class TestDisks(Conformance):
    """Disks are attached, resized, pulled, committed and detached."""

    create_volume = create_volume

    @needs("disk_attach", "disk_detach")
    def test_a_disk_comes_and_goes(self, vm: VMHandle, target: Target) -> None:
        """A disk keeps its name when another disk is detached."""
        disk = _disk(target)
        first, second = vm.disks.attach(disk), vm.disks.attach(disk)
        assert {first.record.target, second.record.target} <= {d.target for d in vm.refresh().record.disks or ()}
        assert first.record.size_bytes == disk.size
        vm.disks[first.record.target].detach(delete=True)
        left = {d.target: d.source for d in vm.refresh().record.disks or ()}
        assert first.record.target not in left
        assert left[second.record.target] == second.record.source

    @needs("disk_attach", "disk_resize")
    def test_a_disk_grows(self, vm: VMHandle, target: Target) -> None:
        """The record has the new size; a smaller one is refused."""
        disk = vm.disks.attach(_disk(target))
        size = int(disk.record.size_bytes or 0)
        assert disk.resize(size + 4 * MIB).record.size_bytes == size + 4 * MIB
        with pytest.raises(InvalidSpecError):
            disk.resize(size)

    @needs(*LIFE, "disk_attach", "disk_pull", "disk_commit")
    @pytest.mark.parametrize("operation", ["disk_pull", "disk_commit"])
    def test_a_disk_and_what_is_below_it_become_one(
        self, host: HostHandle, vm: VMHandle, target: Target, create_volume: CreateVolume, operation: str
    ) -> None:
        """A pulled disk has no backing file. A committed one becomes its backing file, unless another VM needs that."""
        base = create_volume("below")
        above = DiskSpec(source=base.path, pool=target.pool, bus=_disk(target).bus)
        disk = vm.disks.attach(above)
        own = disk.record.source
        assert disk.record.backing == base.path
        if operation == "disk_commit":
            other = vm.disks.attach(above)
            with pytest.raises(InvalidStateError):
                disk.commit()
            other.detach(delete=True)
            assert disk.commit().record.source == base.path
        else:
            assert disk.pull().record.source == own
        assert vm.refresh().disks[disk.record.target].record.backing is None
        vm.disks[disk.record.target].detach(delete=True)

    @needs("disk_detach", "disk_resize", "disk_limit", "disk_change_media")
    @pytest.mark.parametrize(
        ("operation", "more"),
        [("disk_detach", {"delete": False}), ("disk_resize", {"size": MIB}), ("disk_change_media", {"source": ""})],
        ids=["detach", "resize", "change media"],
    )
    def test_an_unknown_disk_is_not_found(self, host: HostHandle, vm: VMHandle, operation: str, more: dict[str, Any]) -> None:
        """The hint names the disks that the VM has."""
        with pytest.raises(DeviceNotFoundError) as caught:
            host.invoke(operation, vm=vm.id, disk="sdzz", **more)
        assert caught.value.hint


def _disk(target: Target) -> DiskSpec:
    if target.disk is None:
        pytest.skip("the target has no disk to give")
    return target.disk


__all__ = ["TestDisks"]
