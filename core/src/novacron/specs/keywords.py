"""The fields of the specs as keyword arguments, for type checkers.

`python -m novacron.specs.generate` makes this module, and a test compares it with the specs.

Classes named `...Options` leave `name` out, where a method takes it as an argument of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Any, Literal, TypedDict
from uuid import UUID

from novacron.specs import (
    ChannelSpec,
    CloudInitSpec,
    CPUTopology,
    DeviceLimits,
    DHCPHostSpec,
    DiskLimits,
    DiskSpec,
    DisplaySpec,
    DNSHostSpec,
    FeaturesSpec,
    FilesystemSpec,
    FilterRule,
    HostDeviceSpec,
    KernelSpec,
    LaunchSecuritySpec,
    MemoryBackingSpec,
    NICLimits,
    NICSpec,
    NUMANodeSpec,
    PortGroupSpec,
    SecurityLabelSpec,
    SerialSpec,
)


class ApplianceOptions(TypedDict, total=False):
    """The fields of `ApplianceSpec` but for its name."""

    pool: str
    networks: Mapping[str, str]
    tags: Iterable[str]
    metadata: Mapping[str, str]
    start: bool


class ApplianceFields(ApplianceOptions, total=False):
    """The fields of `ApplianceSpec`."""

    name: str | None


class CPUTopologyFields(TypedDict, total=False):
    """The fields of `CPUTopology`."""

    sockets: int
    cores: int
    threads: int


class ChannelOptions(TypedDict, total=False):
    """The fields of `ChannelSpec` but for its name."""

    path: str | None


class ChannelFields(ChannelOptions, total=False):
    """The fields of `ChannelSpec`."""

    name: str


class CloudInitFields(TypedDict, total=False):
    """The fields of `CloudInitSpec`."""

    user_data: str | None
    vendor_data: str | None
    network_config: str | None
    hostname: str | None
    user: str | None
    ssh_keys: Sequence[str]
    password: str | None
    commands: Sequence[str]
    packages: Sequence[str]


class DHCPHostFields(TypedDict, total=False):
    """The fields of `DHCPHostSpec`."""

    mac: str
    address: IPv4Address | str | IPv6Address
    hostname: str | None


class DNSHostFields(TypedDict, total=False):
    """The fields of `DNSHostSpec`."""

    address: IPv4Address | str | IPv6Address
    names: Sequence[str]


class DeviceLimitsFields(TypedDict, total=False):
    """The fields of `DeviceLimits`."""

    weight: int | None
    read_bytes_per_second: int | str | None
    write_bytes_per_second: int | str | None
    read_iops: int | None
    write_iops: int | None


class DiskLimitsFields(TypedDict, total=False):
    """The fields of `DiskLimits`."""

    read_bytes_per_second: int | str | None
    write_bytes_per_second: int | str | None
    total_bytes_per_second: int | str | None
    read_iops: int | None
    write_iops: int | None
    total_iops: int | None


class DiskOptions(TypedDict, total=False):
    """The fields of `DiskSpec` but for its name."""

    size: int | str | None
    source: str | None
    path: str | None
    copy_mode: Literal["backing", "full"]
    pool: str
    device: Literal["disk", "cdrom", "floppy"]
    bus: Literal["virtio", "scsi", "sata", "ide", "usb", "nvme"] | None
    format: Literal["qcow2", "raw", "vmdk", "vdi"]
    target: str | None
    preallocate: bool
    read_only: bool
    shareable: bool
    boot_order: int | None
    serial: str | None
    cache: Literal["default", "none", "writethrough", "writeback", "directsync", "unsafe"] | None
    io: Literal["native", "threads", "io_uring"] | None
    discard: Literal["unmap", "ignore"] | None
    detect_zeroes: Literal["off", "on", "unmap"] | None
    wwn: str | None
    iothread: int | None
    queues: int | None
    limits: DiskLimits | DiskLimitsFields | None
    encryption: str | None


class DiskFields(DiskOptions, total=False):
    """The fields of `DiskSpec`."""

    name: str | None


class DisplayFields(TypedDict, total=False):
    """The fields of `DisplaySpec`."""

    type: Literal["vnc", "spice"]
    listen: str
    port: int | None
    keymap: str | None


class FeaturesFields(TypedDict, total=False):
    """The fields of `FeaturesSpec`."""

    hyperv: bool
    hide_hypervisor: bool
    pmu: bool | None
    iommu: Literal["intel", "virtio", "smmuv3"] | None


class FilesystemFields(TypedDict, total=False):
    """The fields of `FilesystemSpec`."""

    source: str
    tag: str
    type: Literal["9p", "virtiofs"]
    read_only: bool


class FilterRuleFields(TypedDict, total=False):
    """The fields of `FilterRule`."""

    action: Literal["allow", "deny", "reject"]
    direction: Literal["in", "out", "both"]
    protocol: Literal["any", "tcp", "udp", "icmp", "icmpv6", "sctp"]
    peer: IPv4Network | str | IPv6Network | None
    ports: str | None
    priority: int


class HostDeviceFields(TypedDict, total=False):
    """The fields of `HostDeviceSpec`."""

    pci: str | None
    usb: str | None
    mdev: UUID | str | None
    boot_order: int | None


class KernelFields(TypedDict, total=False):
    """The fields of `KernelSpec`."""

    path: str
    initrd: str | None
    command_line: str


class LaunchSecurityFields(TypedDict, total=False):
    """The fields of `LaunchSecuritySpec`."""

    type: Literal["sev", "s390-pv"]
    policy: int
    session: str | None
    dh_cert: str | None


class LimitsFields(TypedDict, total=False):
    """The fields of `LimitsSpec`."""

    cpu_shares: int | None
    cpu_limit_percent: float | None
    vcpu_limit_percent: float | None
    emulator_limit_percent: float | None
    iothread_limit_percent: float | None
    cpu_period_us: int | None
    cpu_guarantee_mhz: int | None
    memory_limit: int | str | None
    memory_soft_limit: int | str | None
    memory_swap_limit: int | str | None
    memory_guarantee: int | str | None
    io_weight: int | None
    devices: Mapping[str, DeviceLimits | DeviceLimitsFields]
    disks: Mapping[str, DiskLimits | DiskLimitsFields]
    nics: Mapping[str, NICLimits | NICLimitsFields]


class MemoryBackingFields(TypedDict, total=False):
    """The fields of `MemoryBackingSpec`."""

    hugepages: bool
    page_size: int | str | None
    source: Literal["anonymous", "memfd", "file"] | None
    shared: bool
    locked: bool
    preallocate: bool
    discard: bool
    merge: bool


class MigrationFields(TypedDict, total=False):
    """The fields of `MigrationSpec`."""

    live: bool
    storage: Literal["shared", "copy", "copy-top"]
    bandwidth: int | str | None
    max_downtime: float | str | timedelta | None
    deadline: float | str | timedelta
    auto_converge: bool
    post_copy: bool
    compression: bool
    parallel: int | None
    peer_to_peer: bool
    transport: Literal["native", "tls", "tunnel"]
    persistent: bool
    node: str | None
    pool: str | None
    folder: str | None
    networks: Mapping[str, str]
    destination_uri: str | None


class NICLimitsFields(TypedDict, total=False):
    """The fields of `NICLimits`."""

    inbound_bytes_per_second: int | str | None
    outbound_bytes_per_second: int | str | None


class NICFields(TypedDict, total=False):
    """The fields of `NICSpec`."""

    network: str | None
    bridge: str | None
    device: str | None
    user: bool
    mac: str | None
    model: Literal["virtio", "e1000", "e1000e", "rtl8139", "igb"]
    mtu: int | None
    queues: int | None
    link_up: bool
    vlan: int | None
    portgroup: str | None
    filter: str | None
    isolated: bool
    inbound_bytes_per_second: int | str | None
    outbound_bytes_per_second: int | str | None
    boot_order: int | None


class NICUpdateFields(TypedDict, total=False):
    """The fields of `NICUpdate`."""

    network: str | None
    bridge: str | None
    device: str | None
    user: bool
    mac: str | None
    model: Literal["virtio", "e1000", "e1000e", "rtl8139", "igb"]
    mtu: int | None
    queues: int | None
    link_up: bool
    vlan: int | None
    portgroup: str | None
    filter: str | None
    isolated: bool
    inbound_bytes_per_second: int | str | None
    outbound_bytes_per_second: int | str | None
    boot_order: int | None


class NUMANodeFields(TypedDict, total=False):
    """The fields of `NUMANodeSpec`."""

    vcpus: str
    memory: int | str
    host_nodes: str | None


class NetworkOptions(TypedDict, total=False):
    """The fields of `NetworkSpec` but for its name."""

    type: Literal["nat", "routed", "isolated", "bridged", "open", "macvtap"]
    bridge: str | None
    device: str | None
    cidr: IPv4Interface | str | IPv6Interface | None
    dhcp_start: IPv4Address | str | IPv6Address | None
    dhcp_end: IPv4Address | str | IPv6Address | None
    dhcp_hosts: Sequence[DHCPHostSpec | DHCPHostFields]
    dns_hosts: Sequence[DNSHostSpec | DNSHostFields]
    domain: str | None
    portgroups: Sequence[PortGroupSpec | PortGroupFields]
    vlan: int | None
    openvswitch: bool
    mtu: int | None
    stp: bool | None
    forward_delay: int | None
    autostart: bool


class NetworkFields(NetworkOptions, total=False):
    """The fields of `NetworkSpec`."""

    name: str


class PortGroupOptions(TypedDict, total=False):
    """The fields of `PortGroupSpec` but for its name."""

    default: bool
    vlan: int | None
    inbound_bytes_per_second: int | str | None
    outbound_bytes_per_second: int | str | None


class PortGroupFields(PortGroupOptions, total=False):
    """The fields of `PortGroupSpec`."""

    name: str


class SecurityLabelFields(TypedDict, total=False):
    """The fields of `SecurityLabelSpec`."""

    model: Literal["selinux", "apparmor", "dac"]
    type: Literal["static", "dynamic"]
    label: str | None
    base_label: str | None
    relabel: bool | None


class SerialFields(TypedDict, total=False):
    """The fields of `SerialSpec`."""

    type: Literal["serial", "virtio"]
    log: str | None
    tcp: str | None
    unix: str | None
    file: str | None


class SnapshotOptions(TypedDict, total=False):
    """The fields of `SnapshotSpec` but for its name."""

    description: str
    memory: bool | None
    quiesce: bool
    kind: Literal["internal", "external"] | None


class SnapshotFields(SnapshotOptions, total=False):
    """The fields of `SnapshotSpec`."""

    name: str


class StoragePoolOptions(TypedDict, total=False):
    """The fields of `StoragePoolSpec` but for its name."""

    type: Literal["dir", "fs", "netfs", "logical", "iscsi", "rbd"]
    path: str | None
    source_host: str | None
    source_path: str | None
    source_name: str | None
    autostart: bool


class StoragePoolFields(StoragePoolOptions, total=False):
    """The fields of `StoragePoolSpec`."""

    name: str


class TemplateOptions(TypedDict, total=False):
    """The fields of `TemplateSpec` but for its name."""

    description: str
    tags: Iterable[str]
    seal: bool


class TemplateFields(TemplateOptions, total=False):
    """The fields of `TemplateSpec`."""

    name: str


class TrafficFilterOptions(TypedDict, total=False):
    """The fields of `TrafficFilterSpec` but for its name."""

    rules: Sequence[FilterRule | FilterRuleFields]
    default: Literal["allow", "deny"]
    anti_spoofing: bool
    native: str | None


class TrafficFilterFields(TrafficFilterOptions, total=False):
    """The fields of `TrafficFilterSpec`."""

    name: str


class VMOptions(TypedDict, total=False):
    """The fields of `VMSpec` but for its name."""

    id: UUID | str | None
    vcpus: int
    vcpus_max: int | None
    memory: int | str
    memory_max: int | str | None
    max_memory: int | str | None
    arch: str | None
    machine: str | None
    virt_type: Literal["kvm", "qemu"] | None
    cpu_mode: Literal["default", "host-model", "host-passthrough", "maximum"]
    cpu_model: str | None
    cpu_features: Iterable[str]
    topology: CPUTopology | CPUTopologyFields | None
    numa: Sequence[NUMANodeSpec | NUMANodeFields]
    memory_backing: MemoryBackingSpec | MemoryBackingFields
    iothreads: int
    features: FeaturesSpec | FeaturesFields
    clock: str
    launch_security: LaunchSecuritySpec | LaunchSecurityFields | None
    watchdog: Literal["reset", "shutdown", "poweroff", "pause", "none", "dump", "inject-nmi"] | None
    vsock: bool
    firmware: Literal["bios", "uefi", "uefi-secure"]
    tpm: bool
    kernel: KernelSpec | KernelFields | None
    iso: str | None
    boot_menu: float | str | timedelta | None
    system_info: Mapping[Literal["manufacturer", "product", "version", "serial", "sku", "family"], str]
    cpuset: str | None
    confined: bool
    security_labels: Sequence[SecurityLabelSpec | SecurityLabelFields]
    panic: Literal["isa", "hyperv", "pseries", "s390"] | None
    usb_controller: Literal["none", "piix3-uhci", "ehci", "nec-xhci", "qemu-xhci"] | None
    scsi_controller: Literal["virtio-scsi", "lsilogic", "lsisas1068", "lsisas1078"] | None
    pcie_ports: int | None
    virtio_serial_ports: int | None
    disks: Sequence[DiskSpec | DiskFields]
    nics: Sequence[NICSpec | NICFields]
    serial: SerialSpec | SerialFields
    channels: Sequence[ChannelSpec | ChannelFields]
    display: DisplaySpec | DisplayFields | None
    video: Literal["vga", "virtio", "qxl", "cirrus", "bochs", "ramfb", "none"] | None
    sound: Literal["ich6", "ich9", "ac97", "usb"] | None
    host_devices: Sequence[HostDeviceSpec | HostDeviceFields]
    filesystems: Sequence[FilesystemSpec | FilesystemFields]
    balloon: bool
    guest_agent: bool
    rng: bool
    cloud_init: CloudInitSpec | CloudInitFields | None
    tags: Iterable[str]
    metadata: Mapping[str, str]
    description: str
    autostart: bool
    start: bool
    node: str | None
    native: Mapping[str, Any]


class VMFields(VMOptions, total=False):
    """The fields of `VMSpec`."""

    name: str


class VMUpdateFields(TypedDict, total=False):
    """The fields of `VMUpdate`."""

    vcpus: int | None
    memory: int | str | None
    description: str | None
    tags: Iterable[str] | None
    metadata: Mapping[str, str | None] | None
    autostart: bool | None
    vcpus_max: int | None
    cpu_mode: Literal["default", "host-model", "host-passthrough", "maximum"] | None
    cpu_model: str | None
    cpu_features: Iterable[str] | None
    topology: CPUTopology | CPUTopologyFields | None
    memory_backing: MemoryBackingSpec | MemoryBackingFields | None
    boot_order: Sequence[str] | None
    kernel: KernelSpec | KernelFields | None
    features: FeaturesSpec | FeaturesFields | None
    clock: str | None
    watchdog: Literal["reset", "shutdown", "poweroff", "pause", "none", "dump", "inject-nmi"] | None
    vsock: bool | None
    tpm: bool | None
    display: DisplaySpec | DisplayFields | None
    video: Literal["vga", "virtio", "qxl", "cirrus", "bochs", "ramfb", "none"] | None
    sound: Literal["ich6", "ich9", "ac97", "usb"] | None
    balloon: bool | None
    rng: bool | None


class VolumeOptions(TypedDict, total=False):
    """The fields of `VolumeSpec` but for its name."""

    capacity: int | str | None
    format: Literal["qcow2", "raw", "vmdk", "vdi"]
    backing: str | None
    preallocate: bool
    encryption: str | None


class VolumeFields(VolumeOptions, total=False):
    """The fields of `VolumeSpec`."""

    name: str


__all__ = [
    "ApplianceFields",
    "ApplianceOptions",
    "CPUTopologyFields",
    "ChannelFields",
    "ChannelOptions",
    "CloudInitFields",
    "DHCPHostFields",
    "DNSHostFields",
    "DeviceLimitsFields",
    "DiskFields",
    "DiskLimitsFields",
    "DiskOptions",
    "DisplayFields",
    "FeaturesFields",
    "FilesystemFields",
    "FilterRuleFields",
    "HostDeviceFields",
    "KernelFields",
    "LaunchSecurityFields",
    "LimitsFields",
    "MemoryBackingFields",
    "MigrationFields",
    "NICFields",
    "NICLimitsFields",
    "NICUpdateFields",
    "NUMANodeFields",
    "NetworkFields",
    "NetworkOptions",
    "PortGroupFields",
    "PortGroupOptions",
    "SecurityLabelFields",
    "SerialFields",
    "SnapshotFields",
    "SnapshotOptions",
    "StoragePoolFields",
    "StoragePoolOptions",
    "TemplateFields",
    "TemplateOptions",
    "TrafficFilterFields",
    "TrafficFilterOptions",
    "VMFields",
    "VMOptions",
    "VMUpdateFields",
    "VolumeFields",
    "VolumeOptions",
]
