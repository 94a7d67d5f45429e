"""What another client does is waited for as long as the caller waits, and not longer."""

import time

import libvirt
import pytest

from novacron.dispatch.call import deadline
from novacron_kvm.storage import busy_pools


@pytest.fixture
def in_change():
    """Return a function that begins a change whose caller waits so many seconds."""
    token = deadline.set(None)
    yield lambda seconds: deadline.set(time.monotonic() + seconds)
    deadline.reset(token)


@pytest.fixture
def busy(monkeypatch):
    """Return a function that makes the error of libvirt for something that is busy."""
    monkeypatch.setattr(busy_pools, "PAUSE", 0.0)

    def error(said):
        found = libvirt.libvirtError("busy")
        found.err = (libvirt.VIR_ERR_OPERATION_INVALID, 0, said, 2, None, None, None, 0, 0)
        return found

    return error


@pytest.mark.parametrize(
    "said", ["pool 'p' has asynchronous jobs running.", "volume 'v' is still in use.", "x is still being allocated"]
)
def test_what_is_busy_is_tried_again_as_long_as_the_caller_waits(in_change, busy, said):
    answers = [busy(said), busy(said), None]

    def change():
        if (answer := answers.pop(0)) is not None:
            raise answer
        return "changed"

    in_change(60)
    assert busy_pools.wait_until_free(change) == "changed"
    in_change(-1)
    answers = [busy(said), None]
    with pytest.raises(libvirt.libvirtError):
        busy_pools.wait_until_free(change)
    assert answers == [None]


def test_another_error_is_raised_at_once():
    def change():
        raise libvirt.libvirtError("something else")

    with pytest.raises(libvirt.libvirtError):
        busy_pools.wait_until_free(change)
