"""Devices of the host that VMs get for themselves."""

from __future__ import annotations

import pytest

from novacron.errors import DeviceNotFoundError, InvalidSpecError
from novacron.handles.host import HostHandle
from novacron.handles.vm import VMHandle
from novacron.testing.conformance.case import Conformance, needs


class TestDevices(Conformance):
    """Devices are listed, and unknown ones are refused."""

    @needs("device_list")
    def test_devices_are_listed_in_order(self, host: HostHandle) -> None:
        """Devices are sorted by kind, machine and address; each address of a machine is listed once."""
        found = [(device.kind, device.node or "", device.address) for device in host.devices.list()]
        assert found == sorted(set(found))

    @needs("device_attach", "device_detach")
    def test_an_unknown_device_is_refused_and_nothing_changes(self, vm: VMHandle) -> None:
        """A host that can't give devices to VMs at all may say so first."""
        before = vm.export().text
        with pytest.raises((DeviceNotFoundError, InvalidSpecError)) as caught:
            vm.host_devices.attach(usb="ffff:ffff")
        assert caught.value.hint
        with pytest.raises(DeviceNotFoundError) as missing:
            vm.host_devices.detach("0000:ff:1f.7")
        assert missing.value.hint
        assert vm.export().text == before


__all__ = ["TestDevices"]
