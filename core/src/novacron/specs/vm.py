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
    """Direct kernel boot: the hypervisor loads the kernel itself, without a boot loader.

    Attributes:
        path: Kernel file on the host (absolute path).
        initrd: Initial RAM disk on the host (absolute path). Without it the kernel boots without one.
        command_line: Command line of the kernel, such as "console=ttyS0 root=/dev/vda1". Default: empty.
    """

    path: str = Field(pattern=r"^/")
    initrd: str | None = Field(None, pattern=r"^/")
    command_line: str = ""


class VMSpec(Spec):
    """A VM to be created. Only `name` is needed; sizes are bytes or text such as "2GiB".

    Attributes:
        name: Name of the VM, unique on its host.
        id: UUID of the VM. Without it a new one is chosen.
        vcpus: Number of virtual CPUs. Default: 1.
        vcpus_max: Number of vCPUs up to which vCPUs can be added while the VM runs. Without it none can be added.
        memory: Memory of the VM in bytes, or text such as "2GiB". Default: 512 MiB.
        memory_max: Upper limit of the balloon in bytes, or text such as "4GiB": up to it a running VM can get more memory.
            Default: the same as `memory`.
        max_memory: Upper limit of memory hot plug in bytes, or text such as "16GiB": up to it memory modules can be added to a
            running VM. Without it none can be added.
        arch: CPU architecture such as "x86_64" or "aarch64". Without it the hypervisor chooses the best one of the host.
        machine: Machine type in the hypervisor's own words, such as "q35" or "pc". Without it the hypervisor chooses.
        virt_type: "kvm" uses the virtualization of the CPU, "qemu" emulates the CPU and is slow. Without it the driver uses kvm
            if it works.
        cpu_mode: CPU that the guest sees: "host-passthrough" is the CPU of the host, "host-model" one similar to it, "maximum"
            all features that can be provided, "default" leaves it to the hypervisor. Default: "default".
        cpu_model: Name of a CPU model instead of a `cpu_mode`, such as "Skylake-Server". Without it `cpu_mode` decides.
        cpu_features: CPU features to add ("avx2") or to remove ("-avx2"). Default: those of the CPU model.
        topology: How the vCPUs appear in sockets, cores and threads. Without it the hypervisor decides.
        numa: NUMA nodes that the guest sees. Without them it has one node.
        memory_backing: How the host provides the memory: huge pages, locked, shared. Default: ordinary memory.
        iothreads: Number of threads that serve disks; a disk chooses one with `iothread`. Default: 0, the main thread serves all
            disks.
        features: Features of the machine, such as the Hyper-V interfaces for Windows.
        clock: Time that the guest's hardware clock shows: "utc", "localtime" (of the host), or a time zone such as
            "Europe/Berlin". Windows expects "localtime". Default: "utc".
        launch_security: Encrypts the memory so that the host can't read it (AMD SEV, IBM Secure Execution). Without it the memory
            is not encrypted.
        watchdog: What happens if the guest stops resetting its watchdog, for example because it hangs. Without it the VM has no
            watchdog.
        vsock: Whether the VM has a vsock device: a socket to its host without a network. Default: false.
        firmware: Firmware that boots the VM: "bios", "uefi", or "uefi-secure" with Secure Boot. Default: "bios".
        tpm: Whether the VM has an emulated TPM 2.0, as Windows 11 needs. Default: false.
        kernel: Boots a kernel of the host directly, without a boot loader. Without it the VM boots from its devices.
        iso: ISO file for a CD-ROM drive, such as an installer: "POOL/VOLUME" or an absolute path. Without it there is no such
            drive.
        boot_menu: Shows the boot menu of the firmware for this time, in seconds (0 to 65) or text such as "10s". Without it there
            is no menu.
        system_info: What the guest reads about its machine (SMBIOS), such as {"manufacturer": "Example", "serial": "S-1"}.
            Default: the hypervisor's values.
        cpuset: CPUs of the host that the VM may use, such as "0-3,8". Without it all of them. Single vCPUs are bound with
            `vm.resources.pin`.
        confined: Whether the host confines the VM (SELinux, AppArmor, own user). False turns it off; use it for debugging only.
            Default: true.
        security_labels: Labels of the host's security drivers for this VM. Without them libvirt generates the labels.
        panic: Device by which the guest reports that its kernel crashed; the VM is then `crashed`. Without it there is none.
        usb_controller: Model of the USB controller, or "none". Without it the machine type decides.
        scsi_controller: Model of the SCSI controller. Without it virtio-scsi is used if the VM has SCSI disks.
        pcie_ports: Number of free PCI Express ports for devices that are added later, on machines that have them. Without it the
            driver's default is used (14).
        virtio_serial_ports: Number of channels and virtio consoles that the VM can have. Without it libvirt's default is used
            (31).
        disks: Disks, the first one is booted from. Without them the VM has no disk.
        nics: Network interfaces. Without them the VM has no network.
        serial: Serial console. Default: a serial port that `novacron console` opens.
        channels: Channels between programs in the guest and on the host. Default: only that of the guest agent.
        display: Graphical display. Without it there is none.
        video: Model of the graphics card. Without it one that fits the `display`; there is none without a display.
        sound: Model of the sound card. Without it there is none.
        host_devices: Devices of the host (PCI, USB, mediated) that the VM gets for itself.
        filesystems: Folders of the host that the guest can mount.
        balloon: Whether the VM has a memory balloon, by which a running VM's memory is changed and measured. Default: true.
        guest_agent: Whether the VM has a channel for the guest agent. The agent itself must be installed in the guest. Default:
            true.
        rng: Whether the VM has a random number generator that is fed by the host. Default: true.
        cloud_init: What cloud-init does at the first boot: users, SSH keys, packages, network. Without it there is no cloud-init
            data.
        tags: Tags of the VM, for groups and filters.
        metadata: Your own keys and values to store with the VM. NovaCron does not interpret them.
        description: Your own text, of one or more lines.
        autostart: Whether the VM starts when its host boots. Default: false.
        start: Whether the VM is started after it is created. Default: false.
        node: Node (physical machine) of the host that shall run the VM. Without it the host chooses.
        native: Settings in the hypervisor's own words that NovaCron has no field for. Which keys are supported depends on the
            driver.

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
            raise FieldError("iothreads", "as many as the iothread of a disk")
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

    The fields from `vcpus_max` on are the hardware of the VM. They apply when the VM is started the next time; of a running VM
    only its definition changes. For these fields None removes a device (`display`, `video`, `sound`, `watchdog`, `kernel`) or
    restores the hypervisor's default (`cpu_model`, `topology`).

    Attributes:
        vcpus: Number of virtual CPUs, at once if the running VM can change it.
        memory: Memory of the VM in bytes, or text such as "2GiB", at once if the running VM can change it.
        description: Your own text, of one or more lines; it replaces the former one.
        tags: All tags of the VM; they replace the former ones.
        metadata: Your own keys and values. They are merged with the former ones; None as a value removes a key.
        autostart: Whether the VM starts when its host boots.
        vcpus_max: Number of vCPUs up to which vCPUs can be added while the VM runs.
        cpu_mode: CPU that the guest sees: "host-passthrough" is the CPU of the host, "host-model" one similar to it, "maximum"
            all features that can be provided, "default" leaves it to the hypervisor.
        cpu_model: Name of a CPU model instead of a `cpu_mode`; None restores the default.
        cpu_features: CPU features to add ("avx2") or to remove ("-avx2"); they replace all that were added or removed before.
        topology: How the vCPUs appear in sockets, cores and threads. The given parts change, the others stay; sockets that are not
            given follow the number of vCPUs. None leaves it to the hypervisor.
        memory_backing: How the host provides the memory. The given settings change, the others stay.
        boot_order: Devices to boot from, first one first: disks by target ("vda"), NICs by MAC address. An empty list restores
            the default: the first hard disk, then a CD-ROM.
        kernel: Boots a kernel of the host directly; None boots from the devices again.
        features: Features of the machine. The given features change, the others stay.
        clock: Time that the guest's hardware clock shows: "utc", "localtime" (of the host), or a time zone such as
            "Europe/Berlin".
        watchdog: What happens if the guest stops resetting its watchdog; None removes the watchdog.
        vsock: Whether the VM has a vsock device: a socket to its host without a network.
        tpm: Whether the VM has an emulated TPM 2.0, as Windows 11 needs.
        display: Graphical display. The given settings change, the others stay; None removes it.
        video: Model of the graphics card; None removes it.
        sound: Model of the sound card; None removes it.
        balloon: Whether the VM has a memory balloon, by which a running VM's memory is changed and measured.
        rng: Whether the VM has a random number generator that is fed by the host.

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
        return {name: sorted(value) if name in ("tags", "cpu_features") and value else value for name, value in fields.items()}


HARDWARE = tuple(VMUpdate.model_fields)[tuple(VMUpdate.model_fields).index("vcpus_max") :]
"""The fields of `VMUpdate` that apply at the next start of a VM, in the order of the class."""

__all__ = ["HARDWARE", "Firmware", "KernelSpec", "VMSpec", "VMUpdate"]
