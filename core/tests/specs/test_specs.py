"""Specs report every bad field at once, with its path, what was given and what is allowed."""

import json

import pytest

from novacron import DiskSpec, NICSpec, VMSpec
from novacron.errors import InvalidSpecError, MigrationCheckError
from novacron.specs import (
    FilterRule,
    MigrationSpec,
    NetworkSpec,
    StoragePoolSpec,
    TrafficFilterSpec,
    VMQuery,
    VolumeSpec,
)


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
    found = problems(lambda: NICSpec(network="a", bridge="b"))["NICSpec"]
    assert found.given == "network=a, bridge=b", "what the rule is about"
    assert "exactly one" in found.allowed
    found = problems(lambda: NICSpec())["NICSpec"]
    assert found.given == "none of them"
    assert "exactly one" in found.allowed


def test_a_multicast_mac_address_is_refused():
    assert "unicast" in problems(lambda: NICSpec(network="a", mac="01:00:00:00:00:01"))["mac"].allowed


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


@pytest.mark.parametrize(
    ("cidr", "reason"),
    [
        ("10.0.0.1", "such as"),
        ("10.0.0.0/24", "the network itself"),
        ("10.0.0.255/24", "broadcast"),
        ("127.0.0.1/8", "loopback"),
        ("224.0.0.1/24", "multicast"),
        ("169.254.7.1/16", "link-local"),
        ("0.0.0.0/8", "no host"),
        ("10.0.0.1/32", "room"),
        ("240.0.0.1/24", "reserved"),
        ("fd00::/64", "the network itself"),
        ("fe80::1/64", "link-local"),
        ("10.0.0.1/40", "such as"),
        ("somewhere", "such as"),
        (7, "such as"),
    ],
)
def test_an_address_that_no_host_can_have_is_refused_in_plain_words(cidr, reason):
    (problem,) = problems(lambda: NetworkSpec(name="lan", cidr=cidr)).values()
    assert problem.path == "cidr"
    assert reason in problem.allowed
    assert "IPv4Interface" not in problem.allowed
    assert "input" not in problem.allowed


@pytest.mark.parametrize("cidr", ["10.0.0.1/24", "10.0.0.254/24", "10.0.0.0/31", "fd00::1/64", "203.0.113.9/29"])
def test_an_address_that_a_host_can_have_is_taken(cidr):
    assert str(NetworkSpec(name="lan", cidr=cidr).cidr) == cidr


WRONG_FIELDS = {
    "limits.total_iops": lambda: DiskSpec(size="1GiB", limits={"total_iops": 5, "read_iops": 2}),
    "limits.total_bytes_per_second": lambda: DiskSpec(
        size="1GiB", limits={"total_bytes_per_second": 5, "write_bytes_per_second": 2}
    ),
    "name": lambda: TrafficFilterSpec(name="a+b"),
    "filter": lambda: NICSpec(network="default", filter="a b"),
    "bridge": lambda: NICSpec(bridge="br+1"),
    "device": lambda: NICSpec(device="a-name-too-long-for-linux"),
    "format": lambda: VolumeSpec(name="a", capacity="1GiB", format="vhdx"),
    "peer": lambda: FilterRule(action="deny", direction="in", protocol="icmp", peer="2001:db8::/32"),
    "rules.1.peer": lambda: TrafficFilterSpec(
        name="a", rules=[{"action": "allow"}, {"action": "deny", "protocol": "icmpv6", "peer": "10.0.0.0/8"}]
    ),
    "ports": lambda: FilterRule(action="deny", ports="22"),
    "source_host": lambda: StoragePoolSpec(name="a", path="/a", source_host="files"),
    "path": lambda: StoragePoolSpec(name="a", type="rbd", source_host="h", source_name="n", path="/a"),
    "source_path": lambda: StoragePoolSpec(name="a", type="fs", path="/a"),
    "stp": lambda: NetworkSpec(name="a", type="bridged", bridge="br0", stp=False),
    "forward_delay": lambda: NetworkSpec(name="a", type="macvtap", device="eth0", forward_delay=0),
    "dhcp_start": lambda: NetworkSpec(name="a", cidr="10.0.0.1/24", dhcp_start="10.0.0.0", dhcp_end="10.0.0.9"),
    "dhcp_end": lambda: NetworkSpec(name="a", cidr="10.0.0.1/24", dhcp_start="10.0.0.9", dhcp_end="10.0.0.255"),
    "dhcp_hosts.0.address": lambda: NetworkSpec(
        name="a", cidr="10.0.0.1/24", dhcp_hosts=[{"mac": "52:54:00:00:00:01", "address": "10.1.0.5"}]
    ),
    "memory": lambda: VMSpec(name="a", memory=10241024),
    "memory_max": lambda: VMSpec(name="a", memory="1GiB", memory_max="1PiB"),
    "size": lambda: DiskSpec(size=10),
    "capacity": lambda: VolumeSpec(name="a", capacity="2EiB"),
}


@pytest.mark.parametrize("field", WRONG_FIELDS)
def test_what_hypervisors_refuse_in_riddles_is_refused_by_field(field):
    (problem,) = problems(WRONG_FIELDS[field]).values()
    assert problem.path == field
    assert problem.given not in ("missing", "") or field == "source_path"


@pytest.mark.parametrize("peer", ["::ffff:10.0.0.1", "::ffff:10.0.0.0/104", "::ffff:a00:1/128"])
def test_an_ipv4_address_that_is_mapped_to_ipv6_is_no_peer(peer):
    """No packet has such an address, so the rule would never match."""
    with pytest.raises(InvalidSpecError) as caught:
        TrafficFilterSpec(name="f", rules=[{"action": "deny", "direction": "in", "peer": peer}])
    assert caught.value.problems[0].path == "rules.0.peer"


@pytest.mark.parametrize(
    "fields",
    [
        {"dns_hosts": [{"address": "10.0.0.5", "names": ["a"]}, {"address": "10.0.0.5", "names": ["b"]}]},
        {"dhcp_hosts": [{"mac": f"52:54:00:00:00:0{n}", "address": "10.0.0.5"} for n in (1, 2)]},
        {
            "dhcp_hosts": [
                {"mac": mac, "address": f"10.0.0.{n}"} for n, mac in ((5, "52:54:00:00:00:0a"), (6, "52:54:00:00:00:0A"))
            ]
        },
    ],
)
def test_a_network_has_each_reservation_once(fields):
    """libvirt would take the first one of a change, and refuse the second one."""
    (field,) = fields
    assert "each address once" in problems(lambda: NetworkSpec(name="a", cidr="10.0.0.1/24", **fields))[field].allowed
