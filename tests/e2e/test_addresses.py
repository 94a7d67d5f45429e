"""The addresses of a real guest: from libvirt's DHCP server, bound to the guest's NIC."""

import uuid

import pytest

from novacron.errors import InvalidStateError, OperationTimeoutError, UnsupportedOperationError

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]


@pytest.fixture
def network(lab_hosts):
    host = lab_hosts[0]
    made = host.networks.create(
        name=f"addresses-{uuid.uuid4().hex[:4]}",
        type="isolated",
        cidr="10.79.0.1/24",
        dhcp_start="10.79.0.10",
        dhcp_end="10.79.0.20",
        stp=False,
    )
    yield made
    host.networks.delete(made.name)


def test_a_guests_address_is_found_and_waited_for(lab_hosts, network, boot):
    vm = boot(lab_hosts[0], "addressed", ticks=0, nics=[{"network": network.name}])
    (address,) = vm.wait_for("ip", timeout="90s")
    assert address.address.startswith("10.79.0.")
    assert (address.version, address.mac) == (4, vm.record.nics[0].mac)
    assert address.source in ("agent", "lease")
    (lease,) = vm.host.invoke("address_list", vm=vm.id, source="lease")
    assert (lease.address, lease.prefix) == (address.address, 24)
    assert vm.addresses(6) == []
    with pytest.raises(UnsupportedOperationError):
        vm.host.invoke("address_list", vm=vm.id, source="tools")
    with pytest.raises(OperationTimeoutError):
        vm.wait_for("ssh", timeout=1)
    vm.stop()
    assert vm.addresses() == []
    with pytest.raises(InvalidStateError):
        vm.wait_for("ip", timeout=30)
    vm.delete()
