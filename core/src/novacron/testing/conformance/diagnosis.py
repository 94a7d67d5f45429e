"""Diagnosis of hosts and VMs."""

from __future__ import annotations

import pytest

from novacron.errors import InvalidSpecError
from novacron.handles.host import HostHandle
from novacron.handles.vm import VMHandle
from novacron.records.diagnosis import Finding
from novacron.testing.conformance.case import Conformance, needs


class TestDiagnosis(Conformance):
    """Hosts and VMs are diagnosed."""

    @needs("host_diagnose")
    def test_a_host_is_diagnosed(self, host: HostHandle) -> None:
        """Every check could be made, and each finding says how to repair it."""
        check_findings(host.diagnose())

    @needs("vm_diagnose")
    def test_a_vm_is_diagnosed_whether_it_runs_or_not(self, vm: VMHandle) -> None:
        """Diagnosis does not change the VM's status."""
        check_findings(vm.diagnose())
        vm.start()
        check_findings(vm.diagnose())
        assert vm.refresh().status == "running"


class TestLockManager(Conformance):
    """What leases the disks of running VMs."""

    @needs("host_lock_manager")
    def test_the_lock_manager_is_known_and_the_question_leaves_nothing(self, host: HostHandle) -> None:
        """The answer is one of three words, and no VM is left of the trial."""
        before = {vm.name for vm in host.vms.list()}
        assert host.lock_manager() in ("virtlockd", "sanlock", "none")
        assert {vm.name for vm in host.vms.list()} == before


class TestCPUBaseline(Conformance):
    """The best CPU that VMs can have on several hosts."""

    @needs("host_cpu_baseline")
    def test_the_baseline_of_a_host_with_itself_is_its_own(self, host: HostHandle) -> None:
        """Its description is what other hosts of the driver take, and its model and features are what VMs take."""
        own = host.cpu_baseline()
        assert own.model
        assert own.nodes
        again = host.cpu_baseline([own.description, own.description])
        assert (again.model, again.features) == (own.model, own.features)

    @needs("host_cpu_baseline")
    def test_a_foreign_description_is_refused(self, host: HostHandle) -> None:
        """A text of another driver, or of none, is named."""
        for text in ("", "no-such-cpu", "<cpu/>"):
            with pytest.raises(InvalidSpecError):
                host.cpu_baseline([text])


def check_findings(findings: list[Finding]) -> None:
    """Fail unless there are findings, each with a text, and each that is not "ok" with a hint."""
    assert findings
    for found in findings:
        assert found.message
        assert found.subject
        assert not found.message.startswith("this could not be checked"), found
        assert (found.hint is None) == (found.status == "ok"), found


__all__ = ["TestCPUBaseline", "TestDiagnosis"]
