"""The error of a lost connection says when the VM, which was running, has ended with its daemon, or is lost."""

import libvirt
import pytest

from novacron import errors
from novacron_kvm.jobs.lost_vms import tell_if_vm_ended
from novacron_kvm.xml.parsing import NAMESPACE


def lost(code=libvirt.VIR_ERR_OPERATION_INVALID):
    error = libvirt.libvirtError("domain is not running")
    error.err = (code, 0, "domain is not running", 2, None, None, None, 0, -1)
    return error


class Domain:
    """A VM that is active or not before and after the loss; libvirt does not know why it is stopped, and it has NovaCron's own facts."""

    def __init__(self, before, after, facts="{}"):
        self.active, self.facts = [before, after], facts

    def state(self):
        return [libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_UNKNOWN]

    def XMLDesc(self, flags):
        return f"<domain><metadata><n:vm xmlns:n='{NAMESPACE}'>{self.facts}</n:vm></metadata></domain>"

    def UUIDString(self):
        return "uuid"

    def name(self):
        return "web1"

    def isActive(self):
        return self.active.pop(0) if len(self.active) > 1 else self.active[0]

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


def test_a_vm_that_was_being_switched_to_another_file_is_lost_and_not_to_be_started():
    domain = Domain(1, 0, '{"switching": {"vda": "/pool/new.qcow2"}}')
    with (
        pytest.raises(errors.HostConnectionError, match="QEMU still runs it") as caught,
        tell_if_vm_ended(Connection(domain), "web1"),
    ):
        raise errors.HostConnectionError("the connection was lost", outcome="not_sent")
    assert caught.value.details["vm_lost"]
    assert "shut the guest down from within" in caught.value.hint
    assert caught.value.outcome == "unknown"


def test_other_errors_and_none_pass_without_a_look():
    with pytest.raises(errors.StorageError), tell_if_vm_ended(Connection(Domain(1, 1)), "web1"):
        raise errors.StorageError("no room")
    with tell_if_vm_ended(Connection(Domain(1, 1)), "web1"):
        pass
