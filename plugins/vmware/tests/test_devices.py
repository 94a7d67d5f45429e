"""PCI devices of the nodes of a vCenter are listed. test_hardware.py gives them to VMs."""


def test_pci_devices_of_each_node_are_listed(host):
    found = host.devices.list("pci")
    assert {device.node for device in found} == {node.name for node in host.nodes()}
    assert all(len(device.id) == 9 and device.address.count(":") == 2 for device in found)
    assert host.devices.list("usb") == []


def test_a_disk_and_a_drive_at_the_same_place_have_names_of_their_own(host):
    """The simulator's own VMs have their drive where their disk is."""
    vm = host.vms["DC0_H0_VM0"].refresh()
    assert [(disk.target, disk.device) for disk in vm.record.disks] == [("sda", "disk"), ("sdb", "cdrom")]
    assert vm.disks["sda"].record.device == "disk"
