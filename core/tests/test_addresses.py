"""Addresses of networks: what is wrong with one is said, with an example of a right one."""

import pytest
from pydantic import TypeAdapter, ValidationError

from novacron.errors import InvalidValueError
from novacron.specs.addresses import Address, AddressRange, host_address

EXAMPLE = 'an address with its prefix, such as "192.168.50.1/24"'


@pytest.mark.parametrize(
    ("value", "kind", "reason"),
    [
        ("somewhere", "an address with a prefix", ""),
        ("10.0.0.1/40", "an address with a prefix", ""),
        ("10.0.0.1", "an address with a prefix", ""),
        ("fd00::1", "an address with a prefix", ""),
        ("10.0.0.1/32", "an address of a host", "; this is a network without room for another address"),
        ("fd00::1/128", "an address of a host", "; this is a network without room for another address"),
        ("0.0.0.0/8", "an address of a host", "; this is the address of no host"),
        ("10.0.0.1/0", "an address of a host", "; this is the address of no host"),
        ("::/64", "an address of a host", "; this is the address of no host"),
        ("127.0.0.1/8", "an address of a host", "; this is a loopback address"),
        ("224.0.0.1/24", "an address of a host", "; this is a multicast address"),
        ("ff02::1/64", "an address of a host", "; this is a multicast address"),
        ("169.254.7.1/16", "an address of a host", "; this is a link-local address"),
        ("240.0.0.1/24", "an address of a host", "; this is a reserved address"),
        ("10.0.0.0/24", "an address of a host", "; this is the address of the network itself"),
        ("10.0.0.0/30", "an address of a host", "; this is the address of the network itself"),
        ("fd00::/64", "an address of a host", "; this is the address of the network itself"),
        ("10.0.0.255/24", "an address of a host", "; this is the broadcast address"),
        ("10.0.0.3/30", "an address of a host", "; this is the broadcast address"),
    ],
)
def test_what_is_no_address_of_a_host_is_rejected_with_the_reason(value, kind, reason):
    with pytest.raises(InvalidValueError) as caught:
        host_address(value)
    assert caught.value.message == f"not {kind}: {value!r}"
    assert caught.value.hint == EXAMPLE + reason
    assert caught.value.outcome == "not_sent"


@pytest.mark.parametrize(
    "value",
    ["10.0.0.1/24", "10.0.0.254/24", "10.0.0.0/31", "10.0.0.1/31", "10.0.0.1/30", "fd00::1/64", "fd00::/127", "fd00::ffff/112"],
)
def test_every_other_address_is_taken(value):
    assert str(host_address(value)) == value


@pytest.mark.parametrize(
    ("annotation", "good", "bad", "said"),
    [
        (Address, ["10.0.0.1", "fd00::1"], "10.0.0.1/24", 'an IP address such as "192.168.50.10"'),
        (
            AddressRange,
            ["10.0.0.0/8", "10.0.0.1/32", "fd00::/8"],
            "10.0.0.1/8",
            'a network\'s address range such as "10.0.0.0/8"',
        ),
    ],
)
def test_addresses_and_ranges_are_read_and_others_rejected(annotation, good, bad, said):
    adapter = TypeAdapter(annotation)
    assert [str(adapter.validate_python(value)) for value in good] == good
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python(bad)
    error = caught.value.errors()[0]["ctx"]["error"]
    assert (error.message, error.hint) == (f"not {said.split(' such')[0]}: {bad!r}", said)
