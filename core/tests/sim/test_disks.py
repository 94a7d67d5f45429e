"""Disks and NICs of VMs."""

import pytest

from novacron import errors


def test_disks_are_attached_grown_limited_and_detached(a, make, volumes):
    vm = make(a, start=True)
    disk = vm.disks.attach(size="1GiB")
    assert disk.record.target == "vda"
    assert disk.resize("2GiB").record.size_bytes == 2**31
    disk.limit(read_iops=100)
    with pytest.raises(errors.InvalidSpecError, match=r"got '1 GiB \(.*\)', allowed: at least 2 GiB \(2147483648 bytes\)"):
        disk.resize("1GiB")
    with pytest.raises(errors.AlreadyExistsError):
        vm.disks.attach(size="1GiB", target="vda")
    assert disk.detach(delete=True).record.disks == ()
    assert volumes(a) == []


@pytest.mark.parametrize("mode", ["backing", "full"])
def test_a_disk_is_not_smaller_than_its_image(a, make, volumes, mode):
    """Neither is its content cut off, nor the size that was asked silently ignored."""
    a.pools.create_volume("default", name="image", capacity="8MiB")
    with pytest.raises(errors.InvalidSpecError, match="at least the size of the image, 8") as caught:
        make(a, disks=[{"source": "image:image", "copy_mode": mode, "size": "4MiB"}])
    assert caught.value.problems[0].path == "size"
    assert (volumes(a), a.vms.list().total) == (["image"], 0)
    for size, expected in ((None, 8), ("8MiB", 8), ("9MiB", 9)):
        vm = make(a, name=f"of-{size}", disks=[{"source": "image:image", "copy_mode": mode, "size": size}])
        assert vm.refresh().record.disks[0].size_bytes == expected * 2**20


def test_a_detached_disk_that_is_kept_outlives_the_vm(a, make, volumes):
    vm = make(a, disks=[{"size": "1GiB"}])
    vm.disks["vda"].detach()
    vm.delete()
    assert volumes(a) == ["web1-vda.qcow2"]


def test_a_disk_that_a_snapshot_needs_is_not_deleted(a, make, volumes):
    vm = make(a, disks=[{"size": "1GiB"}])
    vm.snapshots.create("one")
    with pytest.raises(errors.InvalidStateError):
        vm.disks["vda"].detach(delete=True)
    vm.disks["vda"].detach()
    assert vm.snapshots["one"].revert().record.disks[0].target == "vda"
    vm.delete()
    assert volumes(a) == []


def test_there_may_be_more_disks_than_letters(a, make):
    vm = make(a, disks=[{"size": "1MiB"}] * 27)
    assert [d.target for d in vm.record.disks][-2:] == ["vdz", "vdaa"]


def test_a_disk_attached_after_a_revert_gets_a_volume_of_its_own(a, make, volumes):
    vm = make(a)
    vm.snapshots.create("one")
    vm.disks.attach(size="1GiB")
    vm.snapshots["one"].revert()
    assert vm.disks.attach(size="1GiB").record.volume == "web1-vda-2.qcow2"
    vm.delete()
    assert volumes(a) == []


def test_two_running_vms_never_share_a_disk_unless_told(a, make):
    a.pools.create_volume(name="data", capacity="1GiB")
    make(a, disks=[{"path": "/sim/default/data"}], start=True)
    with pytest.raises(errors.DiskLockedError):
        make(a, "web2", disks=[{"path": "/sim/default/data"}], start=True)
    assert "web2" not in a.vms
    with pytest.raises(errors.DiskLockedError):
        make(a, "web3", start=True).disks.attach(path="/sim/default/data")
    make(a, "web4", disks=[{"path": "/sim/default/data", "read_only": True}], start=True)


def test_no_two_vms_write_one_volume_also_while_they_are_stopped(a, make):
    vm = make(a, disks=[{"size": "1GiB"}])
    path = vm.record.disks[0].source
    other = make(a, "web2")
    for use in (
        lambda: make(a, "web3", disks=[{"path": path}]),
        lambda: other.disks.attach(path=path),
        lambda: make(a, "web3", disks=[{"source": path}]),
    ):
        with pytest.raises(errors.DiskLockedError, match="'web1'"):
            use()
    other.disks.attach(path=path, read_only=True).detach()
    make(a, "web3", disks=[{"source": path, "copy_mode": "full"}])
    vm.snapshots.create("one")
    vm.disks["vda"].detach()
    assert vm.disks.attach(path=path).record.source == path


def test_media_are_changed_and_ejected(a, make):
    a.pools.create_volume(name="cd.iso", capacity="1MiB", format="raw")
    vm = make(a, disks=[{"device": "cdrom"}, {"size": "1GiB"}])
    drive = vm.disks["sda"]
    assert drive.change_media("image:cd.iso").record.volume == "cd.iso"
    assert drive.change_media().record.source is None
    with pytest.raises(errors.InvalidSpecError):
        vm.disks["vda"].change_media("image:cd.iso")
    with pytest.raises(errors.DeviceNotFoundError):
        vm.disks["vdz"]


def test_nics_are_attached_changed_and_detached(a, make):
    a.networks.create(name="lan", cidr="10.5.0.1/24")
    vm = make(a, start=True)
    nic = vm.nics.attach(network="default", mac="52:54:00:AA:BB:CC")
    assert nic.link(up=False).record.link_up is False
    moved = nic.update(network="lan").record
    assert (moved.network, moved.link_up) == ("lan", False)
    assert nic.update(link_up=True).record.network == "lan"
    assert vm.refresh().record.nics[0].addresses == ("10.5.0.2",)
    with pytest.raises(errors.AlreadyExistsError):
        vm.nics.attach(network="default", mac="52:54:00:aa:bb:cc")
    with pytest.raises(errors.NetworkNotFoundError):
        nic.update(network="nowhere")
    assert nic.detach().record.nics == ()


def test_a_nic_keeps_what_an_update_does_not_name(a, make):
    vm = make(a)
    nic = vm.nics.attach(network="default", mtu=1400, vlan=7, portgroup="web", inbound_bytes_per_second="2MiB/s", isolated=True)
    before = nic.record
    changed = nic.update(outbound_bytes_per_second="1MiB/s").record
    assert changed == before.replace(outbound_bytes_per_second=2**20)
    assert nic.update(network="default", mtu=1300).record == changed.replace(mtu=1300)
    with pytest.raises(errors.InvalidSpecError):
        nic.update(network="default", bridge="br0")
