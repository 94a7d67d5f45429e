"""Limits and guarantees of VMs on a real vSphere API."""

from __future__ import annotations

import pytest

from novacron import VMSpec, errors

MIB = 2**20


@pytest.fixture
def vm(host):
    vm = host.vms.create(VMSpec(name="limited", memory="64MiB", nics=[]))
    yield vm
    vm.delete(force=True)


def test_limits_are_set_and_lifted(vm):
    """Only those that are given; None lifts one."""
    found = vm.resources.limit(cpu_limit_percent=50, cpu_guarantee_mhz=100, memory_limit="32MiB", memory_guarantee="16MiB")
    assert round(found.cpu_limit_percent) == 50
    assert (found.cpu_guarantee_mhz, found.memory_limit_bytes, found.memory_guarantee_bytes) == (100, 32 * MIB, 16 * MIB)
    found = vm.resources.limit(cpu_limit_percent=None, memory_guarantee=None)
    assert (found.cpu_limit_percent, found.memory_guarantee_bytes, found.memory_limit_bytes) == (None, None, 32 * MIB)
    assert vm.resources.limit(memory_limit=None, cpu_guarantee_mhz=None) == vm.resources.read()
    found = vm.resources.read()
    assert (found.cpu_guarantee_mhz, found.memory_limit_bytes) == (None, None)


@pytest.mark.parametrize("limits", [{"io_weight": 300}, {"vcpu_limit_percent": 50}, {"memory_soft_limit": "1MiB"}])
def test_a_limit_that_vsphere_has_not_is_refused(vm, limits):
    """The error names it, and a limit that vSphere has is not set either."""
    before = vm.resources.read()
    with pytest.raises(errors.InvalidSpecError) as caught:
        vm.resources.limit(cpu_shares=1234, **limits)
    assert {problem.path for problem in caught.value.problems} == set(limits)
    assert vm.resources.read() == before
