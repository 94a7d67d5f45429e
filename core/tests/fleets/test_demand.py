"""What a VM takes of its node, and which of the settings of node, group and fleet holds."""

import pytest

from novacron import specs
from novacron.fleets.demand import INACTIVE, demand_of, locked_memory_of, taker_of
from novacron.fleets.limits import DEFAULTS, effective
from novacron.records.capacity import Amounts
from novacron.records.vm import VM, Disk

GIB = 2**30
DISKS = (
    Disk(target="vda", size_bytes=5 * GIB),
    Disk(target="vdb", size_bytes=None),
    Disk(target="vdc", size_bytes=GIB, read_only=True),
    Disk(target="sda", size_bytes=GIB, device="cdrom"),
    Disk(target="vdd", size_bytes=2 * GIB),
)


def vm(status="running", **fields):
    known = {"vcpus": 3, "memory_bytes": 4 * GIB, "disks": DISKS, "tags": frozenset({"db"}), "locked_memory": ("huge pages",)}
    return VM(id="1", name="web1", host="a", status=status, **(known | fields))


@pytest.mark.parametrize("status", ["running", "suspended", "migrating", "unknown"])
def test_a_vm_that_is_active_takes_all_that_it_has(status):
    taker = taker_of(vm(status), "ann")
    assert taker.amounts == Amounts(vcpus=3, memory_bytes=4 * GIB, storage_bytes=7 * GIB)
    assert (taker.vm, taker.name, taker.active, taker.owner) == ("1", "web1", True, "ann")
    assert (taker.tags, taker.locked_memory) == (frozenset({"db"}), ("huge pages",))


@pytest.mark.parametrize("status", sorted(INACTIVE))
def test_a_vm_that_is_off_takes_storage_only(status):
    taker = taker_of(vm(status))
    assert taker.amounts == Amounts(vcpus=0, memory_bytes=0, storage_bytes=7 * GIB)
    assert (taker.active, taker.owner) == (False, "")


def test_a_record_without_details_takes_no_storage():
    taker = taker_of(vm(disks=None, tags=None, locked_memory=None))
    assert taker.amounts.storage_bytes == 0
    assert (taker.tags, taker.locked_memory) == (frozenset(), ())


def test_a_spec_takes_its_disks_but_neither_media_nor_images_of_unknown_size():
    spec = specs.VMSpec(
        name="web1",
        vcpus=2,
        memory="1GiB",
        disks=[{"size": "5GiB"}, {"source": "image:debian"}, {"size": "2GiB"}, {"device": "cdrom", "path": "/iso"}],
    )
    assert demand_of(spec) == Amounts(vcpus=2, memory_bytes=GIB, storage_bytes=7 * GIB)


@pytest.mark.parametrize(
    ("fields", "reasons"),
    [
        ({}, ()),
        ({"memory_backing": {"hugepages": True}}, ("huge pages",)),
        ({"memory_backing": {"locked": True}}, ("locked memory",)),
        ({"host_devices": [{"pci": "0000:01:00.0"}]}, ("devices of the host",)),
        ({"memory_backing": {"hugepages": True, "locked": True}}, ("huge pages", "locked memory")),
    ],
)
def test_why_memory_can_not_be_overcommitted(fields, reasons):
    assert locked_memory_of(specs.VMSpec(name="web1", **fields)) == reasons


def test_the_first_layer_that_has_a_setting_wins_and_the_defaults_are_the_last():
    node, group, fleet = (
        {"vcpus_ratio": 2.0},
        {"vcpus_ratio": 8.0, "memory_reserved": 0},
        {"memory_reserved": 7, "storage_ratio": 3.0},
    )
    found = effective(node, group, fleet)
    assert found == dict(DEFAULTS) | {"vcpus_ratio": 2.0, "memory_reserved": 0, "storage_ratio": 3.0}
    assert effective({"vcpus_ratio": None}, group)["vcpus_ratio"] == 8.0
    assert effective({"name": "n1"}) == dict(DEFAULTS) | {"storage_ratio": None}
    assert effective({"memory_ratio": "unlimited"}, {"memory_ratio": 2.0})["memory_ratio"] is None


def test_the_defaults_are_those_of_the_manual():
    assert dict(DEFAULTS) == {
        "vcpus_ratio": 4.0,
        "memory_ratio": 1.0,
        "storage_ratio": "unlimited",
        "vcpus_reserved": 0,
        "memory_reserved": 512 * 2**20,
        "storage_reserved": 0,
    }
