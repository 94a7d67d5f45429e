"""PCI devices of the nodes of a vCenter are listed. test_hardware.py gives them to VMs."""


def test_pci_devices_of_each_node_are_listed(host):
    found = host.devices.list("pci")
    assert {device.node for device in found} == {node.name for node in host.nodes()}
    assert all(len(device.id) == 9 and device.address.count(":") == 2 for device in found)
    assert host.devices.list("usb") == []
