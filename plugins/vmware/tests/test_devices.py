"""PCI devices of the nodes of a vCenter: listed; attaching them is not supported, and says so."""

import pytest

from novacron import errors


def test_pci_devices_of_each_node_are_listed(host):
    found = host.devices.list("pci")
    assert {device.node for device in found} == {node.name for node in host.nodes()}
    assert all(len(device.id) == 9 and device.address.count(":") == 2 for device in found)
    assert host.devices.list("usb") == []


def test_attaching_a_device_is_refused(host):
    assert not host.supports("device_attach")
    with pytest.raises(errors.UnsupportedOperationError) as caught:
        host.vms["DC0_H0_VM0"].host_devices.attach(pci="03:00.0")
    assert caught.value.hint
