"""Storage pools."""

from __future__ import annotations

import pytest

from novacron.errors import (
    ImageNotFoundError,
    StoragePoolNotFoundError,
    VolumeNotFoundError,
)
from novacron.handles.host import HostHandle
from novacron.specs import DiskSpec
from novacron.testing.conformance.case import Conformance, Create, needs
from novacron.testing.target import Target


class TestPools(Conformance):
    """Storage pools are listed and found."""

    @needs("pool_list", "pool_get")
    def test_pools_are_listed_and_found(self, host: HostHandle) -> None:
        """Each pool is found by the name in the listing. An unknown name raises an error whose hint names the pools."""
        for pool in host.pools.list():
            assert host.pools[pool.name].replace(available_bytes=0, allocated_bytes=0) == pool.replace(
                available_bytes=0, allocated_bytes=0
            )
        with pytest.raises(StoragePoolNotFoundError) as caught:
            host.pools["conform-nowhere"]
        assert caught.value.hint

    @needs("pool_list")
    def test_an_unknown_pool_or_image_leaves_nothing(self, host: HostHandle, create: Create, target: Target, prefix: str) -> None:
        """A creation that fails leaves nothing."""
        nowhere = DiskSpec(size="1MiB", pool="conform-nowhere")
        nothing = DiskSpec(source="image:conform-nothing", pool=target.pool)
        for disk, error in ((nowhere, StoragePoolNotFoundError), (nothing, (ImageNotFoundError, VolumeNotFoundError))):
            with pytest.raises(error):
                create(f"{prefix}-none", disks=[disk])
            assert f"{prefix}-none" not in host.vms


__all__ = ["TestPools"]
