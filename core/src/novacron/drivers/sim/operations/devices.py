"""Devices of the simulated host that VMs get for themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron.drivers.sim.area import Area, simulated
from novacron.drivers.sim.state.machine import SimVM
from novacron.errors import AlreadyExistsError, DeviceNotFoundError, ResourceAllocationError
from novacron.records.devices import HostDevice
from novacron.records.vm import VM

if TYPE_CHECKING:
    from novacron.specs.devices import HostDeviceSpec

_STATES = ("running", "suspended", "stopped", "crashed")
_KINDS = ("pci", "usb", "mdev")


class SimDevices(Area):
    """A few PCI and USB devices, which VMs have by their definition."""

    @simulated
    def device_list(self) -> list[HostDevice]:
        """List the devices of the one machine."""
        with self.world.lock:
            owners: dict[str, list[str]] = {}
            for vm in self.world.vms.values():
                for name in _of(vm):
                    owners.setdefault(name, []).append(vm.name)
            return [
                HostDevice(
                    host=self.connection.name,
                    node=self.world.name,
                    vms=tuple(sorted(owners.get(each["address"] if each["kind"] == "pci" else each["id"], ()))),
                    **each,
                )
                for each in self.world.devices
            ]

    @simulated
    def device_attach(self, vm: str, spec: HostDeviceSpec) -> VM:
        """Add a device to the definition."""
        with self.world.lock:
            sim_vm = self.changing(vm, "attach a device to", *_STATES)
            name = _name(spec.model_dump(mode="json"))
            known = {each["address"] if each["kind"] == "pci" else each["id"] for each in self.world.devices}
            if spec.mdev is None and name not in known:
                hint = "`novacron device list` shows the devices"
                raise DeviceNotFoundError(f"the host has no device {name!r}", resource=sim_vm.name, hint=hint)
            if name in _of(sim_vm):
                raise AlreadyExistsError(f"{sim_vm.name!r} has the device {name!r} already", resource=sim_vm.name)
            other = next((each for each in self.world.vms.values() if each.active and name in _of(each)), None)
            if other is not None:
                raise ResourceAllocationError(
                    f"the running VM {other.name!r} has the device {name!r}", resource=sim_vm.name, hint="detach it there first"
                )
            given = spec.model_dump(mode="json", exclude_unset=True)
            sim_vm.hardware = {**sim_vm.hardware, "host_devices": [*sim_vm.hardware.get("host_devices", ()), given]}
            return self._changed(sim_vm, name, "attached")

    @simulated
    def device_detach(self, vm: str, device: str) -> VM:
        """Remove a device from the definition."""
        with self.world.lock:
            sim_vm = self.changing(vm, "detach a device from", "running", "stopped", "crashed")
            present = sim_vm.hardware.get("host_devices", ())
            left = [each for each in present if _name(each) != device.lower()]
            if len(left) == len(present):
                has = ", ".join(_of(sim_vm)) or "none"
                raise DeviceNotFoundError(
                    f"{sim_vm.name!r} has no device {device!r}", resource=sim_vm.name, hint=f"it has: {has}"
                )
            sim_vm.hardware = {**sim_vm.hardware, "host_devices": left}
            return self._changed(sim_vm, device, "detached")

    def _changed(self, vm: SimVM, device: str, reason: str) -> VM:
        data: dict[str, Any] = {"device": device}
        self.world.tell("vm.device", vm, reason=reason, **data)
        return self.record(vm)


def _of(vm: SimVM) -> list[str]:
    return [_name(each) for each in vm.hardware.get("host_devices", ())]


def _name(device: dict[str, Any]) -> str:
    return str(next(device[kind] for kind in _KINDS if device.get(kind))).lower()


__all__ = ["SimDevices"]
