"""Power operations: start, stop, suspend, save."""

from __future__ import annotations

import pytest

from novacron.errors import (
    InvalidStateError,
)
from novacron.handles.host import HostHandle
from novacron.handles.vm import VMHandle
from novacron.records.host import Capabilities
from novacron.testing.conformance.case import MORE_ARGUMENTS, Conformance, bring, needs, skip_unless_offered
from novacron.testing.target import Target

WRONG_STATES = [
    ("vm_start", "running"),
    ("vm_start", "suspended"),
    ("vm_stop", "stopped"),
    ("vm_delete", "running"),
    ("vm_delete", "suspended"),
    ("vm_reboot", "stopped"),
    ("vm_reboot", "suspended"),
    ("vm_reset", "stopped"),
    ("vm_suspend", "stopped"),
    ("vm_resume", "stopped"),
    ("vm_shutdown", "stopped"),
    ("vm_save", "stopped"),
    ("vm_restore", "stopped"),
    ("vm_restore", "running"),
]
"""Operations with a status in which they are refused."""

REACHED_BY = {"suspended": "vm_suspend", "saved": "vm_save"}


class TestPower(Conformance):
    """Changes of the power state."""

    def test_start_and_stop_are_seen_by_everyone(self, host: HostHandle, vm: VMHandle) -> None:
        """The returned record equals one that is read afterwards."""
        assert vm.start().status == "running"
        assert host.vms[vm.id].status == "running"
        assert vm.stop().status == "stopped"
        assert host.vms[vm.id].status == "stopped"
        assert vm.start().status == "running", "a stopped VM starts again"

    @needs("vm_suspend", "vm_resume")
    def test_suspend_and_resume_may_be_repeated(self, running: VMHandle) -> None:
        """A suspended VM stays suspended, a running one running."""
        assert [running.suspend().status, running.suspend().status] == ["suspended"] * 2
        assert [running.resume().status, running.resume().status] == ["running"] * 2

    @needs("vm_suspend")
    def test_suspended_vm_can_be_stopped(self, running: VMHandle) -> None:
        """A suspended VM can be stopped without resuming it first."""
        running.suspend()
        assert running.stop().status == "stopped"

    @pytest.mark.parametrize("operation", ["vm_reboot", "vm_reset"])
    def test_reboot_and_reset_leave_it_running(
        self, host: HostHandle, running: VMHandle, capabilities: Capabilities, operation: str
    ) -> None:
        """Reset and reboot do not stop the VM."""
        skip_unless_offered(capabilities, operation)
        assert host.invoke(operation, vm=running.id).status == "running"

    @needs("vm_shutdown")
    def test_shutdown_ends_with_the_vm_stopped(self, running: VMHandle) -> None:
        """`otherwise="stop"` stops a VM whose guest does not react."""
        assert running.shutdown(timeout=1, otherwise="stop").status == "stopped"

    @needs("vm_shutdown")
    def test_a_guest_shuts_itself_down_when_it_is_asked(self, target: Target, host: HostHandle, prefix: str) -> None:
        """With `otherwise="fail"` it is the guest that ends the VM."""
        if target.boot_guest is None:
            pytest.skip("the target has no guest")
        guest = target.boot_guest(prefix)
        try:
            assert guest.shutdown(timeout=60, otherwise="fail").status == "stopped"
        finally:
            host.vms[guest.id].delete(force=True)

    @needs("vm_save", "vm_restore")
    def test_saved_vm_is_off_and_goes_on(self, running: VMHandle) -> None:
        """Restore and start both resume with the saved memory."""
        assert running.save().status == "saved"
        assert running.restore().status == "running"
        running.save()
        assert running.start().status == "running"

    @pytest.mark.parametrize(("operation", "status"), WRONG_STATES, ids=lambda value: str(value))
    def test_wrong_state_is_refused_and_nothing_changes(
        self, host: HostHandle, vm: VMHandle, capabilities: Capabilities, operation: str, status: str
    ) -> None:
        """InvalidStateError names the VM and its status, and the VM stays as it was."""
        skip_unless_offered(capabilities, operation, *filter(None, [REACHED_BY.get(status)]))
        bring(vm, status)
        with pytest.raises(InvalidStateError) as caught:
            host.invoke(operation, vm=vm.id, **MORE_ARGUMENTS.get(operation, {}))
        assert vm.name in str(caught.value)
        assert caught.value.outcome != "unknown"
        assert host.vms[vm.id].status == status


__all__ = ["TestPower"]
