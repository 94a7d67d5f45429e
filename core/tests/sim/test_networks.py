"""Networks and traffic filters."""

import pytest

import novacron
from novacron import NetworkSpec, errors
from novacron.specs import TrafficFilterSpec


def test_names_bridges_and_ranges_are_taken_once(a):
    made = a.networks.create(name="lan", cidr="10.5.0.1/24", dhcp_start="10.5.0.10", dhcp_end="10.5.0.20")
    assert (made.active, made.cidrs, made.bridge) == (True, ("10.5.0.1/24",), "virbr1")
    for taken in ({"name": "lan"}, {"name": "x", "bridge": "virbr0"}, {"name": "x", "cidr": "10.5.0.129/25"}):
        with pytest.raises(errors.AlreadyExistsError):
            a.networks.create(**taken)
    with pytest.raises(errors.InvalidSpecError):
        a.networks.create(name="x", cidr="10.6.0.1/24", dhcp_start="10.7.0.1", dhcp_end="10.6.0.9")
    assert [n.name for n in a.networks.list()] == ["default", "lan"]


def test_a_network_is_updated_stopped_started_and_deleted(a, make):
    a.networks.create(name="lan", cidr="10.5.0.1/24")
    with pytest.raises(errors.InvalidStateError, match="type"):
        a.invoke("network_update", network="lan", spec=NetworkSpec(name="lan", type="isolated"))
    a.invoke("network_stop", network="lan")
    assert a.invoke("network_update", network="lan", spec=NetworkSpec(name="lan", type="isolated")).type == "isolated"
    a.invoke("network_start", network="lan")
    vm = make(a, nics=[{"network": "lan"}])
    a.invoke("network_stop", network="lan")
    with pytest.raises(errors.InvalidStateError):
        vm.start()
    assert a.invoke("network_start", network="lan").active
    with pytest.raises(errors.InvalidStateError, match=f"'lan': {vm.name} is on it") as caught:
        a.networks.delete("lan")
    assert "NICs" in caught.value.hint
    assert vm.start().status == "running"
    with pytest.raises(errors.InvalidStateError, match=vm.name):
        a.networks.delete("lan")
    vm.delete(force=True)
    a.networks.delete("lan")
    assert "lan" not in a.networks


def test_a_filter_in_use_is_not_deleted(a, make):
    a.invoke("filter_create", spec=TrafficFilterSpec(name="clean", rules=({"action": "deny"},)))
    with pytest.raises(errors.AlreadyExistsError):
        a.invoke("filter_create", spec=TrafficFilterSpec(name="clean"))
    vm = make(a, nics=[{"network": "default", "filter": "clean"}])
    with pytest.raises(errors.InvalidStateError):
        a.invoke("filter_delete", filter="clean")
    vm.delete()
    assert a.invoke("filter_get", filter="clean") in a.invoke("filter_list")
    a.invoke("filter_delete", filter="clean")
    with pytest.raises(errors.TrafficFilterNotFoundError):
        a.invoke("filter_get", filter="clean")


def test_a_released_address_is_given_again_and_no_address_twice():
    with novacron.connect("sim://addresses-again?vms=300") as host:
        found = [address for vm in host.vms.list(detail="full") for nic in vm.record.nics for address in nic.addresses]
        assert len(found) == len(set(found)) == 225  # three of four run
        first = next(vm for vm in host.vms.list(detail="full") if "192.168.122.2" in vm.record.nics[0].addresses)
        first.delete(force=True)
        again = host.vms.create(name="again", nics=[{"network": "default"}], start=True)
        assert again.record.nics[0].addresses == ("192.168.122.2",)
