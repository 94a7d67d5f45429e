"""CPU and memory of real VMs: live, persistent, or both, and read back."""

import pytest

from novacron import errors

pytestmark = pytest.mark.lab
MIB = 2**20


def test_vcpus_are_added_to_a_running_guest_and_the_guest_sees_them(lab_hosts, boot):
    host = lab_hosts[0]
    vm = boot(host, "growing", vcpus=1, vcpus_max=2)
    found = host.invoke("vcpus_set", vm=vm.id, count=2, live=True, persistent=False)
    assert (found.vcpus, found.vcpus_max) == (2, 2)
    assert vm.refresh().record.vcpus == 2
    vm.stop().start()
    assert vm.record.vcpus == 1, "a live change ends with the power cycle"
    with pytest.raises(errors.InvalidSpecError, match="at most 2 while it runs"):
        host.invoke("vcpus_set", vm=vm.id, count=3, live=True, persistent=True)
    assert host.invoke("vcpus_set", vm=vm.id, count=3, live=False, persistent=True).vcpus == 1, "not before the next start"
    vm.stop().start()
    assert vm.record.vcpus == 3


def test_the_balloon_takes_memory_from_a_running_guest(lab_hosts, boot):
    host = lab_hosts[0]
    vm = boot(host, "shrinking", memory="128MiB")
    host.invoke("memory_set", vm=vm.id, size=96 * MIB, live=True, persistent=False)
    vm.console.wait_until(lambda: host.invoke("resources_get", vm=vm.id).memory_bytes == 96 * MIB, 20, "96 MiB")
    vm.console.wait_for_more_ticks()
    with pytest.raises(errors.InvalidSpecError, match="while it runs"):
        host.invoke("memory_set", vm=vm.id, size=256 * MIB, live=True, persistent=False)
    host.invoke("memory_set", vm=vm.id, size=256 * MIB, live=False, persistent=True)
    vm.stop()
    found = host.invoke("resources_get", vm=vm.id)
    assert (found.memory_bytes, found.memory_max_bytes) == (256 * MIB, 256 * MIB)


def test_vcpus_and_the_emulator_are_pinned_to_cpus_of_the_host(lab, lab_hosts, boot):
    host = lab_hosts[0]
    vm = boot(host, "pinned", vcpus=2, ticks=0)
    found = host.invoke("pinning_set", vm=vm.id, pinning={"0": "0", "1": "1", "emulator": "0-1"}, live=True, persistent=True)
    assert found.pinning == {"0": "0", "1": "1", "emulator": "0-1"}
    told = lab.hosts[0].exec("virsh", "vcpupin", "pinned").stdout.split()
    assert told[-4:] == ["0", "0", "1", "1"]
    for bad in ({"7": "0"}, {"0": "99"}, {"0": "x"}, {"0": "1-"}):
        with pytest.raises(errors.InvalidSpecError, match=r"pinning"):
            host.invoke("pinning_set", vm=vm.id, pinning=bad, live=True, persistent=False)


def test_a_stopped_vm_can_only_be_changed_persistently(lab_hosts, boot):
    host = lab_hosts[0]
    vm = boot(host, "resting", ticks=0, start=False)
    with pytest.raises(errors.InvalidStateError, match="stopped") as caught:
        host.invoke("vcpus_set", vm=vm.id, count=1, live=True, persistent=False)
    assert caught.value.hint
    with pytest.raises(errors.InvalidSpecError, match="live, persistent or both"):
        host.invoke("vcpus_set", vm=vm.id, count=1, live=False, persistent=False)


def test_limits_are_kept_in_the_definition_and_guarantees_refused(lab_hosts, boot):
    from novacron.specs import LimitsSpec

    host = lab_hosts[0]
    vm = boot(host, "limited", ticks=0, start=False)
    limits = LimitsSpec(cpu_shares=512, cpu_limit_percent=50, memory_limit="512MiB")
    found = host.invoke("limits_set", vm=vm.id, limits=limits, live=False, persistent=True)
    assert (found.cpu_shares, found.cpu_limit_percent, found.memory_limit_bytes) == (512, 50.0, 512 * MIB)
    lifted = LimitsSpec(cpu_limit_percent=None, memory_limit=None)
    found = host.invoke("limits_set", vm=vm.id, limits=lifted, live=False, persistent=True)
    assert (found.cpu_shares, found.cpu_limit_percent, found.memory_limit_bytes) == (512, None, None)
    with pytest.raises(errors.UnsupportedOperationError, match="cpu_guarantee_mhz"):
        host.invoke("limits_set", vm=vm.id, limits=LimitsSpec(cpu_guarantee_mhz=100), live=False, persistent=True)
