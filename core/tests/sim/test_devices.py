"""Devices of the simulated host: attached to VMs and detached, by API and command."""

import itertools

import pytest

import novacron
from novacron import errors

WORLDS = itertools.count()


@pytest.fixture
def host():
    name = f"devices-{next(WORLDS)}"
    with novacron.connect(f"sim://{name}") as found:
        yield found


def owners(host, address):
    return next(device.vms for device in host.devices.list() if device.address == address)


def test_devices_are_of_two_kinds(host):
    assert [device.kind for device in host.devices.list()] == ["pci"] * 3 + ["usb"] * 2
    assert {device.kind for device in host.devices.list("usb")} == {"usb"}


def test_a_device_comes_and_goes(host):
    vm = host.vms.create(name="web1", start=True)
    events = host.events(["vm.device"], timeout=60)
    vm.host_devices.attach(pci="03:00.0").host_devices.attach(usb="046d:c52b")
    assert owners(host, "0000:03:00.0") == owners(host, "001:004") == ("web1",)
    assert [device.product for device in vm.host_devices.list()] == ["Graphics card", "Receiver"]
    assert next(events).data["device"] == "0000:03:00.0"
    events.close()
    vm.host_devices.detach("03:00.0").host_devices.detach("046D:C52B")
    assert vm.host_devices.list() == []


def test_a_device_is_refused_with_its_reason(host):
    first, second = (host.vms.create(name=name, start=True) for name in ("web1", "web2"))
    first.host_devices.attach(pci="03:00.0")
    with pytest.raises(errors.AlreadyExistsError):
        first.host_devices.attach(pci="0000:03:00.0")
    with pytest.raises(errors.ResourceAllocationError, match="web1"):
        second.host_devices.attach(pci="03:00.0")
    with pytest.raises(errors.DeviceNotFoundError, match=r"0000:99:00\.0"):
        second.host_devices.attach(pci="99:00.0")
    with pytest.raises(errors.InvalidSpecError, match="exactly one"):
        second.host_devices.attach(pci="03:00.0", usb="046d:c52b")
    with pytest.raises(errors.DeviceNotFoundError) as caught:
        first.host_devices.detach("04:00.0")
    assert "0000:03:00.0" in caught.value.hint
    first.stop()
    second.host_devices.attach(pci="03:00.0")  # only one of them can run
    assert owners(host, "0000:03:00.0") == ("web1", "web2")
