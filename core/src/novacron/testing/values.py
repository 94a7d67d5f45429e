"""A value for each field of each spec, for the conformance suite's test that no field is dropped.

The suite applies a spec twice, with the value and without it, and compares what the driver then reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

ID, OTHER_ID = "6c0f0a52-0000-4000-8000-00000000000a", "6c0f0a52-0000-4000-8000-00000000000b"
MAC, OTHER_MAC = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
NOWHERE = "conform-nowhere"
"""A name that nothing has: a driver that reads the field raises an error that names it."""


class Value(NamedTuple):
    """How a field is tried.

    Attributes:
        tried: values that differ from the usual default; one that is visible or refused is enough.
        instead: fields that take its place in the baseline, where the spec needs one of them.
        root: further fields of the outermost spec, both times.
        extra: further fields of the same spec, both times.
    """

    tried: tuple[Any, ...]
    instead: Mapping[str, Any]
    root: Mapping[str, Any]
    extra: Mapping[str, Any]


def _value(*tried: Any, instead: Any = None, root: Any = None, **extra: Any) -> Value:
    return Value(tried, instead or {}, root or {}, extra)


def _other(field: str, one: Any, two: Any, **extra: Any) -> Value:
    """Return how a mandatory field is tried: with another value in the baseline."""
    return _value(two, instead={field: one}, **extra)


_RATES = {"inbound_bytes_per_second": _value("1MiB/s"), "outbound_bytes_per_second": _value("2MiB/s")}
_DISK_RATES = {
    name: _value("4MiB/s") for name in ("read_bytes_per_second", "write_bytes_per_second", "total_bytes_per_second")
} | {name: _value(500) for name in ("read_iops", "write_iops", "total_iops")}
_USB = {"usb": "1234:5678"}
_FOLDER = {"source": "/tmp", "tag": "conform"}  # noqa: S108 - a path on the host under test
_RULE = {"action": "allow", "protocol": "tcp"}
_LAN = {"type": "isolated", "cidr": "10.199.7.1/24"}

VALUES: dict[str, dict[str, Value]] = {
    "ApplianceSpec": {
        "name": _other("name", "{name}-one", "{name}-two"),
        "pool": _value(NOWHERE),
        "networks": _value({"conform-lan": NOWHERE}),
        "tags": _value(["conform"]),
        "metadata": _value({"conform": "yes"}),
        "start": _value(True),
    },
    "CPUTopology": {
        "sockets": _value(2, instead={"cores": 2}, root={"vcpus": 2}),
        "cores": _value(2, instead={"sockets": 2}, root={"vcpus": 2}),
        "threads": _value(2, instead={"cores": 2}, root={"vcpus": 2}),
    },
    "ChannelSpec": {
        "name": _other("name", "org.conform.0", "org.conform.1"),
        "path": _value("/tmp/conform.socket", name="org.conform.0"),  # noqa: S108 - a path of the suite itself
    },
    "CloudInitSpec": {
        "user_data": _value("#cloud-config\nlocale: en_GB\n", hostname="conform"),
        "network_config": _value("version: 2\nethernets: {}\n", hostname="conform"),
        "hostname": _other("hostname", "conform-a", "conform-b"),
        "vendor_data": _value("#cloud-config\nlocale: en_GB\n", hostname="conform"),
        "user": _value("conform", hostname="conform"),
        "password": _value(NOWHERE, hostname="conform"),
        "packages": _value(["conform"], hostname="conform"),
        "commands": _value(["conform"], hostname="conform"),
        "ssh_keys": _value(
            ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFz2zx1nVbjq6dp0n2s9Jr5k2f7Vfq3x8w7uY0b3l2aD conform"], hostname="conform"
        ),
    },
    "DHCPHostSpec": {
        "mac": _other("mac", MAC, OTHER_MAC, address="10.199.7.9"),
        "address": _other("address", "10.199.7.9", "10.199.7.10", mac=MAC),
        "hostname": _value("conform", mac=MAC, address="10.199.7.9"),
    },
    "DNSHostSpec": {
        "address": _other("address", "10.199.7.9", "10.199.7.10", names=["conform"]),
        "names": _other("names", ["conform"], ["conform-b"], address="10.199.7.9"),
    },
    "DeviceLimits": {"weight": _value(300)} | {name: _DISK_RATES[name] for name in _DISK_RATES if not name.startswith("total")},
    "DiskLimits": _DISK_RATES,
    "DiskSpec": {
        "size": _other("size", "16MiB", "32MiB"),
        "source": _value("image:" + NOWHERE, instead={"size": "16MiB"}),
        "path": _value("/" + NOWHERE + ".qcow2", instead={"size": "16MiB"}),
        "copy_mode": _value("full", source="{image}"),
        "pool": _value(NOWHERE, instead={"pool": "{pool}"}, size="16MiB"),
        "name": _value("{name}-named", size="16MiB"),
        "device": _value("cdrom", instead={"size": "16MiB"}),
        "bus": _value("scsi", "sata", "virtio", size="16MiB"),
        "format": _value("raw", "vmdk", size="16MiB"),
        "target": _value("vdk", "sdk", size="16MiB"),
        "preallocate": _value(True, size="16MiB"),
        "read_only": _value(True, size="16MiB"),
        "shareable": _value(True, size="16MiB", format="raw"),
        "boot_order": _value(1, size="16MiB"),
        "serial": _value("CONFORM1", size="16MiB"),
        "cache": _value("none", size="16MiB"),
        "io": _value("threads", size="16MiB"),
        "detect_zeroes": _value("on", size="16MiB"),
        "wwn": _value("5000c50015ea71ac", size="16MiB", bus="scsi"),
        "discard": _value("unmap", size="16MiB"),
        "iothread": _value(1, size="16MiB", bus="virtio"),
        "queues": _value(2, size="16MiB", bus="virtio"),
        "limits": _value({"read_iops": 500}, size="16MiB"),
        "encryption": _value(NOWHERE, size="16MiB"),
    },
    "DisplaySpec": {
        "type": _value("spice"),
        "listen": _value("0.0.0.0"),  # noqa: S104 - a display is meant, of a VM that is not started
        "port": _value(5999),
        "keymap": _value("de"),
    },
    "FeaturesSpec": {
        "hyperv": _value(True),
        "hide_hypervisor": _value(True),
        "pmu": _value(False, True),
        "iommu": _value("intel", "virtio"),
    },
    "FilesystemSpec": {
        "source": _other("source", "/tmp", "/var", tag="conform"),  # noqa: S108 - a path of the suite itself
        "tag": _other("tag", "conform", "other", source="/tmp"),  # noqa: S108 - a path of the suite itself
        "type": _value("virtiofs", root={"memory_backing": {"shared": True, "source": "memfd"}}, **_FOLDER),
        "read_only": _value(True, **_FOLDER),
    },
    "FilterRule": {
        "action": _other("action", "allow", "deny", protocol="tcp"),
        "direction": _value("in", **_RULE),
        "protocol": _value("udp", action="allow"),
        "peer": _value("10.0.0.0/8", **_RULE),
        "ports": _value("22", **_RULE),
        "priority": _value(300, **_RULE),
    },
    "HostDeviceSpec": {
        "pci": _value("00:1f.0", instead=_USB),
        "usb": _value("1234:5678", instead={"pci": "00:1f.0"}),
        "mdev": _value(OTHER_ID, instead=_USB),
        "boot_order": _value(1, pci="00:1f.0"),
    },
    "KernelSpec": {
        "path": _other("path", "/conform-a/kernel", "/conform-b/kernel"),
        "initrd": _value("/conform-a/initrd", path="/conform-a/kernel"),
        "command_line": _value("conform=yes", path="/conform-a/kernel"),
    },
    "LaunchSecuritySpec": {
        "type": _other("type", "sev", "s390-pv"),
        "policy": _value(7, type="sev"),
        "session": _value("AAAA", type="sev"),
        "dh_cert": _value("AAAA", type="sev"),
    },
    "LimitsSpec": {
        "cpu_shares": _value(2000),
        "cpu_limit_percent": _value(50),
        "vcpu_limit_percent": _value(50),
        "emulator_limit_percent": _value(50),
        "iothread_limit_percent": _value(50),
        "cpu_period_us": _value(50_000, cpu_limit_percent=50),
        "cpu_guarantee_mhz": _value(100),
        "memory_limit": _value("512MiB"),
        "memory_soft_limit": _value("256MiB"),
        "memory_swap_limit": _value("1GiB", memory_limit="512MiB"),
        "memory_guarantee": _value("32MiB"),
        "io_weight": _value(300),
        "devices": _value({"/dev/conform": {"read_iops": 500}}),
        "disks": _value({"{disk}": {"read_iops": 500}}),
        "nics": _value({MAC: {"inbound_bytes_per_second": "1MiB/s"}}),
    },
    "MemoryBackingSpec": {
        "hugepages": _value(True),
        "page_size": _value("2MiB", hugepages=True),
        "source": _value("memfd"),
        "shared": _value(True),
        "locked": _value(True),
        "preallocate": _value(True),
        "discard": _value(True),
        "merge": _value(False),
    },
    "MigrationSpec": {
        "live": _value(False),
        "storage": _value("copy"),
        "bandwidth": _value("64MiB/s"),
        "max_downtime": _value("300ms"),
        "deadline": _value(120),
        "auto_converge": _value(False),
        "post_copy": _value(True),
        "compression": _value(True),
        "parallel": _value(2),
        "peer_to_peer": _value(False),
        "transport": _value("tunnel"),
        "persistent": _value(False),
        "node": _value(NOWHERE),
        "pool": _value(NOWHERE),
        "folder": _value(NOWHERE),
        "networks": _value({NOWHERE: NOWHERE}),
        "destination_uri": _value(f"conform://{NOWHERE}/"),
    },
    "NICLimits": _RATES,
    "NICSpec": {
        "network": _value(NOWHERE, instead={"network": "{network}"}, mac=MAC),
        "bridge": _value("conform0", instead={"network": "{network}"}, mac=MAC),
        "device": _value("conform0", instead={"network": "{network}"}, mac=MAC),
        "user": _value(True, instead={"network": "{network}"}, mac=MAC),
        "mac": _other("mac", MAC, OTHER_MAC, network="{network}"),
        "model": _value("e1000", network="{network}", mac=MAC),
        "mtu": _value(1400, network="{network}", mac=MAC),
        "queues": _value(2, network="{network}", mac=MAC),
        "link_up": _value(False, network="{network}", mac=MAC),
        "vlan": _value(5, network="{network}", mac=MAC),
        "portgroup": _value("conform", network="{network}", mac=MAC),
        "filter": _value(NOWHERE, network="{network}", mac=MAC),
        "isolated": _value(True, network="{network}", mac=MAC),
        "inbound_bytes_per_second": _value("1MiB/s", network="{network}", mac=MAC),
        "outbound_bytes_per_second": _value("2MiB/s", network="{network}", mac=MAC),
        "boot_order": _value(1, network="{network}", mac=MAC),
    },
    "NICUpdate": {
        "network": _value(NOWHERE),
        "bridge": _value("conform0"),
        "device": _value("conform0"),
        "user": _value(True),
        "mac": _value(OTHER_MAC),
        "model": _value("e1000"),
        "mtu": _value(1400),
        "queues": _value(2),
        "link_up": _value(False),
        "vlan": _value(5),
        "portgroup": _value("conform"),
        "filter": _value(NOWHERE),
        "isolated": _value(True),
        "inbound_bytes_per_second": _value("1MiB/s"),
        "outbound_bytes_per_second": _value("2MiB/s"),
        "boot_order": _value(1),
    },
    "NUMANodeSpec": {
        "vcpus": _other("vcpus", "0", "0-1", memory="64MiB"),
        "memory": _other("memory", "64MiB", "128MiB", vcpus="0"),
        "host_nodes": _value("0", vcpus="0", memory="64MiB"),
    },
    "NetworkSpec": {
        "name": _other("name", "{name}-one", "{name}-two", type="isolated"),
        "type": _value("routed", "open", cidr="10.199.7.1/24"),
        "bridge": _value("conform0", **_LAN),
        "device": _value("conform0", type="macvtap", instead={"device": "conform1"}),
        "cidr": _value("10.199.7.1/24", type="isolated"),
        "dhcp_start": _other("dhcp_start", "10.199.7.10", "10.199.7.11", dhcp_end="10.199.7.99", **_LAN),
        "dhcp_end": _other("dhcp_end", "10.199.7.99", "10.199.7.98", dhcp_start="10.199.7.10", **_LAN),
        "dhcp_hosts": _value([{"mac": MAC, "address": "10.199.7.9"}], **_LAN),
        "dns_hosts": _value([{"address": "10.199.7.9", "names": ["conform"]}], **_LAN),
        "domain": _value("conform.example", **_LAN),
        "portgroups": _value([{"name": "conform"}], **_LAN),
        "vlan": _value(5, "x", type="bridged", bridge="{bridge}", openvswitch=True),
        "openvswitch": _value(True, type="bridged", bridge="{bridge}"),
        "mtu": _value(1400, **_LAN),
        "stp": _value(False, **_LAN),
        "forward_delay": _value(4, **_LAN),
        "autostart": _value(False, **_LAN),
    },
    "PortGroupSpec": {
        "name": _other("name", "conform-a", "conform-b"),
        "default": _value(True, name="conform-a"),
        "vlan": _value(5, name="conform-a"),
        **{name: value._replace(extra={"name": "conform-a"}) for name, value in _RATES.items()},
    },
    "SecurityLabelSpec": {
        "model": _value("apparmor", "selinux", type="dynamic", instead={"model": "dac"}),
        "type": _value("dynamic", model="dac", instead={"type": "static", "label": "+0:+0"}),
        "label": _other("label", "+0:+0", "+1:+1", model="dac"),
        "base_label": _value("conform", model="apparmor", type="dynamic"),
        "relabel": _value(True, model="dac", label="+0:+0"),
    },
    "SerialSpec": {
        "type": _value("virtio"),
        "tcp": _value("127.0.0.1:45999"),
        "unix": _value("/tmp/conform.serial"),  # noqa: S108 - a path of the suite itself
        "file": _value("/tmp/conform.serial.txt"),  # noqa: S108 - a path of the suite itself
        "log": _value("/tmp/conform.log"),  # noqa: S108 - a path of the suite itself
    },
    "SnapshotSpec": {
        "name": _other("name", "conform-a", "conform-b"),
        "description": _value("conform"),
        "memory": _value(True, False),
        "quiesce": _value(True),
        "kind": _value("external", "internal"),
    },
    "StoragePoolSpec": {
        "name": _other("name", "{name}-one", "{name}-two"),
        "type": _value("logical", source_name="conform_vg", instead={"type": "rbd", "source_host": "192.0.2.1"}),
        "path": _other("path", "/tmp/{name}-a", "/tmp/{name}-b"),  # noqa: S108 - a path of the suite itself
        "source_host": _other("source_host", "192.0.2.1", "192.0.2.2", type="netfs", path="/tmp/{name}", source_path="/c"),  # noqa: S108 - a path of the suite itself
        "source_path": _other("source_path", "/c", "/d", type="netfs", path="/tmp/{name}", source_host="192.0.2.1"),  # noqa: S108 - a path of the suite itself
        "source_name": _other("source_name", "conform_a", "conform_b", type="logical"),
        "autostart": _value(False),
    },
    "TemplateSpec": {
        "name": _other("name", "{name}-one", "{name}-two"),
        "description": _value("conform"),
        "tags": _value(["conform"]),
        "seal": _value(False),
    },
    "TrafficFilterSpec": {
        "name": _other("name", "{name}-one", "{name}-two"),
        "rules": _value([_RULE]),
        "default": _value("deny"),
        "anti_spoofing": _value(True),
        "native": _value("<filter name='{name}'><rule action='accept' direction='in'><all/></rule></filter>"),
    },
    "VMSpec": {
        "name": _other("name", "{name}-one", "{name}-two"),
        "id": _other("id", ID, OTHER_ID),
        "vcpus": _value(2),
        "vcpus_max": _value(4),
        "memory": _other("memory", "64MiB", "96MiB"),
        "memory_max": _value("256MiB"),
        "max_memory": _value("1GiB"),
        "arch": _value("aarch64", "s390x"),
        "machine": _value("pc", "q35", NOWHERE),
        "virt_type": _value("kvm", "qemu"),
        "cpu_mode": _value("maximum", "host-passthrough"),
        "cpu_model": _value("qemu64"),
        "cpu_features": _value(["-avx2"], cpu_model="qemu64"),
        "topology": _value({"cores": 2}, vcpus=2),
        "numa": _value([{"vcpus": "0", "memory": "64MiB"}], memory="64MiB"),
        "memory_backing": _value({"source": "memfd", "shared": True}),
        "iothreads": _value(1),
        "features": _value({"hyperv": True}),
        "clock": _value("localtime"),
        "launch_security": _value({"type": "sev"}),
        "boot_menu": _value("3s"),
        "system_info": _value({"manufacturer": "Conform", "serial": "C-1"}),
        "cpuset": _value("0"),
        "confined": _value(False),
        "panic": _value("isa", "hyperv"),
        "security_labels": _value([{"model": "dac", "label": "+0:+0"}]),
        "usb_controller": _value("none", "qemu-xhci"),
        "scsi_controller": _value("lsilogic", "virtio-scsi"),
        "pcie_ports": _value(4),
        "virtio_serial_ports": _value(8),
        "watchdog": _value("reset"),
        "vsock": _value(True),
        "firmware": _value("uefi"),
        "tpm": _value(True),
        "kernel": _value({"path": "/conform-a/kernel"}),
        "iso": _value("{pool}/" + NOWHERE),
        "disks": _value([{"size": "16MiB", "pool": "{pool}"}]),
        "nics": _value([{"network": "{network}", "mac": MAC}]),
        "serial": _value({"type": "virtio"}),
        "channels": _value([{"name": "org.conform.0"}]),
        "display": _value({"type": "vnc"}),
        "video": _value("virtio", display={"type": "vnc"}),
        "sound": _value("ich9"),
        "host_devices": _value([_USB]),
        "filesystems": _value([_FOLDER]),
        "balloon": _value(False),
        "guest_agent": _value(False),
        "rng": _value(False),
        "cloud_init": _value({"hostname": "conform"}),
        "tags": _value(["conform"]),
        "metadata": _value({"conform": "yes"}),
        "description": _value("conform"),
        "autostart": _value(True),
        "start": _value(True),
        "node": _value(NOWHERE),
        "native": _value({"conform": "yes"}),
    },
    "VMUpdate": {
        "vcpus": _value(2),
        "memory": _value("96MiB"),
        "description": _value("conform"),
        "tags": _value(["conform"]),
        "metadata": _value({"conform": "yes"}),
        "autostart": _value(True),
        "vcpus_max": _value(4),
        "cpu_mode": _value("maximum", "host-passthrough"),
        "cpu_model": _value("qemu64"),
        "cpu_features": _value(["-avx2"], cpu_model="qemu64"),
        "topology": _value({"cores": 2}, vcpus=2),
        "memory_backing": _value({"source": "memfd", "shared": True}),
        "boot_order": _value(["{disk}"]),
        "kernel": _value({"path": "/conform-a/kernel"}),
        "features": _value({"hyperv": True}),
        "clock": _value("localtime"),
        "watchdog": _value("reset"),
        "vsock": _value(True),
        "tpm": _value(True),
        "display": _value({"type": "vnc"}),
        "video": _value("virtio", display={"type": "vnc"}),
        "sound": _value("ich9"),
        "balloon": _value(False),
        "rng": _value(False),
    },
    "VolumeSpec": {
        "name": _other("name", "{name}-one", "{name}-two", capacity="2MiB"),
        "capacity": _other("capacity", "2MiB", "4MiB", format="{format}"),
        "format": _value("raw", "vmdk", capacity="2MiB"),
        "backing": _value("{image}", capacity="2MiB"),
        "preallocate": _value(True, capacity="2MiB"),
        "encryption": _value(NOWHERE, capacity="2MiB"),
    },
}
"""By spec class and field. {name}, {pool}, {network}, {image}, {disk}, {format} and {bridge} stand for what the target has."""


def _numa(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return a VM with three vCPUs and 192 MiB, with what is left of them on a second node."""
    first = 64 if node["memory"] == "64MiB" else 128
    rest = {"0": "1-2", "0-1": "2"}[node["vcpus"]]
    return {"vcpus": 3, "memory": "192MiB", "numa": [node, {"vcpus": rest, "memory": f"{192 - first}MiB"}]}


WITHIN: dict[str, tuple[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "CPUTopology": ("VMSpec", lambda fields: {"topology": fields}),
    "ChannelSpec": ("VMSpec", lambda fields: {"channels": [fields]}),
    "CloudInitSpec": ("VMSpec", lambda fields: {"cloud_init": fields}),
    "DHCPHostSpec": ("NetworkSpec", lambda fields: {**_LAN, "dhcp_hosts": [fields]}),
    "DNSHostSpec": ("NetworkSpec", lambda fields: {**_LAN, "dns_hosts": [fields]}),
    "DeviceLimits": ("LimitsSpec", lambda fields: {"devices": {"/dev/conform": fields}}),
    "DisplaySpec": ("VMSpec", lambda fields: {"display": fields}),
    "FeaturesSpec": ("VMSpec", lambda fields: {"features": fields}),
    "FilesystemSpec": ("VMSpec", lambda fields: {"filesystems": [fields]}),
    "FilterRule": ("TrafficFilterSpec", lambda fields: {"rules": [fields]}),
    "HostDeviceSpec": ("VMSpec", lambda fields: {"host_devices": [fields]}),
    "KernelSpec": ("VMSpec", lambda fields: {"kernel": fields}),
    "LaunchSecuritySpec": ("VMSpec", lambda fields: {"launch_security": fields}),
    "MemoryBackingSpec": ("VMSpec", lambda fields: {"memory_backing": fields}),
    "NICLimits": ("LimitsSpec", lambda fields: {"nics": {MAC: fields}}),
    "NUMANodeSpec": ("VMSpec", _numa),
    "PortGroupSpec": ("NetworkSpec", lambda fields: {**_LAN, "portgroups": [fields]}),
    "SecurityLabelSpec": ("VMSpec", lambda fields: {"security_labels": [fields]}),
    "SerialSpec": ("VMSpec", lambda fields: {"serial": fields}),
}
"""Where a nested spec is tried: the outermost spec, and its fields around the nested ones."""

UNSEEN = {
    "MigrationSpec": "how a migration runs is not part of a record",
    "SnapshotSpec.quiesce": "a quiesced snapshot has the same record",
    "TemplateSpec.seal": "the files of a guest are not part of a record",
}
"""Fields whose effect no record shows. They are tried too, and count as accepted."""

__all__ = ["ID", "MAC", "NOWHERE", "UNSEEN", "VALUES", "WITHIN", "Value"]
