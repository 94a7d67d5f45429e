"""Networks."""

from __future__ import annotations

import pytest

from novacron.errors import InvalidStateError, NetworkNotFoundError
from novacron.handles.host import HostHandle
from novacron.testing.conformance.case import Conformance, Create, needs
from novacron.testing.target import Target


class TestNetworks(Conformance):
    """Networks are listed and found."""

    @pytest.fixture
    def network(self, target: Target) -> str:
        """A network that is there."""
        if target.network is None:
            pytest.skip("the target names no network")
        return target.network

    @needs("network_list", "network_get")
    def test_networks_are_listed_and_found(self, host: HostHandle) -> None:
        """Each network is found by its name. An unknown name raises an error with a hint."""
        for network in host.networks.list():
            assert host.networks[network.name] == network
        with pytest.raises(NetworkNotFoundError) as caught:
            host.networks["conform-nowhere"]
        assert caught.value.hint

    @needs("network_list")
    def test_an_unknown_network_leaves_nothing(self, host: HostHandle, create: Create, prefix: str) -> None:
        """The VM was not created."""
        with pytest.raises(NetworkNotFoundError):
            create(f"{prefix}-none", nics=[{"network": "conform-nowhere"}])
        assert f"{prefix}-none" not in host.vms

    @needs("network_create", "network_delete")
    def test_a_network_that_a_stopped_vm_needs_is_not_deleted(self, host: HostHandle, create: Create, prefix: str) -> None:
        """The VM could not start without it. The error names the VM."""
        name = f"{prefix}-used"
        host.networks.create(name=name, type="isolated")
        try:
            vm = create(f"{prefix}-on-it", nics=[{"network": name}])
            with pytest.raises(InvalidStateError, match=vm.name) as caught:
                host.networks.delete(name)
            assert caught.value.hint
            assert name in host.networks
            vm.delete()
        finally:
            host.networks.delete(name)


__all__ = ["TestNetworks"]
