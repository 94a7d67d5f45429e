"""Default alert rules on real hosts: each fault is made for real, fires its rule, and its end resolves it."""

import os
import re
import signal
import threading
import time

import libvirt
import pytest

from novacron.monitoring.service import MonitorService
from novacron.site import Site

pytestmark = pytest.mark.lab

FOLDER = "/var/lib/libvirt/alerts"


class Monitoring:
    """The monitoring of both hosts of the lab. Time passes by steps of five minutes."""

    def __init__(self, site, monkeypatch):
        self.alerts, self.clock = site.fleet.alerts, [time.time()]
        monkeypatch.setattr(site.fleet.metrics.storage, "now", lambda: self.clock[0])
        self.service = MonitorService(site.fleet.metrics, alerts=self.alerts, timeout=5.0, say=lambda _: None)
        self.step()
        (self.inspection,) = (source for source in self.service._collector._sources if source.name == "inspection")
        self.inspection._under_way.result(120)
        self.inspection._next = float("inf")  # from now on it reads when the test says so

    def step(self, count=1, *, inspect=False):
        if inspect:
            self.inspection.refresh()
        for _ in range(count):
            self.clock[0] += 300
            assert self.service.step() is not None

    def firing(self, **labels):
        """Return the rules that fire for these labels, and check that each says what to do."""
        found = [one for one in self.alerts.list("firing") if labels.items() <= one.labels.items()]
        assert all(one.annotations["description"] for one in found)
        return {one.rule for one in found}


@pytest.fixture
def small_pool(lab, lab_hosts):
    """A storage pool of 24 MiB that can be enlarged."""
    host, handle = lab.hosts[0], lab_hosts[0]
    host.exec("mkdir", "-p", FOLDER)
    host.exec("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", FOLDER)
    handle.pools.create(name="alerts", type="dir", path=FOLDER)
    yield lambda size: host.exec("mount", "-o", f"remount,size={size}", FOLDER)
    for vm in handle.vms.list(name="alerting"):
        vm.delete(force=True)
    handle.pools.stop("alerts")
    handle.pools.delete("alerts")
    host.exec("umount", FOLDER)


def wait_until(condition, what, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        threading.Event().wait(0.1)


def test_faults_fire_their_rules_and_resolve(lab, lab_hosts, boot, small_pool, wait_for_agent, mended, tmp_path, monkeypatch):
    host = lab_hosts[0]
    vm = boot(host, "alerting", disks=[{"size": "64MiB"}, {"size": "256MiB", "pool": "alerts"}])
    wait_for_agent(vm)
    with Site(tmp_path / "state") as site:
        for handle, machine in zip(lab_hosts, lab.hosts, strict=True):
            site.fleet.add(handle.name, machine.uri)
        monitoring = Monitoring(site, monkeypatch)
        about = {"vm": vm.id}
        monitoring.step(2, inspect=True)
        assert monitoring.firing(**about) == set()

        pool_fills_and_the_vm_is_paused(monitoring, vm, host, small_pool, about)
        a_snapshot_grows_old(monitoring, vm, lab.hosts[0], about)
        the_agent_ends(monitoring, vm, about)
        the_vm_crashes(monitoring, vm, lab.hosts[0], about)
        the_host_hangs(monitoring, lab.hosts[1])
        monitoring.service.close()


def pool_fills_and_the_vm_is_paused(monitoring, vm, host, resize, about):
    pool = {"pool": "alerts", "host": host.name}
    vm.guest.exec("sh", "-c", "dd if=/dev/urandom of=/dev/vdb bs=1M count=40 oflag=direct >/tmp/dd 2>&1 & echo begun")
    wait_until(lambda: vm.refresh().status == "suspended", "the VM is not paused")
    monitoring.step(3, inspect=True)
    assert monitoring.firing(**about) == {"VMPausedOnIOError"}
    assert monitoring.firing(**pool) == {"PoolFilling"}
    resize("128m")
    vm.resume()
    monitoring.step(1, inspect=True)
    assert monitoring.firing(**about) == set()
    assert monitoring.firing(**pool) == set()


def a_snapshot_grows_old(monitoring, vm, machine, about):
    vm.snapshots.create("old", memory=False)
    monitoring.step(1, inspect=True)
    assert monitoring.firing(**about) == set()
    raw = libvirt.open(machine.uri)
    try:
        domain = raw.lookupByUUIDString(vm.id)
        (snapshot,) = domain.listAllSnapshots()
        created = f"<creationTime>{int(time.time()) - 4 * 86400}</creationTime>"
        text = re.sub("<creationTime>.*</creationTime>", created, snapshot.getXMLDesc())
        flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT
        domain.snapshotCreateXML(text, flags)
    finally:
        raw.close()
    monitoring.step(1, inspect=True)
    assert monitoring.firing(**about) == {"SnapshotOld"}
    vm.snapshots["old"].delete()
    monitoring.step(1, inspect=True)
    monitoring.step(1)
    assert monitoring.firing(**about) == set()


def the_agent_ends(monitoring, vm, about):
    vm.guest.exec("sh", "-c", "(sleep 1; kill $(pidof qemu-ga)) >/dev/null 2>&1 </dev/null & echo begun")
    wait_until(lambda: vm.refresh().record.agent_connected is False, "the agent is still connected")
    monitoring.step(6, inspect=True)
    assert monitoring.firing(**about) == {"GuestAgentGone"}
    vm.reset()
    wait_until(lambda: vm.refresh().record.agent_connected, "the agent is not connected again")
    monitoring.step(1, inspect=True)
    assert monitoring.firing(**about) == set()


def the_vm_crashes(monitoring, vm, machine, about):
    """A backup program had created a checkpoint. The bitmap of the disk is lost when QEMU is killed."""
    raw = libvirt.open(machine.uri)
    domain = raw.lookupByUUIDString(vm.id)
    disks = "<disk name='vda' checkpoint='bitmap'/><disk name='vdb' checkpoint='no'/>"
    domain.checkpointCreateXML(f"<domaincheckpoint><name>backup</name><disks>{disks}</disks></domaincheckpoint>")
    monitoring.step(1, inspect=True)
    assert monitoring.firing(**about) == set()
    os.kill(qemu_of(machine, vm), signal.SIGKILL)
    wait_until(lambda: vm.refresh().status == "crashed", "the VM did not crash")
    monitoring.step(1)
    assert monitoring.firing(**about) == {"VMCrashed"}
    vm.start()
    monitoring.step(1, inspect=True)
    assert monitoring.firing(**about) == {"CheckpointBroken"}
    assert [one.broken for one in vm.snapshots.checkpoints()] == [True]
    for checkpoint in domain.listAllCheckpoints():
        checkpoint.delete(libvirt.VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY)
    raw.close()
    monitoring.step(2, inspect=True)
    assert monitoring.firing(**about) == set()


def the_host_hangs(monitoring, machine):
    machine.freeze_daemon()
    monitoring.step(3)
    assert monitoring.firing(host=machine.name) == {"HostUnreachable"}
    machine.thaw_daemon()

    def resolved():
        monitoring.step(1)
        return not monitoring.firing(host=machine.name, alertname="HostUnreachable")

    wait_until(resolved, "the host is still unreachable")


def qemu_of(machine, vm):
    return next(pid for pid in machine.processes() if f"uuid {vm.id}" in command_line(pid))


def command_line(pid):
    try:
        return open(f"/proc/{pid}/cmdline", "rb").read().replace(b"\0", b" ").decode()
    except OSError:
        return ""
