"""What a host sends of a volume."""

import io

import pytest

from novacron.errors import StorageError
from novacron.jobs import Job
from novacron_kvm.storage.streams import download


class Endless:
    """A volume of 4 KiB, and its stream, of a host that never stops sending. No real libvirtd does so."""

    aborted = False

    def infoFlags(self, _):
        return [0, 4096, 4096]

    def name(self):
        return "disk.raw"

    def download(self, *_):
        pass

    def newStream(self, _):
        return self

    def recv(self, _):
        return b"x" * 1024

    def abort(self):
        self.aborted = True


def test_a_host_that_sends_more_than_a_volume_has_is_left():
    volume, target = Endless(), io.BytesIO()
    with pytest.raises(StorageError, match=r"more of 'disk.raw' than the 4096 bytes") as refused:
        download(volume, volume, target, Job("volume_download"), longest=4096)
    assert volume.aborted
    assert refused.value.outcome == "failed"
    assert len(target.getvalue()) == 5120
