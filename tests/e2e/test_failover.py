"""A real host fails, its BMC switches it off, and its guest runs again on the other host. It never runs twice."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from failover_lab import Copies, with_bmcs

from novacron import Site

pytestmark = pytest.mark.lab


@pytest.fixture
def failed(lab):
    """The first host of the lab. It is switched on again at the end."""
    host = lab.hosts[0]
    yield host
    host.power_on()


BECOMES_QEMU = """
import ctypes, os, sys
if sys.argv[1] == "no name":  # as the kernel shows a process that is just becoming another program
    begin, end = map(int, open("/proc/self/stat").read().rpartition(")")[2].split()[45:47])
    ctypes.memset(begin, 0, end - begin)
print(flush=True)
input()
os.execv("/proc/self/exe", ["qemu-system-x86_64", "-c", "print(flush=True); input()", "the-vm"])
"""


@pytest.mark.parametrize("before", ["libvirtd", "no name"])
def test_a_process_that_becomes_a_qemu_later_is_counted(before):
    """As libvirtd does it: a child that still has its name is replaced by QEMU. Processes that were seen before are not read again."""
    words, pipes = ["libvirtd", "-c", BECOMES_QEMU, before], {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    home = {**os.environ, "PYTHONHOME": sys.base_prefix}  # it does not find its modules by such a name
    copies = Copies("the-vm")
    with subprocess.Popen(words, executable=sys.executable, env=home, **pipes) as child:
        child.stdout.readline()
        copies._look()
        assert (copies._found, copies.now()) == ([], [])
        child.stdin.write("\n")
        child.stdin.flush()
        child.stdout.readline()
        copies._look()
        assert (copies._found, copies.now()) == ([str(child.pid)], [child.pid])
        child.stdin.close()
        child.wait()
        copies._look()
        assert (copies._found, copies.now()) == ([], [])


def test_a_guest_of_a_host_that_fails_runs_again_on_the_other_host_and_never_twice(
    lab, lab_hosts, lab_bmc, boot, failed, tmp_path
):
    vm = boot(lab_hosts[0], "survivor", ticks=0)
    with Site(tmp_path / "state") as site:
        fleet = site.fleet
        with_bmcs(fleet, lab, lab_bmc, failover_after=1)
        assert {(each.status, each.error) for each in fleet.fencing.test()} == {("on", "")}
        [protection] = [each for each in fleet.failover.protection(failed.name) if each.vm == vm.id]
        assert (protection.level, protection.why) == ("C", ())
        controller = fleet.failover.controller(interval=5.0, timeout=10.0)
        controller.round()
        with Copies(vm.id) as copies:
            assert len(copies.now()) == 1
            for pid in (*copies.now(), failed.daemon_pid):
                os.kill(pid, 9)
            stop, said = threading.Event(), []
            deadline = threading.Timer(120, stop.set)
            deadline.start()
            while not stop.is_set() and not any("were restarted" in text for text in said):
                said += controller.round()
                stop.wait(0.4)
            deadline.cancel()
            assert any("1 VMs were restarted" in text for text in said), said
            vm.console.wait_for_more_ticks(120)
            assert len(copies.now()) == 1
        assert copies.most == 1
        assert [each.status for each in fleet.failover[failed.name].vms if each.vm == vm.id] == ["running"]
        assert fleet.vms[vm.id].host.name == lab.hosts[1].name
        assert fleet.nodes[failed.name].status == "fenced"
        assert not failed.powered
        failed.power_on()
        for _ in range(3):
            said += controller.round()
        assert fleet.nodes[failed.name].status == "up", said
        assert "survivor" not in failed.exec("virsh", "list", "--all", "--name").stdout
        assert len(copies.now()) == 1
