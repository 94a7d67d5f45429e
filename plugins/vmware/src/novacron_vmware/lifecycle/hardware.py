"""The hardware of a VM beyond its CPUs, memory, disks and NICs: fields of `VMSpec` and `VMUpdate` as vSphere's configuration, and back.

Sources: the vSphere Web Services API (VirtualMachineConfigSpec), and VMware's "vSphere Resource Management" and "Performance Best
Practices" for the advanced options.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidSpecError, SpecProblem
from novacron_vmware.devices import places
from novacron_vmware.sdk import vim

if TYPE_CHECKING:
    from novacron.specs import FeaturesSpec, MemoryBackingSpec, NUMANodeSpec, SerialSpec, VMSpec

Device = vim.vm.device
GIB = 2**30
BALLOON = "sched.mem.maxmemctl"
HIDE_HYPERVISOR = "hypervisor.cpuid.v0"
LARGE_PAGES = "sched.mem.lpage.enable1GPage"
PAGE_SHARING = "sched.mem.pshare.enable"
PREALLOCATE = "sched.mem.prealloc"
NUMA_CORES = "numa.vcpu.maxPerVirtualNode"
NUMA_HOST_NODES = "sched.node{}.affinity"
USB: dict[str, Any] = {
    "piix3-uhci": lambda: Device.VirtualUSBController(ehciEnabled=False),
    "ehci": lambda: Device.VirtualUSBController(ehciEnabled=True),
    "nec-xhci": Device.VirtualUSBXHCIController,
    "qemu-xhci": Device.VirtualUSBXHCIController,
}
"""The controllers of `VMSpec.usb_controller`. vSphere has one controller for USB 1.1 and 2.0, and one for USB 3."""
SOUND = {"ich9": Device.VirtualHdAudioCard}
"""The sound cards of `VMSpec.sound`: vSphere has Intel's HD Audio, and older cards that no newer guest knows."""
HARDWARE = (
    "balloon",
    "boot_menu",
    "cpuset",
    "features",
    "firmware",
    "launch_security",
    "memory_backing",
    "numa",
    "serial",
    "sound",
    "topology",
    "tpm",
    "usb_controller",
    "watchdog",
)
"""The fields that have a method of `Hardware`, beside `boot_order`."""
VMFS = "/vmfs/volumes/"
"""Where an ESXi has its datastores."""


class Hardware:
    """Changes of a VM's configuration, gathered field by field.

    Args:
        devices: the devices that the VM has already.

    Attributes:
        config: values of vSphere's ConfigSpec by name.
        extra: entries of the extra configuration; an empty value removes one.
        removed: devices to remove.
        added: new devices, without keys.
    """

    def __init__(self, devices: Sequence[Any] = ()) -> None:
        self.config: dict[str, Any] = {}
        self.extra: dict[str, str] = {}
        self.removed: list[Any] = []
        self.added: list[Any] = []
        self._devices = devices

    def take(self, fields: Mapping[str, Any], vm: str) -> None:
        """Add the fields of a spec that are hardware; others are passed over.

        Args:
            fields: the given fields by name. None removes a device or restores vSphere's default.
            vm: the VM's name, for errors.

        Raises:
            InvalidSpecError: `boot_order` names a device that the VM does not have.
        """
        for name, value in fields.items():
            if name == "boot_order":
                self._boot_order(value or (), vm)
            elif name in HARDWARE:
                getattr(self, f"_{name}")(value)

    def as_config(self) -> dict[str, Any]:
        """Return the changes of a VM that exists, as values of a ConfigSpec."""
        config = dict(self.config)
        if self.extra:
            config["extraConfig"] = self.options
        for number, device in enumerate(self.added, 1):
            device.key = -number
        changes = [("remove", device) for device in self.removed] + [("add", device) for device in self.added]
        if changes:
            config["deviceChange"] = [Device.VirtualDeviceSpec(operation=verb, device=device) for verb, device in changes]
        return config

    @property
    def options(self) -> list[Any]:
        """The extra configuration as vSphere takes it."""
        return [vim.option.OptionValue(key=key, value=value) for key, value in self.extra.items()]

    def _features(self, features: FeaturesSpec | None) -> None:
        given = features.model_fields_set if features else frozenset[str]()
        if features is not None and "hide_hypervisor" in given:
            self.extra[HIDE_HYPERVISOR] = "FALSE" if features.hide_hypervisor else ""
        if features is not None and "pmu" in given:
            self.config["vPMCEnabled"] = bool(features.pmu)
        if features is not None and "iommu" in given:
            self.config["flags"] = vim.vm.FlagInfo(vvtdEnabled=features.iommu == "intel")

    def _memory_backing(self, memory: MemoryBackingSpec | None) -> None:
        given = memory.model_fields_set if memory else frozenset[str]()
        if memory is not None and "locked" in given:
            self.config["memoryReservationLockedToMax"] = memory.locked
        if memory is not None and "preallocate" in given:
            self.extra[PREALLOCATE] = "TRUE" if memory.preallocate else ""
        if memory is not None and "merge" in given:
            self.extra[PAGE_SHARING] = "" if memory.merge else "FALSE"
        if memory is not None and "hugepages" in given:
            self.extra[LARGE_PAGES] = "TRUE" if memory.hugepages else ""

    def _balloon(self, value: bool | None) -> None:
        self.extra[BALLOON] = "0" if value is False else ""

    def _topology(self, topology: Any) -> None:
        self.config["numCoresPerSocket"] = topology.cores if topology else 1

    def _cpuset(self, value: str | None) -> None:
        self.config["cpuAffinity"] = vim.vm.AffinityInfo(affinitySet=cpu_numbers(value or ""))

    def _numa(self, nodes: Sequence[NUMANodeSpec]) -> None:
        if nodes:
            self.extra[NUMA_CORES] = str(len(nodes[0].numbers))
        for number, node in enumerate(nodes):
            if node.host_nodes:
                self.extra[NUMA_HOST_NODES.format(number)] = ",".join(map(str, cpu_numbers(node.host_nodes)))

    def _launch_security(self, value: Any) -> None:
        if value is not None:
            self.config["sevEnabled"] = True

    def _boot_menu(self, seconds: float | None) -> None:
        if seconds:
            self._boot(bootDelay=round(seconds * 1000))

    def _firmware(self, value: str) -> None:
        self.config["firmware"] = "bios" if value == "bios" else "efi"
        if value == "uefi-secure":
            self._boot(efiSecureBootEnabled=True)

    def _boot_order(self, names: Sequence[str], vm: str) -> None:
        Boot = vim.vm.BootOptions
        entries: list[Any] = []
        kinds: dict[Any, Any] = {
            Device.VirtualCdrom: Boot.BootableCdromDevice,
            Device.VirtualFloppy: Boot.BootableFloppyDevice,
        }
        bootable = bootable_devices(self._devices)
        for name in names:
            if (device := bootable.get(name.lower())) is None:
                problem = SpecProblem(
                    "boot_order", name, f"one of {', '.join(sorted(bootable)) or 'none: there is no such device'}"
                )
                raise InvalidSpecError("a VM boots from its own devices only", resource=vm, problems=[problem])
            if isinstance(device, Device.VirtualEthernetCard):
                entries.append(Boot.BootableEthernetDevice(deviceKey=device.key))
            else:
                made = kinds.get(type(device))
                entries.append(made() if made else Boot.BootableDiskDevice(deviceKey=device.key))
        self._boot(bootOrder=entries or [Boot.BootableDevice()])  # an entry of no kind restores the default order

    def _boot(self, **options: Any) -> None:
        boot = self.config.setdefault("bootOptions", vim.vm.BootOptions())
        for name, value in options.items():
            setattr(boot, name, value)

    def _watchdog(self, value: str | None) -> None:
        self._replace(Device.VirtualWDT, Device.VirtualWDT(runOnBoot=True, running=False) if value else None)

    def _sound(self, value: str | None) -> None:
        backing = Device.VirtualSoundCard.DeviceBackingInfo(deviceName="", useAutoDetect=True)
        self._replace(Device.VirtualSoundCard, SOUND[value](backing=backing) if value else None)

    def _tpm(self, value: bool | None) -> None:
        self._replace(Device.VirtualTPM, Device.VirtualTPM() if value else None)

    def _usb_controller(self, value: str | None) -> None:
        if value in USB:
            self.added.append(USB[value]())

    def _serial(self, serial: SerialSpec) -> None:
        if serial.file:
            Port = Device.VirtualSerialPort
            self.added.append(
                Port(
                    yieldOnPoll=True,
                    backing=Port.FileBackingInfo(fileName=datastore_path(serial.file)),
                    connectable=Device.VirtualDevice.ConnectInfo(startConnected=True, connected=True, allowGuestControl=True),
                )
            )

    def _replace(self, kind: Any, device: Any) -> None:
        present = [each for each in self._devices if isinstance(each, kind)]
        if device is None:
            self.removed += present
        elif not any(type(each) is type(device) for each in present):
            self.removed += present
            self.added.append(device)


def cpu_numbers(text: str) -> list[int]:
    """Return the numbers of "0-3,8".

    Example:
        >>> cpu_numbers("0-3,8")
        [0, 1, 2, 3, 8]
    """
    parts = (part.partition("-") for part in text.split(",") if part)
    return sorted({number for first, _, last in parts for number in range(int(first), int(last or first) + 1)})


def bootable_devices(devices: Sequence[Any]) -> dict[str, Any]:
    """Return the devices that a VM can boot from: disks and drives by target, NICs by MAC address."""
    cards = {(d.macAddress or "").lower(): d for d in devices if isinstance(d, Device.VirtualEthernetCard)}
    return dict(places(devices)) | cards


def datastore_path(path: str) -> str:
    """Return a path of an ESXi, "/vmfs/volumes/store/a/b.log", as vSphere's API names it.

    Example:
        >>> datastore_path("/vmfs/volumes/LocalDS_0/logs/web1.log")
        '[LocalDS_0] logs/web1.log'
    """
    store, _, rest = path.removeprefix(VMFS).partition("/")
    return f"[{store}] {rest}"


def problems(spec: VMSpec) -> Iterator[SpecProblem]:
    """Yield what vSphere can't do of the hardware that a spec asks for."""
    yield from problems_of_update({name: getattr(spec, name) for name in spec.model_fields_set}, spec.vcpus_max or spec.vcpus)
    sizes = {(len(node.numbers), node.memory) for node in spec.numa}
    expected = [number for node in spec.numa for number in sorted(node.numbers)]
    if len(sizes) > 1 or expected != sorted(expected):
        allowed = "nodes of the same size, with the vCPUs in order: vSphere divides a VM into equal NUMA nodes"
        yield SpecProblem("numa", f"{len(spec.numa)} nodes", allowed)
    if spec.serial.type != "serial":
        yield SpecProblem("serial.type", spec.serial.type, "serial")
    path = spec.serial.file
    if path and not (path.startswith(VMFS) and path.removeprefix(VMFS).partition("/")[2]):
        yield SpecProblem("serial.file", path, f"a file of a datastore: {VMFS}DATASTORE/FILE")
    if spec.launch_security and spec.launch_security.type != "sev":
        yield SpecProblem("launch_security.type", spec.launch_security.type, "sev")


def problems_of_update(fields: Mapping[str, Any], vcpus: int) -> Iterator[SpecProblem]:
    """Yield what vSphere can't do of the fields that both a new VM and a change have.

    Args:
        fields: the given fields by name.
        vcpus: the vCPUs that the VM then has.
    """
    if (topology := fields.get("topology")) is not None:
        if topology.threads != 1:
            yield SpecProblem("topology.threads", str(topology.threads), "1")
        elif topology.sockets * topology.cores != vcpus:
            yield SpecProblem("topology", f"{topology.sockets} x {topology.cores}", f"a topology of {vcpus} vCPUs")
    if (watchdog := fields.get("watchdog")) not in (None, "reset"):
        yield SpecProblem("watchdog", watchdog, "reset: vSphere's watchdog does nothing else")
    if (sound := fields.get("sound")) is not None and sound not in SOUND:
        yield SpecProblem("sound", sound, f"one of {', '.join(SOUND)}: vSphere's HD Audio")
    features = fields.get("features")
    if features is not None and features.iommu not in (None, "intel"):
        yield SpecProblem("features.iommu", features.iommu, "intel")
    memory = fields.get("memory_backing")
    if memory is not None and memory.hugepages and (memory.page_size != GIB or not memory.locked):
        given = f"hugepages of {memory.page_size or 'no'} bytes, locked={memory.locked}"
        yield SpecProblem(
            "memory_backing.hugepages", given, "page_size=1GiB and locked=True; an ESXi uses pages of 2 MiB by itself"
        )


def fitting_cores(config: Any, vcpus: int) -> dict[str, int]:
    """Return the cores of a socket that a number of vCPUs needs, as a value of a ConfigSpec; nothing if the present ones fit.

    vSphere rejects a number of vCPUs that is no multiple of the cores of a socket.
    """
    cores = config.hardware.numCoresPerSocket or 1
    return {} if vcpus % cores == 0 else {"numCoresPerSocket": math.gcd(vcpus, cores)}


def configuration(config: Any) -> dict[str, Any]:
    """Return the values of the hardware fields of `VMUpdate` that vSphere supports.

    Args:
        config: vSphere's ConfigInfo of the VM.
    """
    extra = {option.key: str(option.value) for option in config.extraConfig or ()}
    devices = config.hardware.device
    cores = config.hardware.numCoresPerSocket or 1
    named = {device.key: name for name, device in bootable_devices(devices).items()}
    huge = extra.get(LARGE_PAGES, "").upper() == "TRUE"
    return {
        "topology": {"sockets": max(1, config.hardware.numCPU // cores), "cores": cores, "threads": 1},
        "memory_backing": {
            "hugepages": huge,
            "page_size": GIB if huge else None,
            "locked": bool(config.memoryReservationLockedToMax),
            "preallocate": extra.get(PREALLOCATE, "").upper() == "TRUE",
            "merge": extra.get(PAGE_SHARING, "").upper() != "FALSE",
        },
        "features": {
            "hide_hypervisor": extra.get(HIDE_HYPERVISOR, "").upper() == "FALSE",
            "pmu": bool(config.vPMCEnabled),
            "iommu": "intel" if config.flags and config.flags.vvtdEnabled else None,
        },
        "boot_order": _boot_names(config.bootOptions, devices, named),
        "watchdog": "reset" if any(isinstance(each, Device.VirtualWDT) for each in devices) else None,
        "tpm": any(isinstance(each, Device.VirtualTPM) for each in devices),
        "sound": "ich9" if any(isinstance(each, Device.VirtualHdAudioCard) for each in devices) else None,
        "balloon": extra.get(BALLOON) != "0",
    }


def _boot_names(boot: Any, devices: Sequence[Any], named: Mapping[int, str]) -> list[str]:
    """Return the names of the devices in the boot order: disks and drives by target, NICs by MAC address."""
    found: list[str] = []
    kinds: dict[Any, Any] = {
        vim.vm.BootOptions.BootableCdromDevice: Device.VirtualCdrom,
        vim.vm.BootOptions.BootableFloppyDevice: Device.VirtualFloppy,
    }
    for entry in (boot.bootOrder if boot else None) or ():
        kind = kinds.get(type(entry))
        if kind is not None:
            found += [named[each.key] for each in devices if isinstance(each, kind)][:1]
        elif getattr(entry, "deviceKey", None) in named:
            found.append(named[entry.deviceKey])
    return found


__all__ = ["Hardware", "configuration", "cpu_numbers", "datastore_path", "fitting_cores", "problems", "problems_of_update"]
