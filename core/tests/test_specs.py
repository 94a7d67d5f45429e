"""Specs report every bad field at once, with its path, what was given and what is allowed."""

import json

import pytest

from novacron import DiskSpec, NICSpec, VMSpec
from novacron.errors import InvalidSpecError, MigrationCheckError
from novacron.specs import MigrationSpec, VMQuery


def problems(call):
    with pytest.raises(InvalidSpecError) as caught:
        call()
    return {p.path: p for p in caught.value.problems}


def test_every_bad_field_is_reported_at_once_with_its_path():
    found = problems(lambda: VMSpec(name="../etc", vcpus=0, memory="lots", disks=[{"size": "1GiB", "bus": "warp"}], colour="red"))
    assert set(found) == {"name", "vcpus", "memory", "disks.0.bus", "colour"}
    assert found["disks.0.bus"].given == "warp"
    assert "virtio" in found["disks.0.bus"].allowed
    assert "vcpus" in found["colour"].allowed


def test_secure_boot_with_a_direct_kernel_is_refused():
    found = problems(lambda: VMSpec(name="x", firmware="uefi-secure", kernel={"path": "/k"}))
    assert "unsigned kernel" in found["VMSpec"].allowed


def test_a_nic_is_on_exactly_one_network():
    assert "exactly one" in problems(lambda: NICSpec())["NICSpec"].allowed
    assert "exactly one" in problems(lambda: NICSpec(network="a", bridge="b"))["NICSpec"].allowed


def test_a_multicast_mac_address_is_refused():
    assert "unicast" in problems(lambda: NICSpec(network="a", mac="01:00:00:00:00:01"))["NICSpec"].allowed


@pytest.mark.parametrize("fields", [{}, {"size": 0}, {"source": "a", "path": "/b"}])
def test_a_disk_has_exactly_one_origin(fields):
    assert problems(lambda: DiskSpec(**fields))


def test_a_spec_survives_json():
    spec = VMSpec(name="x", memory="2GiB", disks=[DiskSpec(size="1GiB")], nics=[NICSpec(user=True)], tags={"a"})
    assert VMSpec.parse(spec.as_dict()) == spec


def test_a_cold_migration_has_no_post_copy():
    assert problems(lambda: MigrationSpec(live=False, post_copy=True))


def test_a_query_names_what_can_be_asked():
    found = problems(lambda: VMQuery.of(colour="red", status="flying", sort="shoe", limit=0, cursor="é"))
    assert set(found) == {"colour", "status", "sort", "limit", "cursor"}


def test_a_size_that_is_none_is_told_what_one_looks_like():
    with pytest.raises(InvalidSpecError) as caught:
        VMSpec(name="a", memory="plenty")
    assert str(caught.value) == "invalid VMSpec: memory: got 'plenty', allowed: a size such as \"2GiB\""


def test_a_duration_is_told_from_a_size_whatever_was_given():
    with pytest.raises(InvalidSpecError, match="allowed: a duration such as"):
        MigrationSpec(deadline="any size")


def test_a_bad_spec_is_told_as_plain_values_too():
    with pytest.raises(InvalidSpecError) as caught:
        VMSpec(name="a b", vcpus=0)
    told = caught.value.as_dict()
    assert {problem["path"]: problem["given"] for problem in told["problems"]} == {"name": "a b", "vcpus": "0"}
    assert json.dumps(told)


def test_a_failed_check_is_told_with_each_failure():
    failed = MigrationCheckError("'web1' can't move", failures=["no network 'lan'", "no room"])
    assert failed.as_dict()["failures"] == ["no network 'lan'", "no room"]
    assert str(failed).endswith("no network 'lan'; no room")
