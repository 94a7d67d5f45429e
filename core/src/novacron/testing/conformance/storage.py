"""The fixture of the volume and disk tests, which creates volumes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from novacron.errors import VolumeNotFoundError
from novacron.handles.host import HostHandle
from novacron.records.volumes import Volume
from novacron.specs import VolumeSpec
from novacron.testing.conformance.case import Conformance
from novacron.testing.target import Target

MIB = 2**20
LIFE = ("volume_create", "volume_get", "volume_list", "volume_delete")
"""Operations that a test of volumes needs in any case."""

CreateVolume = Callable[..., Volume]


@pytest.fixture
def create_volume(self: Conformance, host: HostHandle, target: Target, prefix: str) -> Iterator[CreateVolume]:
    """Return a function that creates volumes. Those that are left are deleted after the test."""
    made: list[str] = []

    def make(name: str = "volume", capacity: int = 2 * MIB) -> Volume:
        spec = VolumeSpec(name=f"{prefix}-{name}", capacity=capacity, format=target.volume_format)
        volume: Volume = host.invoke("volume_create", pool=target.pool, spec=spec)
        made.append(volume.name)
        return volume

    yield make
    for name in made:
        try:
            host.invoke("volume_delete", pool=target.pool, volume=name)
        except VolumeNotFoundError:
            pass


__all__ = ["LIFE", "MIB", "CreateVolume", "create_volume"]
