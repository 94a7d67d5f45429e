"""A VM as asked for, and changes to one."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from novacron.specs.cloud_init import CloudInitSpec
from novacron.specs.devices import (
    ChannelSpec,
    DisplaySpec,
    FilesystemSpec,
    HostDeviceSpec,
    Panic,
    SCSIController,
    SerialSpec,
    Sound,
    SystemField,
    USBController,
    Video,
)
from novacron.specs.disks import DiskSpec
from novacron.specs.hardware import (
    Clock,
    CPUTopology,
    FeaturesSpec,
    LaunchSecuritySpec,
    MemoryBackingSpec,
    NUMANodeSpec,
    Numbers,
    SecurityLabelSpec,
)
from novacron.specs.nics import NICSpec
from novacron.specs.spec import FieldError, MemorySize, Name, Reference, Seconds, Spec, Tag

Firmware = Literal["bios", "uefi", "uefi-secure"]
Watchdog = Literal["reset", "shutdown", "poweroff", "pause", "none", "dump", "inject-nmi"]


class KernelSpec(Spec):
    """Direct kernel boot: absolute paths on the host, and the kernel's command line."""

    path: str = Field(pattern=r"^/")
    initrd: str | None = Field(None, pattern=r"^/")
    command_line: str = ""


class VMSpec(Spec):
    """A VM to be created. Only `name` is needed; sizes are bytes or text such as "2GiB".

    `machine` and `arch` are the hypervisor's own names; None takes its best. `virt_type` None lets the driver probe.
    `cpu_model` is a CPU's name instead of a `cpu_mode`; `cpu_features` add to it ("avx2") or take from it ("-avx2").
    `watchdog` is what happens when the guest no longer feeds its watchdog; `vsock` gives it a socket to its host.
    A running VM's balloon can be let out to `memory_max`; memory modules can be added to it up to `max_memory`. `iothreads` are threads
    that serve disks; a disk names its own by number, from 1. `video` None fits the `display`, and there is none without one.

    Attributes:
        boot_menu: shows the firmware's boot menu for that time, up to 65 s.
        system_info: what the guest reads in SMBIOS about its machine, such as {"manufacturer": "Example", "serial": "S-1"}.
        cpuset: the host's CPUs that the VM may use, such as "0-3,8". `resources.pin` binds single vCPUs.
        confined: False turns off the host's confinement (SELinux, AppArmor, own user) for this VM. Use it for debugging only.
        panic: a device by which the guest reports that its kernel crashed; the VM is then `crashed`.
        security_labels: labels of the host's security drivers for this VM. Without them libvirt generates the labels.
        usb_controller: the model of the USB controller, or "none"; None takes the machine's own.
        scsi_controller: the model of the SCSI controller. None takes virtio-scsi if the VM has SCSI disks.
        pcie_ports: free PCI Express ports for devices that are added later, of machines that have them. None is the driver's default (14).
        virtio_serial_ports: how many channels and virtio consoles the VM can have; None is libvirt's default (31).

    Example:
        >>> VMSpec(name="web1", memory="2GiB", disks=[DiskSpec(size="20GiB")]).memory
        2147483648
        >>> VMSpec(name="../x", vcpus=0)
        Traceback (most recent call last):
        ...
        novacron.errors.InvalidSpecError: invalid VMSpec: name: got '../x', allowed: 1 to 128 letters, digits and \
`_ . + -`; a letter, a digit or `_` comes first; vcpus: got '0', allowed: at least 1
    """

    name: Name
    id: UUID | None = None
    vcpus: int = Field(1, ge=1, le=4096)
    vcpus_max: int | None = Field(None, ge=1, le=4096)
    memory: MemorySize = 512 * 1024**2
    memory_max: MemorySize | None = None
    max_memory: MemorySize | None = None
    arch: str | None = Field(None, pattern=r"^[a-z0-9_]+$")
    machine: str | None = Field(None, pattern=r"^[A-Za-z0-9_.-]+$")
    virt_type: Literal["kvm", "qemu"] | None = None
    cpu_mode: Literal["default", "host-model", "host-passthrough", "maximum"] = "default"
    cpu_model: str | None = Field(None, pattern=r"^[A-Za-z0-9_.-]+$")
    cpu_features: frozenset[Annotated[str, Field(pattern=r"^-?[a-z0-9_][a-z0-9_.-]*$")]] = frozenset()
    topology: CPUTopology | None = None
    numa: tuple[NUMANodeSpec, ...] = ()
    memory_backing: MemoryBackingSpec = MemoryBackingSpec()
    iothreads: int = Field(0, ge=0, le=256)
    features: FeaturesSpec = FeaturesSpec()
    clock: Clock = "utc"
    launch_security: LaunchSecuritySpec | None = None
    watchdog: Watchdog | None = None
    vsock: bool = False
    firmware: Firmware = "bios"
    tpm: bool = False
    kernel: KernelSpec | None = None
    iso: str | None = None
    boot_menu: Annotated[Seconds, Field(ge=0, le=65)] | None = None
    system_info: dict[SystemField, Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f]+$")]] = Field(
        default_factory=dict
    )
    cpuset: Numbers | None = None
    confined: bool = True
    security_labels: tuple[SecurityLabelSpec, ...] = ()
    panic: Panic | None = None
    usb_controller: USBController | None = None
    scsi_controller: SCSIController | None = None
    pcie_ports: int | None = Field(None, ge=1, le=128)
    virtio_serial_ports: int | None = Field(None, ge=1, le=31)
    disks: tuple[DiskSpec, ...] = ()
    nics: tuple[NICSpec, ...] = ()
    serial: SerialSpec = SerialSpec()
    channels: tuple[ChannelSpec, ...] = ()
    display: DisplaySpec | None = None
    video: Video | None = None
    sound: Sound | None = None
    host_devices: tuple[HostDeviceSpec, ...] = ()
    filesystems: tuple[FilesystemSpec, ...] = ()
    balloon: bool = True
    guest_agent: bool = True
    rng: bool = True
    cloud_init: CloudInitSpec | None = None
    tags: frozenset[Tag] = frozenset()
    metadata: dict[Name, str] = Field(default_factory=dict)
    description: str = ""
    autostart: bool = False
    start: bool = False
    node: Reference | None = None
    native: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.vcpus_max is not None and self.vcpus_max < self.vcpus:
            raise ValueError("vcpus_max of at least vcpus")
        if self.memory_max is not None and self.memory_max < self.memory:
            raise ValueError("memory_max of at least memory")
        if self.max_memory is not None and self.max_memory < (self.memory_max or self.memory):
            raise ValueError("max_memory of at least memory and memory_max")
        if self.cpu_model and self.cpu_mode != "default":
            raise ValueError("either cpu_model or cpu_mode")
        if twice := {feature.removeprefix("-") for feature in self.cpu_features if f"-{feature}" in self.cpu_features}:
            raise ValueError(f"each of cpu_features once, not with and without: {', '.join(sorted(twice))}")
        vcpus = self.vcpus_max or self.vcpus
        if self.topology:
            places = self.topology.sockets * self.topology.cores * self.topology.threads
            if places != vcpus:
                raise ValueError(f"a topology of {vcpus} vCPUs, not {places}")
        if self.numa:
            placed = [number for node in self.numa for number in sorted(node.numbers)]
            if sorted(placed) != list(range(vcpus)):
                raise ValueError(f"each of the vCPUs 0 to {vcpus - 1} on one of the NUMA nodes")
            if sum(node.memory for node in self.numa) != (self.memory_max or self.memory):
                raise ValueError("NUMA nodes with all of the memory together")
        if self.firmware == "uefi-secure" and self.kernel:
            raise ValueError("direct kernel boot without uefi-secure: the firmware would run an unsigned kernel unchecked")
        if any((d.iothread or 0) > self.iothreads for d in self.disks):
            raise ValueError("iothreads as many as the disks name")
        if self.usb_controller == "none" and (
            self.sound == "usb" or any(d.bus == "usb" for d in self.disks) or any(d.usb for d in self.host_devices)
        ):
            raise FieldError("usb_controller", "a USB controller, because the VM has USB devices")
        if self.security_labels and not self.confined:
            raise FieldError("security_labels", "none with confined=false")
        self._each_once()
        return self

    @property
    def boot_orders(self) -> list[int]:
        """The places in the boot order that devices were given."""
        devices: tuple[DiskSpec | NICSpec | HostDeviceSpec, ...] = (*self.disks, *self.nics, *self.host_devices)
        return [device.boot_order for device in devices if device.boot_order is not None]

    def _each_once(self) -> None:
        """Refuse two devices of one name."""
        named: dict[str, list[Any]] = {
            "target for each disk": [d.target for d in self.disks],
            "MAC address for each NIC": [n.mac and n.mac.lower() for n in self.nics],
            "boot_order for each device": self.boot_orders,
            "name for each channel": [c.name for c in self.channels],
            "tag for each filesystem": [f.tag for f in self.filesystems],
            "model for each of security_labels": [label.model for label in self.security_labels],
            "device of the host each time": [d.pci or d.mdev for d in self.host_devices],
        }
        for what, names in named.items():
            if len(given := [name for name in names if name is not None]) != len({*given}):
                raise ValueError(f"a different {what}")


class VMUpdate(Spec):
    """Changes to a VM: only the given fields change.

    The fields from `vcpus_max` on are the hardware of the VM. They apply when the VM is started the next time; of a running VM only its
    definition changes. For these fields None removes a device (`display`, `video`, `sound`, `watchdog`, `kernel`) or restores
    the hypervisor's default (`cpu_model`, `topology`).

    Attributes:
        metadata: is merged; None as a value removes a key.
        boot_order: the devices to boot from, first one first: disks by target ("vda"), NICs by MAC address. An empty list restores the
            default, which is the first hard disk, then a CD-ROM.
        features: the given features change, the others stay; so with `memory_backing` and `display`.
        cpu_features: replaces all features that were added to the CPU or taken from it.

    Example:
        >>> VMUpdate(watchdog=None, boot_order=["vda"]).as_dict()
        {'boot_order': ['vda'], 'watchdog': None}
    """

    vcpus: int | None = Field(None, ge=1, le=4096)
    memory: MemorySize | None = None
    description: str | None = None
    tags: frozenset[Tag] | None = None
    metadata: dict[Name, str | None] | None = None
    autostart: bool | None = None
    vcpus_max: int | None = Field(None, ge=1, le=4096)
    cpu_mode: Literal["default", "host-model", "host-passthrough", "maximum"] | None = None
    cpu_model: str | None = Field(None, pattern=r"^[A-Za-z0-9_.-]+$")
    cpu_features: frozenset[Annotated[str, Field(pattern=r"^-?[a-z0-9_][a-z0-9_.-]*$")]] | None = None
    topology: CPUTopology | None = None
    memory_backing: MemoryBackingSpec | None = None
    boot_order: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9:_.-]+$")], ...] | None = None
    kernel: KernelSpec | None = None
    features: FeaturesSpec | None = None
    clock: Clock | None = None
    watchdog: Watchdog | None = None
    vsock: bool | None = None
    tpm: bool | None = None
    display: DisplaySpec | None = None
    video: Video | None = None
    sound: Sound | None = None
    balloon: bool | None = None
    rng: bool | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.cpu_model and self.cpu_mode not in (None, "default"):
            raise ValueError("either cpu_model or cpu_mode")
        if len({*(self.boot_order or ())}) != len(self.boot_order or ()):
            raise ValueError("each device of boot_order once")
        return self

    @property
    def hardware(self) -> dict[str, Any]:
        """The given fields that apply at the next start, by name; None as a value removes a device or restores the default."""
        return {field: getattr(self, field) for field in HARDWARE if field in self.model_fields_set}

    def as_dict(self) -> dict[str, Any]:
        """Return the given fields as plain values."""
        fields: dict[str, Any] = self.model_dump(mode="json", exclude_unset=True)
        if self.topology is not None:
            fields["topology"] = self.topology.model_dump()
        return {name: sorted(value) if name in ("tags", "cpu_features") and value else value for name, value in fields.items()}


HARDWARE = tuple(VMUpdate.model_fields)[tuple(VMUpdate.model_fields).index("vcpus_max") :]
"""The fields of `VMUpdate` that apply at the next start of a VM, in the order of the class."""

__all__ = ["HARDWARE", "Firmware", "KernelSpec", "VMSpec", "VMUpdate"]
