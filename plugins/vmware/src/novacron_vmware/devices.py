"""A VM's disks and NICs: vSphere's devices as records, and specs as vSphere's devices.

A disk is named by its place on its controller: SCSI "sda" (controller 0, unit 0) and on, 15 to a controller; IDE "hda" to "hdd";
SATA "hde" and on, 30 to a controller; NVMe "nvme0n1". So no disk's name changes when another one goes.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from novacron.errors import DeviceNotFoundError, InvalidSpecError, SpecProblem
from novacron.records.disks import Disk
from novacron.records.nics import NIC
from novacron.units import format_size
from novacron_vmware.sdk import vim

if TYPE_CHECKING:
    from novacron.specs.disks import DiskSpec
    from novacron.specs.nics import NICSpec
    from novacron_vmware.connection import VMwareConnection

Device = vim.vm.device
CONTROLLERS: dict[str, Any] = {
    "scsi": Device.VirtualSCSIController,
    "sata": Device.VirtualSATAController,
    "ide": Device.VirtualIDEController,
    "nvme": Device.VirtualNVMEController,
}
PLACES = {"scsi": [*range(7), *range(8, 16)], "sata": list(range(30)), "ide": [0, 1], "nvme": list(range(15))}
"""The units of a controller; 7 is the SCSI controller's own."""
NEW: dict[str, Any] = {
    "scsi": lambda key, bus: Device.ParaVirtualSCSIController(key=key, busNumber=bus, sharedBus="noSharing"),
    "sata": lambda key, bus: Device.VirtualAHCIController(key=key, busNumber=bus),
    "nvme": lambda key, bus: Device.VirtualNVMEController(key=key, busNumber=bus),
}
BUSES = {"virtio": "scsi", "scsi": "scsi", "sata": "sata", "ide": "ide", "nvme": "nvme"}
"""NovaCron's buses here: the paravirtual one is vSphere's PVSCSI."""
CARDS: dict[str, Any] = {"virtio": Device.VirtualVmxnet3, "e1000": Device.VirtualE1000, "e1000e": Device.VirtualE1000e}
DISK_MOST = 62 * 2**40
"""Bytes of the largest virtual disk that vSphere allows."""
MEGABIT = 125_000
"""Bytes in a megabit, in which vSphere counts a NIC's bandwidth."""


def split_path(path: str | None) -> tuple[str, str] | None:
    """Return the datastore and the path within it of "[datastore] folder/file"."""
    found = re.fullmatch(r"\[(.+?)\]\s*(.*)", path or "")
    return (found[1], found[2]) if found else None


def letters(number: int) -> str:
    """Return a, b, ... z, aa, ab, ... for 0, 1, ..."""
    name, number = "", number + 1
    while number:
        number, digit = divmod(number - 1, 26)
        name = string.ascii_lowercase[digit] + name
    return name


def target_of(bus: str, controller: int, unit: int) -> str:
    """Return a disk's name from its place.

    Example:
        >>> target_of("scsi", 0, 8), target_of("ide", 1, 0), target_of("sata", 0, 0), target_of("nvme", 0, 0)
        ('sdh', 'hdc', 'hde', 'nvme0n1')
    """
    if bus == "nvme":
        return f"nvme{controller}n{unit + 1}"
    place = controller * len(PLACES[bus]) + (PLACES[bus].index(unit) if unit in PLACES[bus] else unit)
    return ("sd" if bus == "scsi" else "hd") + letters(place + (4 if bus == "sata" else 0))


def places(devices: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Yield each disk and drive with its name. Of two at the same place, which simulators report, the drive gets the next free name."""
    controllers = {d.key: (bus, d) for d in devices for bus, kind in CONTROLLERS.items() if isinstance(d, kind)}
    taken: set[str] = set()
    for device in sorted(devices, key=lambda each: not isinstance(each, Device.VirtualDisk)):
        unit = device.unitNumber or 0
        if isinstance(device, Device.VirtualDisk | Device.VirtualCdrom):
            bus, controller = controllers.get(device.controllerKey, ("scsi", None))
            number = controller.busNumber if controller else 0
            while (target := target_of(bus, number, unit)) in taken:
                unit += 1
            taken.add(target)
            yield target, device
        elif isinstance(device, Device.VirtualFloppy):
            yield "fd" + letters(unit), device


def disk_records(devices: Sequence[Any], boot: Any = None) -> Iterator[Disk]:
    """Yield the records of disks and drives, in their names' order."""
    order = [getattr(entry, "deviceKey", None) for entry in (boot.bootOrder if boot else ()) or ()]
    controllers = {d.key: bus for d in devices for bus, kind in CONTROLLERS.items() if isinstance(d, kind)}
    for target, device in sorted(places(devices), key=lambda each: (each[1].controllerKey or 0, each[1].unitNumber or 0)):
        path, parent = getattr(device.backing, "fileName", None), getattr(device.backing, "parent", None)
        where = split_path(path)
        disk = Disk(
            target=target,
            source=path or None,
            bus=controllers.get(device.controllerKey),
            pool=where[0] if where else None,
            volume=(where[1] or None) if where else None,
            boot_order=order.index(device.key) + 1 if device.key in order else None,
        )
        if isinstance(device, Device.VirtualDisk):
            yield disk.replace(
                format="vmdk",
                backing=parent.fileName if parent else None,
                size_bytes=int(device.capacityInBytes or (device.capacityInKB or 0) * 1024),
                shareable=getattr(device.backing, "sharing", None) == "sharingMultiWriter",
            )
        else:
            kind = "cdrom" if isinstance(device, Device.VirtualCdrom) else "floppy"
            yield disk.replace(device=kind, read_only=True, bus=disk.bus or ("fdc" if kind == "floppy" else None))


def find_disk(devices: Sequence[Any], target: str, vm: str) -> Any:
    """Return the device of a disk or drive. Raises DeviceNotFoundError."""
    named = dict(places(devices))
    if target not in named:
        raise DeviceNotFoundError(
            f"{vm!r} has no disk {target!r}", resource=vm, hint=f"it has: {', '.join(sorted(named)) or 'none'}"
        )
    return named[target]


def find_nic(devices: Sequence[Any], mac: str, vm: str) -> Any:
    """Return the device of a NIC. Raises DeviceNotFoundError."""
    cards = {(d.macAddress or "").lower(): d for d in devices if isinstance(d, Device.VirtualEthernetCard)}
    if mac.lower() not in cards:
        raise DeviceNotFoundError(f"{vm!r} has no NIC {mac!r}", resource=vm, hint=f"it has: {', '.join(sorted(cards)) or 'none'}")
    return cards[mac.lower()]


def nic_records(
    connection: VMwareConnection, devices: Sequence[Any], guest: Sequence[Any] = (), groups: Mapping[str, str] | None = None
) -> Iterator[NIC]:
    """Yield the records of NICs.

    Args:
        connection: asked for the name of a distributed port group that is not in `groups`.
        devices: the VM's devices.
        guest: what its Tools tell of its NICs.
        groups: names of distributed port groups by their keys.
    """
    names = dict(groups or {})
    seen = {(net.macAddress or "").lower(): tuple(net.ipAddress or ()) for net in guest}
    for card in devices:
        if isinstance(card, Device.VirtualEthernetCard):
            up = card.connectable is None or bool(card.connectable.connected or card.connectable.startConnected)
            model = type(card).__name__.rpartition(".")[2].removeprefix("Virtual").lower()
            port, mac = getattr(card.backing, "port", None), (card.macAddress or "").lower()
            if port and port.portgroupKey not in names:
                names |= connection.group_names()
            network = names.get(port.portgroupKey, port.portgroupKey) if port else getattr(card.backing, "deviceName", None)
            limit = card.resourceAllocation.limit if getattr(card, "resourceAllocation", None) else None
            yield NIC(
                mac=mac,
                network=network,
                model=model,
                link_up=up,
                target=str(card.key),
                addresses=seen.get(mac, ()),
                outbound_bytes_per_second=int(limit) * MEGABIT if limit and limit > 0 else None,
            )


class Adding:
    """Device changes that give a VM disks and NICs: controllers are added as needed, each device gets a free place.

    Args:
        devices: what the VM has already.
    """

    def __init__(self, devices: Sequence[Any] = ()) -> None:
        self.changes = list[Any]()
        self.boot: list[tuple[int, Any]] = []
        self._key = -1
        self._taken = {
            (d.controllerKey, d.unitNumber) for d in devices if d.controllerKey is not None and d.unitNumber is not None
        }
        self._controllers = [(bus, d) for d in devices for bus, kind in CONTROLLERS.items() if isinstance(d, kind)]
        if not devices:  # every VM is made with these two
            self._controllers += [("ide", Device.VirtualIDEController(key=200 + n, busNumber=n)) for n in (0, 1)]

    def add(self, device: Any, operation: str | None = None) -> None:
        """Add a device; `operation` "create" makes its file too."""
        self.changes.append(Device.VirtualDeviceSpec(operation="add", fileOperation=operation, device=device))

    def next_key(self) -> int:
        """Return a key for a new device: negative, as vSphere wants it."""
        self._key -= 1
        return self._key

    def place(self, device: Any, bus: str, target: str | None = None) -> None:
        """Put a disk or drive on a free place of a controller, or on the one that `target` names."""
        device.key = self.next_key()
        for kind, controller in self._controllers:
            if kind == bus:
                for unit in PLACES[bus]:
                    if (controller.key, unit) not in self._taken and target in (None, target_of(bus, controller.busNumber, unit)):
                        device.controllerKey, device.unitNumber = controller.key, unit
                        self._taken.add((controller.key, unit))
                        return
        numbers = {controller.busNumber for kind, controller in self._controllers if kind == bus}
        free = next((n for n in range(4) if n not in numbers), None)
        if bus not in NEW or free is None:
            allowed = "a name that is free on this bus" if target else f"fewer disks: the {bus} controllers are full"
            raise InvalidSpecError(
                f"there is no place for a disk at {target or bus!r}", problems=[SpecProblem("target", target or bus, allowed)]
            )
        controller = NEW[bus](self.next_key(), free)
        self._controllers.append((bus, controller))
        self.add(controller)
        self.place(device, bus, target)


def problems_of_disk(spec: DiskSpec) -> Iterator[SpecProblem]:
    """Yield what vSphere can't do of a disk's spec."""
    if spec.bus == "usb":
        yield SpecProblem("bus", "usb", "one of " + ", ".join(BUSES))
    if "format" in spec.model_fields_set and spec.format != "vmdk" and spec.device == "disk":
        yield SpecProblem("format", spec.format, "vmdk")
    if spec.size and spec.size > DISK_MOST:
        yield SpecProblem("size", format_size(spec.size), f"at most {format_size(DISK_MOST)}")
    if spec.read_only and spec.device == "disk":
        yield SpecProblem("read_only", "True", "False: vSphere has no read-only disks, only drives")


def problems_of_nic(spec: NICSpec) -> Iterator[SpecProblem]:
    """Yield what vSphere can't do of a NIC's spec."""
    if spec.model not in CARDS:
        yield SpecProblem("model", spec.model, "one of " + ", ".join(CARDS))
    if not spec.network:
        yield SpecProblem("network", "", "a network: vSphere plugs NICs into port groups only")


def card(spec: NICSpec, backing: Any, key: int) -> Any:
    """Return the device of a NIC's spec."""
    limit = spec.outbound_bytes_per_second
    allocation = Device.VirtualEthernetCard.ResourceAllocation(
        limit=max(1, (limit or 0) // MEGABIT), reservation=0, share=vim.SharesInfo(level="normal", shares=50)
    )
    return CARDS[spec.model](
        key=key,
        macAddress=spec.mac,
        addressType="manual" if spec.mac else "generated",
        backing=backing,
        connectable=Device.VirtualDevice.ConnectInfo(startConnected=spec.link_up, allowGuestControl=True, connected=spec.link_up),
        resourceAllocation=allocation if limit else None,
    )


__all__ = [
    "BUSES",
    "CONTROLLERS",
    "DISK_MOST",
    "MEGABIT",
    "Adding",
    "card",
    "disk_records",
    "find_disk",
    "find_nic",
    "nic_records",
    "places",
    "problems_of_disk",
    "problems_of_nic",
    "split_path",
    "target_of",
]
