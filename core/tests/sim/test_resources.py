"""CPU and memory of VMs."""

import pytest

from novacron import errors
from novacron.specs import LimitsSpec


def change(vm, what="vcpus_set", *, live=True, persistent=True, **value):
    return vm.host.invoke(what, vm=vm.id, live=live, persistent=persistent, **value)


def test_live_changes_go_and_persistent_ones_come_with_a_power_cycle(a, make):
    vm = make(a, vcpus=1, vcpus_max=4, start=True)
    assert change(vm, count=2, persistent=False).vcpus == 2
    assert change(vm, count=4, live=False).vcpus == 2
    vm.stop()
    assert a.invoke("resources_get", vm=vm.id).vcpus == 4
    vm.start()
    assert change(vm, count=3, persistent=False).vcpus == 3
    assert vm.stop().record.vcpus == 4


def test_the_maximum_bounds_a_running_vm_only(a, make):
    vm = make(a, start=True)
    with pytest.raises(errors.InvalidStateError):
        change(vm, "memory_set", size=2**31)
    vm.stop()
    assert change(vm, "memory_set", size=2**31).memory_max_bytes == 2**31
    with pytest.raises(errors.InvalidStateError):
        change(vm, count=2, persistent=False)


def test_pinning_and_limits_are_kept_and_checked(a, make):
    vm = make(a)
    assert change(vm, "pinning_set", pinning={"0": "0-3,8"}).pinning == {"0": "0-3,8"}
    for bad in ({"7": "0"}, {"0": "64"}, {"0": "x"}, {"0": "3-1"}):
        with pytest.raises(errors.InvalidSpecError):
            change(vm, "pinning_set", pinning=bad)
    change(vm, "limits_set", limits=LimitsSpec(cpu_shares=100))
    limits = change(vm, "limits_set", limits=LimitsSpec(memory_limit="1GiB"))
    assert (limits.cpu_shares, limits.memory_limit_bytes) == (100, 2**30)
