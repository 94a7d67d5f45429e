"""A real host fails, its BMC switches it off, and its guest runs again on the other host. It never runs twice."""

import os
import threading

import pytest

from novacron import Site

pytestmark = pytest.mark.lab


class Copies:
    """Counts the QEMU processes of a VM every 50 ms, in a thread."""

    def __init__(self, vm_id):
        self._wanted, self._stop, self.most = vm_id.encode(), threading.Event(), 0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(60)

    def _watch(self):
        while not self._stop.wait(0.05):
            self.most = max(self.most, len(self.now()))

    def now(self):
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue  # it has ended
            if words[0].rpartition(b"/")[2].startswith(b"qemu-system") and self._wanted in words:
                found.append(int(pid))
        return found


@pytest.fixture
def failed(lab):
    """The first host of the lab. It is switched on again at the end."""
    host = lab.hosts[0]
    yield host
    host.power_on()


def test_a_guest_of_a_host_that_fails_runs_again_on_the_other_host_and_never_twice(
    lab, lab_hosts, boot, failed, tmp_path, monkeypatch, secret_search
):
    bmc = lab.start_bmc()
    secret_search.add("bmc", bmc.password)
    monkeypatch.setenv("NOVACRON_SECRET_LAB_BMC", bmc.password)
    vm = boot(lab_hosts[0], "survivor", ticks=0)
    with Site(tmp_path / "state") as site:
        fleet = site.fleet
        for host in lab.hosts:
            fleet.add(host.name, host.uri)
        fleet.nodes.refresh()
        for host in lab.hosts:
            fleet.nodes.set(host.name, group="lab", memory_ratio=4, vcpus_ratio=64)
            fleet.fencing.set(host.name, "redfish", **bmc.options(host.name, "lab-bmc"))
        fleet.groups.set("lab", failover="on", failover_after=1, failover_grace=0, shared_pools=["default"])
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
