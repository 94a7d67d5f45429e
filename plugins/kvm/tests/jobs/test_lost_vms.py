"""The error of a lost connection says when the VM, which was running, has ended with its daemon."""

import libvirt
import pytest

from novacron import errors
from novacron_kvm.jobs.lost_vms import tell_if_vm_ended


def lost(code=libvirt.VIR_ERR_OPERATION_INVALID):
    error = libvirt.libvirtError("domain is not running")
    error.err = (code, 0, "domain is not running", 2, None, None, None, 0, -1)
    return error


class Domain:
    """A VM whose activity is what the test says: once before, once after."""

    def __init__(self, *active):
        self.active = list(active)

    def UUIDString(self):
        return "uuid"

    def name(self):
        return "web1"

    def isActive(self):
        return self.active.pop(0)

    def memoryStats(self):
        if not self.active[0]:
            raise lost()
        return {}


class Connection:
    """A connection whose daemon answers again after some attempts."""

    def __init__(self, domain, failures=0):
        self.found, self.failures, self.began = domain, failures, False

    def domain(self, vm, connection=None):
        if self.began and self.failures:
            self.failures -= 1
            raise errors.HostConnectionError("not back yet")
        self.began = True
        return self.found

    def bounded(self, function, *arguments, timeout):
        return function(*arguments)


@pytest.mark.parametrize(("active", "told"), [((1, 0), True), ((1, 1), False), ((0, 0), False)])
@pytest.mark.parametrize("failures", [0, 2])
def test_it_is_told_exactly_when_a_running_vm_has_ended(active, told, failures):
    with pytest.raises(errors.HostConnectionError) as caught, tell_if_vm_ended(Connection(Domain(*active), failures), "web1"):
        raise errors.HostConnectionError("the connection was lost", outcome="not_sent")
    assert ("has ended" in str(caught.value)) == told
    assert caught.value.details.get("vm_ended", False) == told
    assert (caught.value.outcome == "unknown") == told


def test_other_errors_and_none_pass_without_a_look():
    with pytest.raises(errors.StorageError), tell_if_vm_ended(Connection(Domain(1)), "web1"):
        raise errors.StorageError("no room")
    with tell_if_vm_ended(Connection(Domain(1)), "web1"):
        pass
