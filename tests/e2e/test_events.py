"""What happens to real guests is told: devices, jobs, the agent, errors of the storage."""

import time

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]


@pytest.fixture
def told(lab_hosts):
    """Return a function that waits for an event of a VM, and all that was heard."""
    heard = []
    subscription = lab_hosts[0].subscribe(heard.append)

    def wait(vm, kind, reason, seconds=30, having=None):
        deadline = time.monotonic() + seconds
        while True:
            for event in heard:
                if (event.id, event.kind, event.reason) == (vm.id, kind, reason) and (having is None or having in event.data):
                    return event
            assert time.monotonic() < deadline, [(e.kind, e.reason, e.data) for e in heard if e.id == vm.id]
            time.sleep(0.05)

    wait.heard = heard
    yield wait
    subscription.close()


def test_devices_jobs_and_the_agent(lab_hosts, boot, told):
    a, b = lab_hosts
    vm = boot(a, "telling", ticks=1, memory="128MiB")
    told(vm, "vm.agent", "connected")
    vm.disks.attach(size="16MiB")
    attached = told(vm, "vm.device", "attached")
    assert attached.data["device"]
    vm.disks["vdb"].detach()
    assert told(vm, "vm.device", "detached").data["device"] == attached.data["device"]
    vm.snapshots.create("one", memory=False)
    vm.snapshots["one"].delete()
    ready = told(vm, "vm.job", "ready")
    assert (ready.data["device"], ready.data["job"]) == ("vda", "active commit")
    vm.reset()
    told(vm, "vm.reboot", "")
    vm.migrate(b)
    assert told(vm, "vm.job", "completed", having="memory_total").data["memory_total"] > 2**20
    assert not [e for e in told.heard if (e.resource or "").startswith("novacron-merge-")]


def test_a_pool_that_is_full_halts_the_guest_and_says_why(lab, lab_hosts, boot, told, wait_for_agent):
    """A thin disk grows until its file system is full: the guest is halted, told with the reason, and goes on once there is space."""
    a, host = lab_hosts[0], lab.hosts[0]
    folder = "/var/lib/libvirt/small"
    host.exec("mkdir", "-p", folder)
    host.exec("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder)
    a.pools.create(name="small", type="dir", path=folder)
    try:
        vm = boot(a, "greedy", ticks=1, disks=[{"size": "64MiB"}, {"size": "256MiB", "pool": "small"}])
        wait_for_agent(vm)
        vm.guest.exec("sh", "-c", "dd if=/dev/urandom of=/dev/vdb bs=1M count=40 oflag=direct >/tmp/dd 2>&1 & echo begun")
        error = told(vm, "vm.io_error", "enospc", 60)
        assert error.data["path"].startswith(folder)
        assert error.data["action"] == "pause"
        deadline = time.monotonic() + 60
        while vm.refresh().status != "suspended":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert vm.record.status_reason == "ioerror"
        host.exec("mount", "-o", "remount,size=96m", folder)
        vm.resume()
        vm.console.wait_for_more_ticks()
        deadline = time.monotonic() + 60
        while "40+0 records out" not in vm.guest.read("/tmp/dd").decode():
            assert time.monotonic() < deadline
            time.sleep(0.2)
        vm.delete(force=True)
    finally:
        a.pools.stop("small")
        a.pools.delete("small")
        host.exec("umount", folder)
