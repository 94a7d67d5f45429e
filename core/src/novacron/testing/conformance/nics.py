"""NICs of VMs."""

from __future__ import annotations

import pytest

from novacron.errors import (
    AlreadyExistsError,
    DeviceNotFoundError,
)
from novacron.handles.host import HostHandle
from novacron.handles.vm import VMHandle
from novacron.testing.conformance.case import Conformance, Create, needs
from novacron.testing.target import Target

MAC = "00:50:56:1a:2b:3c"


class TestNICs(Conformance):
    """NICs are attached, unplugged, plugged and detached."""

    @pytest.fixture
    def network(self, target: Target) -> str:
        """A network that is there."""
        if target.network is None:
            pytest.skip("the target names no network")
        return target.network

    @needs("network_list")
    def test_a_vm_is_made_with_its_nics(self, create: Create, network: str) -> None:
        """NICs are listed in their order, each with the MAC address that was asked for or a new one."""
        vm = create(nics=[{"network": network, "mac": MAC}, {"network": network}])
        nics = vm.record.nics or ()
        assert [nic.network for nic in nics] == [network, network]
        assert nics[0].mac == MAC
        assert nics[1].mac not in ("", MAC)

    @needs("nic_attach", "nic_detach")
    def test_a_nic_comes_and_goes(self, vm: VMHandle, network: str) -> None:
        """A NIC is detached by its MAC address; the others are unchanged."""
        one, two = vm.nics.attach(network=network, mac=MAC), vm.nics.attach(network=network)
        assert {nic.mac for nic in vm.refresh().record.nics or ()} == {MAC, two.record.mac}
        one.detach()
        assert [nic.mac for nic in vm.refresh().record.nics or ()] == [two.record.mac]

    @needs("nic_attach")
    def test_a_mac_address_is_there_once(self, vm: VMHandle, network: str) -> None:
        """A second NIC with the same MAC address is refused."""
        vm.nics.attach(network=network, mac=MAC)
        with pytest.raises(AlreadyExistsError):
            vm.nics.attach(network=network, mac=MAC)
        assert len(vm.refresh().record.nics or ()) == 1

    @needs("nic_attach", "nic_link_set")
    def test_a_cable_is_pulled_and_plugged(self, vm: VMHandle, network: str) -> None:
        """A NIC can be unplugged and plugged in any number of times."""
        nic = vm.nics.attach(network=network)
        for up in (False, False, True, True):
            assert nic.link(up=up).record.link_up is up
            assert [each.link_up for each in vm.refresh().record.nics or ()] == [up]

    @needs("nic_detach", "nic_link_set")
    def test_an_unknown_nic_is_not_found(self, host: HostHandle, vm: VMHandle) -> None:
        """Each operation on NICs refuses an unknown NIC."""
        for operation, more in (("nic_detach", {}), ("nic_link_set", {"up": True})):
            with pytest.raises(DeviceNotFoundError) as caught:
                host.invoke(operation, vm=vm.id, nic=MAC, **more)
            assert caught.value.hint


__all__ = ["TestNICs"]
