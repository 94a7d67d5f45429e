"""Nothing remains after a failure or a deletion."""

from __future__ import annotations

from typing import Any

import pytest

from novacron.errors import NovaCronError
from novacron.handles.host import HostHandle
from novacron.handles.vm import VMHandle
from novacron.specs import DiskSpec, NICSpec
from novacron.testing.conformance.case import Conformance, Create, needs
from novacron.testing.target import Target

Inventory = tuple[set[str], set[tuple[str, str]]]


def inventory(host: HostHandle) -> Inventory:
    """Return the ids of all VMs, and pool and name of all volumes."""
    volumes: set[tuple[str, str]] = set()
    if host.supports("pool_list") and host.supports("volume_list"):
        for pool in host.pools.list():
            if pool.active:
                if host.supports("pool_refresh"):
                    host.invoke("pool_refresh", pool=pool.name)
                volumes |= {(pool.name, volume.name) for volume in host.pools.volumes(pool.name)}
    return {vm.id for vm in host.vms.list()}, volumes


class TestCleanUp(Conformance):
    """After a failure or a deletion the host has the VMs and volumes that it had before."""

    def test_deleting_leaves_nothing(self, host: HostHandle, target: Target, create: Create) -> None:
        """Neither the VM nor its volumes are left, and `removed` names the volumes."""
        before = inventory(host)
        vm = create(disks=[target.disk]) if target.disk else create()
        own = {d.source for d in vm.record.disks or () if d.source and not d.read_only}
        removed = vm.delete().removed
        assert inventory(host) == before
        assert not target.disk or own <= set(removed)

    @needs("pool_list", "volume_list")
    def test_kept_disks_are_kept_and_named(self, host: HostHandle, target: Target, create: Create) -> None:
        """`keep_disks=True` deletes the VM alone."""
        if target.disk is None:
            pytest.skip("the target offers no disk")
        vms, volumes = inventory(host)
        vm = create(disks=[target.disk])
        with_disk = inventory(host)[1]
        kept = vm.delete(keep_disks=True).kept
        after = inventory(host)
        assert after == (vms, with_disk)
        assert len(kept) == 1
        for pool, name in with_disk - volumes:
            if host.supports("volume_delete"):
                host.pools.delete_volume(name, pool)

    @pytest.mark.parametrize(
        "broken",
        [
            {"disks": [DiskSpec(path="/conform/no/such/file.qcow2")]},
            {"disks": [DiskSpec(source="image:conform-no-such-image")]},
            {"disks": [DiskSpec(size="16MiB", pool="conform-no-such-pool")]},
            {"nics": [NICSpec(network="conform-no-such-network")]},
            {"memory": 2**60},
        ],
        ids=["no such file", "no such image", "no such pool", "no such network", "too much memory"],
    )
    def test_failed_creation_leaves_nothing(
        self, host: HostHandle, target: Target, create: Create, broken: dict[str, Any]
    ) -> None:
        """Nothing is left, also if a disk was made before the bad part, and with `start`. The name is free again."""
        before = inventory(host)
        if target.disk and "disks" in broken:
            broken = {"disks": [target.disk, *broken["disks"]]}
        with pytest.raises(NovaCronError) as caught:
            create(start=True, **broken)
        assert caught.value.outcome in ("failed", "not_sent")
        assert inventory(host) == before

    def test_cancelled_creation_leaves_all_or_nothing(
        self, host: HostHandle, target: Target, create: Create, prefix: str
    ) -> None:
        """A creation that is cancelled at once either ended before, and the VM is whole, or leaves nothing."""
        before = inventory(host)
        job = host.vms.create(target.new_vm(prefix), wait=False)
        job.cancel()
        failure = job.exception(120)
        if failure is None:
            vm: VMHandle = job.result()
            assert host.vms[prefix].record == vm.record
            vm.delete(force=True)
        assert inventory(host) == before

    @needs("snapshot_create")
    def test_failed_snapshot_leaves_none(self, vm_with_disk: VMHandle) -> None:
        """A creation with a name that is taken changes nothing."""
        vm_with_disk.snapshots.create("one")
        before = [s.record for s in vm_with_disk.snapshots.list()]
        with pytest.raises(NovaCronError):
            vm_with_disk.snapshots.create("one")
        assert [s.record for s in vm_with_disk.snapshots.list()] == before


__all__ = ["TestCleanUp", "inventory"]
