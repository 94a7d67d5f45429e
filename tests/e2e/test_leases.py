"""Leases at the disk (protection level A), with the virtlockd of each host: they hold where the storage has no locks between hosts."""

import os
import sys
import threading
from pathlib import Path

import libvirt
import pytest

import novacron
from novacron import Site, errors
from novacron_lab import Lab

sys.path.insert(0, str(Path(__file__).parent))
from failover_lab import Copies, with_bmcs
from storage_network import StorageNetwork

pytestmark = pytest.mark.lab


@pytest.fixture
def lab(secret_search):
    """Two hosts with virtlockd, for this test alone: usually the hosts of the tests have none."""
    made = Lab.up(hosts=2, name=f"leases-{os.getpid()}", temporary=True, leases=True)
    yield made
    made.down()


@pytest.fixture
def lab_hosts(lab):
    connected = [novacron.connect(host.uri, name=host.name) for host in lab.hosts]
    yield connected
    for host in connected:
        host.close()


@pytest.fixture
def disk(lab):
    """A disk without locks between hosts: only the lease keeps a second VM from it."""
    made = StorageNetwork(lab, "leased.raw", 2**20)
    yield made
    made.close()


def virtlockd(host):
    """The number of the host's virtlockd; None if it has none."""
    found = [pid for pid in host.processes() if Path(f"/proc/{pid}/comm").read_text().strip() == "virtlockd"]
    assert len(found) < 2
    return found[0] if found else None


def test_the_lease_keeps_the_second_copy_away_until_the_host_has_no_power(lab, lab_hosts, lab_bmc, disk, boot, tmp_path):
    (first, second), (here, there) = lab.hosts, lab_hosts
    disks = [{"path": str(disk.file), "format": "raw", "cache": "none"}]
    vm = boot(here, "leased", ticks=0, kernel=None, disks=disks)
    copy = tmp_path / "copy.xml"
    copy.write_text(first.exec("virsh", "dumpxml", "leased", "--inactive").stdout)
    assert second.exec("virsh", "define", str(copy)).returncode == 0
    start_copy = lambda: second.exec("virsh", "start", "leased")  # noqa: E731

    assert there.lock_manager() == "virtlockd"

    # while it runs, no tool starts a copy elsewhere, and NovaCron sees the lease
    assert "is locked" in start_copy().stderr
    with pytest.raises(errors.DiskLockedError) as caught:
        there.vms["leased"].start()
    assert caught.value.__cause__.get_error_code() == libvirt.VIR_ERR_RESOURCE_BUSY
    assert there.pools.volume_locked("leased.raw")

    # the lease belongs to virtlockd, not to libvirtd
    keeper = virtlockd(first)
    first.kill_daemon()
    assert "is locked" in start_copy().stderr
    first.restart_daemon()
    assert "is locked" in start_copy().stderr
    assert virtlockd(first) == keeper

    # libvirt releases the lease of a paused VM
    vm.suspend()
    assert not there.pools.volume_locked("leased.raw")
    assert start_copy().returncode == 0
    with pytest.raises(errors.DiskLockedError):
        vm.resume()
    there.vms["leased"].stop()
    there.vms["leased"].delete(keep_disks=True)
    vm.resume()
    assert there.pools.volume_locked("leased.raw")

    # without power there is no lease, and failover starts the VM
    with Site(tmp_path / "state") as site, Copies(vm.id) as copies:
        fleet = site.fleet
        with_bmcs(fleet, lab, lab_bmc, failover_after=1, storage_lease="virtlockd")
        controller, said = fleet.failover.controller(interval=5.0, timeout=10.0), []
        controller.round()
        assert [(each.level, each.why) for each in fleet.failover.protection(first.name)] == [("A", ())]
        first.power_off()
        assert virtlockd(first) is None
        assert not there.pools.volume_locked("leased.raw")
        pause, rounds = threading.Event(), 0
        while not any("were restarted" in text for text in said):
            assert (rounds := rounds + 1) < 100, said
            said += controller.round()
            pause.wait(0.4)
        assert "running" in second.exec("virsh", "domstate", "leased").stdout
        assert copies.most == 1

    # the host that returns meets the lease of the copy that runs
    first.power_on()
    assert virtlockd(first)
    disk.attach(first)
    assert "is locked" in first.exec("virsh", "start", "leased").stderr
    assert copies.most == 1
