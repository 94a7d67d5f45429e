"""A VM's NICs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron.errors import (
    AlreadyExistsError,
    GuestAgentUnavailableError,
    InvalidSpecError,
    SpecProblem,
    UnsupportedOperationError,
)
from novacron.plugins import hookimpl
from novacron.records.nics import NIC, NICAddress
from novacron.records.vm import VM
from novacron_vmware.devices import card, find_nic, nic_records, problems_of_nic
from novacron_vmware.errors import translated
from novacron_vmware.gone import still_there
from novacron_vmware.placement import backing
from novacron_vmware.reconfiguring import DEVICES, reconfigure_vm
from novacron_vmware.sdk import vim
from novacron_vmware.vm_operations import VMOperations

if TYPE_CHECKING:
    from collections.abc import Callable

    from novacron.specs.nics import NICSpec, NICUpdate

Device = vim.vm.device


class VMwareNICs(VMOperations):
    """Changes NICs."""

    @hookimpl
    def nic_attach(self, vm: str, spec: NICSpec) -> NIC:
        """Give a VM a NIC."""
        thing, record = self._changing(vm, "attach a NIC to", "running", "suspended", "stopped")
        self._check(spec, record.name)
        before = {nic.mac for nic in record.nics or ()}
        if spec.mac and spec.mac.lower() in before:
            raise AlreadyExistsError(f"{record.name!r} has a NIC {spec.mac} already", resource=record.name)
        change = Device.VirtualDeviceSpec(operation="add", device=card(spec, self._backing(thing, spec), -2))
        with translated(record.name):
            self._reconfigure(thing, record.name, deviceChange=[change])
        new = [nic for nic in self._nics(thing) if nic.mac not in before]
        return still_there(nic for nic in new if spec.mac is None or nic.mac == spec.mac.lower())

    @hookimpl
    def nic_detach(self, vm: str, nic: str) -> VM:
        """Take a NIC from a VM."""
        thing, record = self._changing(vm, "detach a NIC from", "running", "stopped", full=False)

        def removal(read: dict[str, Any]) -> Any:
            device = find_nic(read.get(DEVICES) or (), nic, record.name)
            return vim.vm.ConfigSpec(deviceChange=[Device.VirtualDeviceSpec(operation="remove", device=device)])

        with translated(record.name):
            reconfigure_vm(self._connection, thing, record.name, [DEVICES], removal)
        return self._read(thing)

    @hookimpl
    def nic_update(self, vm: str, nic: str, spec: NICUpdate) -> NIC:
        """Plug a NIC into another network, limit it, or pull its cable: what is given changes, and nothing else."""
        thing, record = self._changing(vm, "change a NIC of", "running", "suspended", "stopped", full=False)
        given = spec.model_fields_set
        find_nic(self._devices(thing), nic, record.name)
        there = still_there(each for each in self._nics(thing) if each.mac == nic.lower())
        self._check(spec if spec.network else spec.model_copy(update={"network": there.network}), record.name)
        for field in ("mac", "model"):
            if field in given and (getattr(spec, field) or getattr(there, field)).lower() != getattr(there, field):
                problem = SpecProblem(field, str(getattr(spec, field)), f"{getattr(there, field)}, or nothing")
                raise InvalidSpecError(f"a NIC keeps its {field}", resource=record.name, problems=[problem])
        moved = self._backing(thing, spec) if spec.network else None

        def change(device: Any) -> None:
            wanted = card(spec, moved or device.backing, device.key)
            device.backing = wanted.backing
            if "link_up" in given:
                device.connectable = wanted.connectable
            if "outbound_bytes_per_second" in given:
                device.resourceAllocation = wanted.resourceAllocation

        return self._edit(thing, record.name, nic, change)

    @hookimpl
    def address_list(self, vm: str, source: str | None) -> list[NICAddress]:
        """Return what VMware Tools report."""
        thing = self._find(vm)
        if source not in (None, "tools"):
            raise UnsupportedOperationError(f"there is no source {source!r} of addresses", hint="the source here is 'tools'")
        read = self._connection.read(
            thing, ["guest.net", "guest.toolsRunningStatus", "config.instanceUuid", "config.hardware.device"]
        )
        if source and read.get("guest.toolsRunningStatus") == "guestToolsNotRunning":
            raise GuestAgentUnavailableError(f"VMware Tools do not run in {vm!r}", resource=vm)
        cards = (each for each in read.get("config.hardware.device") or () if isinstance(each, Device.VirtualEthernetCard))
        macs = [each.macAddress.lower() for each in cards if each.macAddress]
        listed = [
            NICAddress.usable(vm=read["config.instanceUuid"], mac=net.macAddress or "", address=address, source="tools")
            for net in read.get("guest.net") or ()
            for address in net.ipAddress or ()
        ]
        found = {(each.mac, each.address): each for each in listed if each and each.mac in macs}
        return sorted(found.values(), key=lambda each: (macs.index(each.mac), each.family))

    @hookimpl
    def nic_link_set(self, vm: str, nic: str, up: bool) -> NIC:
        """Plug or unplug its cable, now and at the next start."""
        thing, record = self._changing(vm, "change a NIC of", "running", "suspended", "stopped", full=False)

        def change(device: Any) -> None:
            device.connectable = Device.VirtualDevice.ConnectInfo(startConnected=up, allowGuestControl=True, connected=up)

        return self._edit(thing, record.name, nic, change)

    def _backing(self, thing: Any, spec: NICSpec | NICUpdate) -> Any:
        connection = self._connection
        return backing(connection, str(spec.network), connection.datacenter_thing(thing))

    def _check(self, spec: NICSpec, name: str) -> None:
        problems = list(problems_of_nic(spec))
        if problems:
            raise InvalidSpecError(f"vSphere can't give {name!r} that NIC", resource=name, problems=problems)

    def _nics(self, thing: Any) -> list[NIC]:
        return list(nic_records(self._connection, self._devices(thing)))

    def _edit(self, thing: Any, name: str, nic: str, change: Callable[[Any], None]) -> NIC:
        def changed(devices: Any) -> Any:
            device = find_nic(devices, nic, name)
            change(device)
            return device

        self._edit_device(thing, name, changed)
        return still_there(each for each in self._nics(thing) if each.mac == nic.lower())


__all__ = ["VMwareNICs"]
