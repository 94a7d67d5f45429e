"""Settings of disks and NICs that libvirt would ignore, or refuse in riddles, are refused by field: at creation, attaching and changes."""

import pytest

import novacron
from novacron.errors import InvalidSpecError


@pytest.fixture
def host():
    return novacron.connect("test:///default")


def refused(call, **fields):
    """Return the fields that an error names."""
    with pytest.raises(InvalidSpecError) as caught:
        call(**fields)
    return [problem.path for problem in caught.value.problems]


NICS = [
    ({"user": True, "filter": "clean-traffic"}, ["filter"]),
    ({"user": True, "inbound_bytes_per_second": "1MiB/s", "vlan": 4}, ["vlan", "inbound_bytes_per_second"]),
    ({"user": True, "isolated": True, "mtu": 9000}, ["isolated", "mtu"]),
    ({"device": "eth0", "filter": "clean-traffic", "portgroup": "x"}, ["filter", "portgroup"]),
    ({"bridge": "br0", "portgroup": "x"}, ["portgroup"]),
    ({"network": "default", "portgroup": "nowhere"}, ["portgroup"]),
    ({"network": "default", "model": "e1000", "queues": 4}, ["queues"]),
]


@pytest.mark.parametrize(("nic", "named"), NICS)
def test_a_nic_that_would_lack_what_was_asked_is_refused(host, nic, named):
    create = host.vms.create
    assert refused(create, name="n", nics=[{"network": "default"}, nic]) == [f"nics.1.{field}" for field in named]
    assert host.vms.get("n") is None
    assert refused(host.vms["test"].nics.attach, **nic) == named


def test_a_nic_that_is_changed_keeps_within_its_type_and_model(host):
    vm = host.vms.create(name="emulated", nics=[{"network": "default", "model": "e1000"}, {"user": True}])
    emulated, user = vm.nics
    assert refused(emulated.update, queues=2) == ["queues"]
    assert refused(user.update, filter="clean-traffic", mtu=1400) == ["filter", "mtu"]
    vm.delete()


DISKS = [
    ({"io": "native"}, ["io"]),
    ({"io": "native", "cache": "writeback"}, ["io"]),
    ({"shareable": True, "format": "qcow2"}, ["shareable"]),
    ({"bus": "usb", "queues": 2}, ["queues"]),
    ({"bus": "sata", "iothread": 1}, ["iothread"]),
]


@pytest.mark.parametrize(("disk", "named"), DISKS)
def test_a_disk_that_qemu_can_not_have_is_refused_before_its_file_is_made(host, disk, named):
    pool, spec = "default-pool", {"size": "8MiB", "pool": "default-pool", "bus": "ide", **disk}
    before = host.invoke("volume_list", pool=pool)
    assert refused(host.vms.create, name="n", iothreads=1, disks=[spec]) == [f"disks.0.{field}" for field in named]
    vm = host.vms.create(name="stopped")
    assert refused(vm.disks.attach, **spec) == named
    vm.delete()
    assert host.invoke("volume_list", pool=pool) == before


def test_what_libvirt_accepts_is_accepted(host):
    disks = [
        {
            "size": "8MiB",
            "pool": "default-pool",
            "bus": "ide",
            "io": "native",
            "cache": "none",
            "shareable": True,
            "format": "raw",
        }
    ]
    vm = host.vms.create(
        name="accepted", disks=disks, nics=[{"network": "default", "queues": 4}, {"device": "eth0", "queues": 2}]
    )
    assert len(vm.nics) == 2
    vm.delete()
