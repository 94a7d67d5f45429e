"""What is refused before libvirt is asked for a network."""

import pytest

import novacron
from novacron import errors


@pytest.mark.parametrize(("field", "type_"), [("bridge", "bridged"), ("bridge", "nat"), ("device", "macvtap")])
@pytest.mark.parametrize("name", ["a+b", "has space", "longer-than-linux-allows"])
def test_an_interface_that_no_host_has_is_refused_by_field(field, type_, name):
    fields = {"type": type_, field: name} | ({"cidr": "10.199.9.1/24"} if type_ == "nat" else {})
    with novacron.connect("test:///default") as host, pytest.raises(errors.InvalidSpecError) as caught:
        host.networks.create(name="bad-interface", **fields)
    assert [problem.path for problem in caught.value.problems] == [field]
