"""CPU, memory and I/O of real VMs: live, persistent, or both, read back, and proved in the guest and in the kernel."""

import re
from pathlib import Path

import pytest

from novacron import errors
from novacron_lab import cgroups

pytestmark = pytest.mark.lab
MIB = 2**20


def test_vcpus_are_added_to_a_running_vm_and_at_its_next_start(lab_hosts, boot):
    host = lab_hosts[0]
    vm = boot(host, "growing", vcpus=1, vcpus_max=2, ticks=0, kernel=None)
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
    vm = boot(host, "pinned", vcpus=2, ticks=0, kernel=None)
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


def test_what_is_in_force_and_what_holds_after_the_next_start_are_told_apart(lab_hosts, boot):
    vm = boot(lab_hosts[0], "both", vcpus=1, vcpus_max=3, ticks=0, kernel=None)
    assert vm.resources.read().next_start is None
    found = vm.resources.set_vcpus(2, persistent=False)
    assert (found.vcpus, found.next_start.vcpus) == (2, 1)
    found = vm.resources.set_vcpus(3, live=False)
    assert (found.vcpus, found.next_start.vcpus) == (2, 3)
    found = vm.resources.set_vcpus(2)
    assert (found.vcpus, found.next_start) == (2, None)


# --- memory modules ---


def memory_of(vm):
    """Return the bytes that the guest itself has; its firmware and kernel keep some."""
    lines = vm.guest.exec("/bin/cat", "/proc/meminfo").stdout.decode().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("MemTotal"))) * 1024


@pytest.fixture(scope="module")
def growing(lab, lab_hosts, boot_shared, wait_for_agent):
    """A guest to which memory can be added, and which can let go of it again."""
    kernel = {"path": str(lab.guest.kernel), "initrd": str(lab.guest.initrd)}
    kernel["command_line"] = f"{lab.guest.command_line} memhp_default_state=online_movable"
    vm = boot_shared(lab_hosts[0], "modules", memory="256MiB", max_memory="1GiB", kernel=kernel, ticks=1)
    wait_for_agent(vm)
    return vm


def test_a_module_that_the_guest_lets_go_of_is_gone(growing):
    vm = growing
    before = memory_of(vm)
    vm.resources.set_memory("384MiB", persistent=False)
    vm.console.wait_until(lambda: memory_of(vm) >= before + 120 * MIB, 60, "more memory in the guest")
    found = vm.resources.set_memory("256MiB", persistent=False)
    assert (found.memory_modules, found.memory_max_bytes, found.next_start) == ((), 256 * MIB, None)
    vm.console.wait_until(lambda: memory_of(vm) <= before + 16 * MIB, 60, "less memory in the guest")


def test_memory_is_added_to_a_running_guest_and_there_after_its_next_start(growing):
    vm = growing
    before = memory_of(vm)
    found = vm.resources.set_memory("512MiB")
    assert (found.memory_modules, found.memory_max_bytes, found.max_memory_bytes) == ((256 * MIB,), 512 * MIB, 1024 * MIB)
    vm.console.wait_until(lambda: memory_of(vm) >= before + 240 * MIB, 60, "more memory in the guest")
    assert vm.resources.read().next_start is None, "both now and after the next start"
    vm.stop().start()
    found = vm.resources.read()
    assert (found.memory_modules, found.memory_max_bytes) == ((256 * MIB,), 512 * MIB)


def test_a_module_that_the_guest_keeps_is_left_to_the_balloon(lab, lab_hosts, boot, wait_for_agent):
    """Without being told so, Linux puts what can't be moved into new memory too, or never takes it into use."""
    vm = boot(lab_hosts[0], "keeping", memory="256MiB", max_memory="1GiB", ticks=1)
    wait_for_agent(vm)
    vm.suspend()
    found = vm.resources.set_memory("384MiB", persistent=False)
    assert found.memory_modules == (128 * MIB,)
    found = vm.resources.set_memory("256MiB", persistent=False)
    assert found.memory_modules == (128 * MIB,), "a halted guest lets go of nothing"
    vm.resume()
    vm.console.wait_for_more_ticks()


@pytest.mark.parametrize(("size", "said"), [("2GiB", "at most 1073741824"), ("300MiB", "whole 128 MiB")])
def test_memory_that_can_not_be_added_is_refused_and_nothing_changes(lab_hosts, boot, size, said):
    vm = boot(lab_hosts[0], "grown-up", memory="256MiB", max_memory="1GiB", kernel=None, ticks=0)
    before = vm.resources.read()
    for places in ({}, {"live": False}, {"persistent": False}):
        with pytest.raises(errors.InvalidSpecError, match=said):
            vm.resources.set_memory(size, **places)
    assert vm.resources.read() == before


def test_a_stopped_vm_gets_and_loses_modules_too(lab_hosts, boot):
    vm = boot(lab_hosts[0], "shelf", memory="256MiB", max_memory="1GiB", ticks=0, start=False)
    found = vm.resources.set_memory("512MiB")
    assert (found.memory_bytes, found.memory_modules) == (512 * MIB, (256 * MIB,))
    assert vm.update(memory="640MiB").record.memory_bytes == 640 * MIB
    assert vm.resources.read().memory_modules == (256 * MIB, 128 * MIB)
    found = vm.resources.set_memory("256MiB")
    assert (found.memory_bytes, found.memory_max_bytes, found.memory_modules) == (256 * MIB, 256 * MIB, ())
    assert vm.start().record.memory_bytes == 256 * MIB


def test_a_vm_of_a_template_with_modules_has_the_memory_that_was_asked(lab_hosts, boot):
    host = lab_hosts[0]
    vm = boot(host, "shelved", memory="256MiB", max_memory="1GiB", ticks=0, start=False)
    vm.resources.set_memory("384MiB")
    host.templates.create(vm, "with-modules", seal=False)
    made = host.templates.deploy("with-modules", "from-modules", linked=False, memory="512MiB", vcpus=2, start=True)
    try:
        found = made.resources.read()
        assert (found.memory_max_bytes, found.memory_modules, found.vcpus) == (512 * MIB, (), 2)
        assert made.resources.set_memory("640MiB", persistent=False).memory_modules == (128 * MIB,)
    finally:
        made.delete(force=True)
        host.templates.delete("with-modules")


# --- I/O threads ---


def test_io_threads_come_and_go_and_are_pinned(lab, lab_hosts, boot):
    vm = boot(lab_hosts[0], "threads", ticks=0, kernel=None)
    found = vm.resources.set_iothreads(2)
    assert (found.iothreads, found.next_start) == ((1, 2), None)
    found = vm.resources.pin({"iothread2": "1", "emulator": "0"})
    assert found.pinning == {"iothread2": "1", "emulator": "0"}
    if cgroups.available():
        (group,) = lab.hosts[0].cgroup("cpuset").glob("machine/*threads*")
        assert (group / "iothread2" / "cpuset.cpus").read_text().strip() == "1"
        assert (group / "emulator" / "cpuset.cpus").read_text().strip() == "0"
    assert vm.resources.pin({"emulator": ""}).pinning.get("emulator") in (None, "0-1")
    with pytest.raises(errors.InvalidSpecError, match="iothread3"):
        vm.resources.pin({"iothread3": "0"})
    found = vm.resources.set_iothreads(1)
    assert (found.iothreads, found.next_start) == ((1,), None)
    assert vm.resources.set_iothreads(0).iothreads == ()


# --- limits ---

grouped = pytest.mark.skipif(not cgroups.available(), reason="this machine has no control groups that the lab may divide")
ALL = {
    "cpu_shares": 512,
    "cpu_limit_percent": 150,
    "vcpu_limit_percent": 40,
    "emulator_limit_percent": 80,
    "cpu_period_us": 50_000,
    "memory_limit": "600MiB",
    "memory_soft_limit": "400MiB",
    "memory_swap_limit": "800MiB",
}
IN_FORCE = {
    "cpu/cpu.shares": "512",
    "cpu/cpu.cfs_quota_us": "75000",
    "cpu/cpu.cfs_period_us": "50000",
    "cpu/vcpu0/cpu.cfs_quota_us": "20000",
    "cpu/emulator/cpu.cfs_quota_us": "40000",
    "memory/memory.limit_in_bytes": str(600 * MIB),
    "memory/memory.soft_limit_in_bytes": str(400 * MIB),
    "memory/memory.memsw.limit_in_bytes": str(800 * MIB),
}


def kernel_says(host, vm, file):
    """Return what the kernel keeps of a VM's group, by "CONTROLLER/FILE"."""
    controller, _, rest = file.partition("/")
    (group,) = host.cgroup(controller).glob(f"machine/*{vm.name}*")
    return (group / rest).read_text().strip()


@grouped
def test_limits_of_a_running_vm_are_in_the_kernels_files(lab, lab_hosts, boot):
    vm = boot(lab_hosts[0], "limited", ticks=1)
    before = {file: kernel_says(lab.hosts[0], vm, file) for file in IN_FORCE}
    found = vm.resources.limit(**ALL)
    assert {file: kernel_says(lab.hosts[0], vm, file) for file in IN_FORCE} == IN_FORCE
    assert (found.cpu_limit_percent, found.vcpu_limit_percent, found.emulator_limit_percent) == (150, 40, 80)
    assert (found.cpu_period_us, found.memory_soft_limit_bytes, found.next_start) == (50_000, 400 * MIB, None)
    vm.console.wait_for_more_ticks()
    lifted = dict.fromkeys(ALL, None) | {"cpu_shares": 1024, "cpu_period_us": 100_000}
    vm.resources.limit(**lifted, persistent=False)
    assert {file: kernel_says(lab.hosts[0], vm, file) for file in IN_FORCE} == before
    assert vm.resources.read().next_start.memory_limit_bytes == 600 * MIB
    with pytest.raises(errors.InvalidSpecError) as caught:
        vm.resources.limit(cpu_limit_percent=20, emulator_limit_percent=50)
    assert "than all of the VM" in caught.value.hint
    assert {file: kernel_says(lab.hosts[0], vm, file) for file in IN_FORCE} == before


@grouped
def test_limits_of_the_definition_are_in_force_after_a_start(lab, lab_hosts, boot):
    """Those of memory only where libvirtd may let QEMU lock as much, which it asks for."""
    vm = boot(lab_hosts[0], "limited-later", ticks=0, kernel=None)
    daemon = Path(f"/proc/{lab.hosts[0].daemon_pid}/status").read_text()
    resource = 1 << 24
    able = int(re.search(r"CapEff:\s*(\w+)", daemon).group(1), 16) & resource
    memory = [name for name in ALL if name.startswith("memory")]
    vm.resources.limit(**ALL, live=False)
    vm.stop()
    if not able:
        with pytest.raises(errors.ResourceAllocationError, match="locked memory") as caught:
            vm.start()
        assert "CAP_SYS_RESOURCE" in caught.value.hint
        vm.resources.limit(**dict.fromkeys(memory, None))
    vm.start()
    expected = {file: value for file, value in IN_FORCE.items() if able or not file.startswith("memory")}
    assert {file: kernel_says(lab.hosts[0], vm, file) for file in expected} == expected


@grouped
def test_a_limit_of_cpu_holds_what_a_busy_guest_takes(lab, lab_hosts, boot):
    """The guest dirties memory without end: all of a CPU without a limit, a fifth of one with it."""
    vm = boot(lab_hosts[0], "throttled", load=16, ticks=1)
    vm.resources.limit(cpu_limit_percent=20, persistent=False)
    before = vm.metrics()
    vm.console.wait_until(lambda: vm.metrics().since(before).seconds > 4, 20, "4 s")
    assert vm.metrics().since(before).cpus < 0.3


@grouped
def test_io_of_a_running_vm_is_weighed_and_limited_on_the_hosts_devices(lab, lab_hosts, boot):
    host = lab.hosts[0]
    device = next(
        Path("/dev", path.name) for path in sorted(Path("/sys/block").iterdir()) if Path("/dev", path.name).is_block_device()
    )
    vm = boot(lab_hosts[0], "weighed", ticks=0, kernel=None)
    limits = {"read_bytes_per_second": "2MiB/s", "write_iops": 500}
    found = vm.resources.limit(io_weight=300, devices={str(device): limits})
    assert found.devices == {str(device): {"read_bytes_per_second": 2 * MIB, "write_iops": 500}}
    assert (found.io_weight, found.next_start) == (300, None)
    assert kernel_says(host, vm, "blkio/blkio.bfq.weight") == "300"
    assert kernel_says(host, vm, "blkio/blkio.throttle.read_bps_device").endswith(f" {2 * MIB}")
    assert kernel_says(host, vm, "blkio/blkio.throttle.write_iops_device").endswith(" 500")
    assert vm.resources.limit(devices={str(device): {"read_bytes_per_second": 0}}).devices == {str(device): {"write_iops": 500}}
    assert kernel_says(host, vm, "blkio/blkio.throttle.read_bps_device") == ""


def test_disks_are_limited_in_each_place_and_read_back(lab, lab_hosts, boot):
    vm = boot(lab_hosts[0], "disks-limited", ticks=0, kernel=None)
    found = vm.resources.limit(disks={"vda": {"total_iops": 50, "read_bytes_per_second": "1MiB/s"}}, persistent=False)
    assert found.disks == {"vda": {"total_iops": 50, "read_bytes_per_second": MIB}}
    assert found.next_start.disks == {}
    told = lab.hosts[0].exec("virsh", "blkdeviotune", vm.name, "vda").stdout
    assert "total_iops_sec : 50" in told
    found = vm.resources.limit(disks={"vda": {"total_iops": 0}})
    assert found.disks == {"vda": {"read_bytes_per_second": MIB}}
    with pytest.raises(errors.InvalidSpecError, match="either a total"):
        vm.resources.limit(disks={"vda": {"total_bytes_per_second": "1MiB/s"}})
    for absent in ({"disks": {"vdz": {"total_iops": 1}}}, {"nics": {"52:54:00:00:00:01": {"inbound_bytes_per_second": 1024}}}):
        with pytest.raises(errors.DeviceNotFoundError, match=r"vdz|52:54"):
            vm.resources.limit(**absent)
    assert vm.refresh().status == "running"


def test_nics_are_limited_in_the_definition_and_live_where_the_kernel_can(lab, lab_hosts, boot):
    vm = boot(lab_hosts[0], "nics-limited", ticks=0, kernel=None, nics=[{"network": "default"}])
    (mac,) = [nic.mac for nic in vm.record.nics]
    limits = {mac.upper(): {"inbound_bytes_per_second": "2MiB/s", "outbound_bytes_per_second": "1MiB/s"}}
    kept = {mac: {"inbound_bytes_per_second": 2 * MIB, "outbound_bytes_per_second": MIB}}
    tc = (
        "ip link add q1 type dummy && tc qdisc add dev q1 root handle 1: htb && tc qdisc add dev q1 root handle 2: sfq perturb 10"
    )
    able = lab.hosts[0].exec("sh", "-c", f"{tc}; found=$?; ip link delete q1; exit $found").returncode == 0
    before = vm.resources.read()
    if able:
        found = vm.resources.limit(nics=limits)
        assert (found.nics, found.next_start) == (kept, None)
    else:
        with pytest.raises(errors.UnsupportedOperationError, match="qdisc") as caught:
            vm.resources.limit(nics=limits)
        assert "kernel" in caught.value.hint
        assert vm.resources.read() == before
        assert vm.resources.limit(nics=limits, live=False).next_start.nics == kept
    lifted = {mac: {"inbound_bytes_per_second": 0}}
    found = vm.resources.limit(nics=lifted, live=False)
    assert (found.next_start or found).nics == {mac: {"outbound_bytes_per_second": MIB}}


@grouped
def test_limits_of_which_one_can_not_be_in_force_change_nothing(lab, lab_hosts, boot):
    """A device that is not there comes last: what was before it is taken back, in the kernel and in the definition."""
    vm = boot(lab_hosts[0], "unlimited", ticks=0, kernel=None)
    before = vm.export().text, {file: kernel_says(lab.hosts[0], vm, file) for file in IN_FORCE}
    with pytest.raises(errors.NovaCronError) as caught:
        vm.resources.limit(**ALL, io_weight=200, devices={"/dev/no-such-device": {"read_iops": 5}})
    assert not isinstance(caught.value, errors.DriverError), caught.value
    assert (vm.export().text, {file: kernel_says(lab.hosts[0], vm, file) for file in IN_FORCE}) == before


def test_a_host_without_control_groups_keeps_limits_and_refuses_them_live(lab, lab_hosts, boot):
    host = lab.hosts[1]
    file = Path(host.folder) / "etc-libvirt" / "qemu.conf"
    with_groups = file.read_text()
    file.write_text(with_groups.replace("cgroup_controllers = [", "cgroup_controllers = [] #"))
    try:
        host.kill_daemon()
        host.restart_daemon()
        vm = boot(lab_hosts[1], "ungrouped", ticks=0, kernel=None)
        before = vm.resources.read()
        for limits in ({"cpu_shares": 512}, {"memory_limit": "512MiB"}, {"io_weight": 300}):
            with pytest.raises(errors.UnsupportedOperationError) as caught:
                vm.resources.limit(**limits)
            assert "persistently" in caught.value.hint
        assert vm.resources.read() == before, "neither in force nor in the definition"
        kept = vm.resources.limit(
            cpu_shares=512, vcpu_limit_percent=50, memory_limit="512MiB", io_weight=300, live=False
        ).next_start
        assert (kept.cpu_shares, kept.vcpu_limit_percent, kept.memory_limit_bytes, kept.io_weight) == (512, 50, 512 * MIB, 300)
        vm.delete(force=True)
    finally:
        file.write_text(with_groups)
        host.kill_daemon()
        host.restart_daemon()


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
    with pytest.raises(errors.InvalidSpecError, match="cpu_guarantee_mhz") as refused:
        host.invoke("limits_set", vm=vm.id, limits=LimitsSpec(cpu_guarantee_mhz=100), live=False, persistent=True)
    assert refused.value.outcome == "not_sent"
    assert host.vms[vm.id].resources.read().cpu_shares == 512
