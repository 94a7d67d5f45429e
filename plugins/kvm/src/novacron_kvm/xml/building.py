"""Domain XML from a VMSpec: valid against libvirt's schema, with every choice made that hosts would make differently."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from copy import deepcopy
from itertools import count, product
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from lxml import etree

from novacron.errors import InvalidSpecError, SpecProblem
from novacron_kvm.xml.networks import bandwidth_element
from novacron_kvm.xml.parsing import NAMESPACE, serialise

if TYPE_CHECKING:
    from novacron.specs.network import NICSpec
    from novacron.specs.storage import DiskLimits, DiskSpec
    from novacron.specs.vm import VMSpec

PREFIX = {"virtio": "vd", "scsi": "sd", "sata": "sd", "usb": "sd", "ide": "hd", "fdc": "fd"}
"""How a disk's target begins, by its bus."""
BUS = {"vd": "virtio", "sd": "sata", "hd": "ide", "fd": "fdc"}
"""The bus of a disk for which only a target was asked."""


PORTS = 14
"""PCI Express ports: each takes one device, also one that is plugged in while the VM runs; libvirt adds more only at a definition."""


SLOTS = 16
"""Memory modules that can be added to a running VM with `max_memory`."""

EVERY_VM = etree.XML(
    "<domain><clock offset='utc'/>"
    "<on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>"
    "<devices><serial type='pty'/><console type='pty'><target type='serial'/></console>"
    "<memballoon model='virtio'><stats period='5'/></memballoon></devices></domain>"
)
"""What every VM has, whatever was asked."""


class DiskFile(NamedTuple):
    """A disk of the new VM once its file is there; `made` says that it was made for this VM and goes with it."""

    spec: DiskSpec
    path: str | None
    format: str
    target: str
    bus: str
    made: bool


def place(disks: Sequence[DiskSpec], default_bus: str, there: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return bus and target of each disk: as asked, the rest by what the device needs, targets in order vda, vdb, ..., vdz, vdaa, ...

    `there` are targets that the VM has already.

    Raises:
        InvalidSpecError: on a bus that libvirt does not emulate.

    Example:
        >>> from novacron.specs import DiskSpec
        >>> place([DiskSpec(size=1), DiskSpec(size=1, target="vda"), DiskSpec(device="cdrom"), DiskSpec(device="floppy")], "virtio")
        [('virtio', 'vdb'), ('virtio', 'vda'), ('sata', 'sda'), ('fdc', 'fda')]
    """
    taken = {*there, *(d.target for d in disks if d.target)}
    found = []
    for number, disk in enumerate(disks):
        if disk.bus == "nvme" or (disk.target or "").startswith("nvme"):
            problem = SpecProblem(f"disks.{number}.bus", "nvme", "virtio, scsi, sata, ide or usb")
            raise InvalidSpecError("this host can't emulate that disk", problems=[problem])
        if disk.device == "floppy":
            bus = "fdc"
        elif disk.bus or disk.target:
            bus = disk.bus or BUS[str(disk.target)[:2]]
        else:
            bus = "sata" if disk.device == "cdrom" and default_bus == "virtio" else default_bus
        target = disk.target or next(t for letters in _letters() if (t := PREFIX[bus] + letters) not in taken)
        taken.add(target)
        found.append((bus, target))
    return found


def _letters() -> Iterator[str]:
    for length in count(1):
        yield from map("".join, product(ascii_lowercase, repeat=length))


def domain_xml(
    spec: VMSpec, *, virt_type: str, arch: str, machine: str | None, disks: Sequence[DiskFile], created_at: str
) -> str:
    """Return the definition of a VM."""
    return serialise(domain_element(spec, virt_type=virt_type, arch=arch, machine=machine, disks=disks, created_at=created_at))


def domain_element(
    spec: VMSpec, *, virt_type: str, arch: str, machine: str | None, disks: Sequence[DiskFile], created_at: str
) -> Any:
    """Return the <domain> of a VM."""
    x86 = arch == "x86_64"
    root = deepcopy(EVERY_VM)
    devices = root[-1]
    root.set("type", virt_type)
    _text(root, "name", spec.name)
    _text(root, "uuid", str(spec.id or uuid.uuid4()))
    if spec.description:
        _text(root, "description", spec.description)
    root.append(metadata_element(spec.tags, dict(spec.metadata), [d.path for d in disks if d.made and d.path], created_at))
    if spec.max_memory:
        _text(root, "maxMemory", str(spec.max_memory // 1024), unit="KiB", slots=str(SLOTS))
    _text(root, "memory", str((spec.memory_max or spec.memory) // 1024), unit="KiB")
    _text(root, "currentMemory", str(spec.memory // 1024), unit="KiB")
    vcpu = _text(root, "vcpu", str(spec.vcpus_max or spec.vcpus))
    if spec.vcpus_max and spec.vcpus_max > spec.vcpus:
        vcpu.set("current", str(spec.vcpus))
    _boot(root, spec, arch, machine)
    features = etree.SubElement(root, "features")
    if x86 or spec.firmware != "bios":
        etree.SubElement(features, "acpi")
    if x86:
        etree.SubElement(features, "apic")
    if spec.firmware == "uefi-secure":
        etree.SubElement(features, "smm", state="on")
    _cpu(root, spec, virt_type)
    if spec.hugepages:
        etree.SubElement(etree.SubElement(root, "memoryBacking"), "hugepages")
    for disk in disks:
        devices.append(disk_element(disk))
    if "q35" in (machine or "") or machine == "virt":
        etree.SubElement(devices, "controller", type="pci", index="0", model="pcie-root")
        # libvirt makes those of the numbers in between
        etree.SubElement(devices, "controller", type="pci", index=str(PORTS), model="pcie-root-port")
    if any(d.bus == "scsi" for d in disks):
        etree.SubElement(devices, "controller", type="scsi", model="virtio-scsi")
    for nic in spec.nics:
        devices.append(nic_element(nic))
    if spec.serial.log:
        etree.SubElement(devices[0], "log", file=spec.serial.log, append="on")
    if spec.guest_agent:
        channel = etree.SubElement(devices, "channel", type="unix")
        etree.SubElement(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
    if spec.tpm:
        tpm = etree.SubElement(devices, "tpm", model="tpm-crb" if x86 else "tpm-tis")
        etree.SubElement(tpm, "backend", type="emulator", version="2.0")
    if spec.display:
        etree.SubElement(devices, "graphics", type=spec.display.type, port="-1", autoport="yes", listen=spec.display.listen)
        etree.SubElement(etree.SubElement(devices, "video"), "model", type="virtio" if not x86 else "vga")
    if spec.watchdog:
        etree.SubElement(devices, "watchdog", model="i6300esb", action=spec.watchdog)
    if spec.vsock:
        etree.SubElement(etree.SubElement(devices, "vsock", model="virtio"), "cid", auto="yes")
    if spec.rng:
        rng = etree.SubElement(devices, "rng", model="virtio")
        _text(rng, "backend", "/dev/urandom", model="random")
    return root


def _boot(root: Any, spec: VMSpec, arch: str, machine: str | None) -> None:
    os_ = etree.SubElement(root, "os")
    if spec.firmware != "bios" or arch == "aarch64":
        os_.set("firmware", "efi")
    type_ = _text(os_, "type", "hvm", arch=arch)
    if machine:
        type_.set("machine", machine)
    if spec.firmware != "bios" and arch == "x86_64":
        secure = spec.firmware == "uefi-secure"
        firmware = etree.SubElement(os_, "firmware")
        etree.SubElement(firmware, "feature", enabled="yes" if secure else "no", name="enrolled-keys")
        etree.SubElement(firmware, "feature", enabled="yes" if secure else "no", name="secure-boot")
    if spec.kernel:
        _text(os_, "kernel", spec.kernel.path)
        if spec.kernel.initrd:
            _text(os_, "initrd", spec.kernel.initrd)
        if spec.kernel.command_line:
            _text(os_, "cmdline", spec.kernel.command_line)
    elif not any(d.boot_order for d in spec.disks) and not any(n.boot_order for n in spec.nics):
        for device in ("hd", "cdrom"):
            etree.SubElement(os_, "boot", dev=device)


def _cpu(root: Any, spec: VMSpec, virt_type: str) -> None:
    """Add a <cpu> where the hypervisor's own choice is not wanted: KVM's is far from what the host can do."""
    mode = spec.cpu_mode if spec.cpu_mode != "default" else "host-model" if virt_type == "kvm" else None
    if not (mode or spec.cpu_model or spec.cpu_features or spec.topology or spec.max_memory):
        return
    cpu = etree.SubElement(root, "cpu")
    if spec.cpu_model:
        cpu.attrib.update({"mode": "custom", "match": "exact"})
        _text(cpu, "model", spec.cpu_model, fallback="forbid")
    elif mode or spec.cpu_features:
        cpu.set("mode", mode or "maximum")  # features are added to a CPU that is known
    if spec.topology:
        sizes = {name: str(getattr(spec.topology, name)) for name in ("sockets", "cores", "threads")}
        etree.SubElement(cpu, "topology", sizes)
    if spec.max_memory:  # libvirt adds memory to a NUMA node
        last, memory = (spec.vcpus_max or spec.vcpus) - 1, (spec.memory_max or spec.memory) // 1024
        etree.SubElement(etree.SubElement(cpu, "numa"), "cell", id="0", cpus=f"0-{last}", memory=str(memory), unit="KiB")
    for feature in sorted(spec.cpu_features):
        policy = "disable" if feature.startswith("-") else "require"
        etree.SubElement(cpu, "feature", policy=policy, name=feature.removeprefix("-"))


def disk_element(disk: DiskFile) -> Any:
    """Return a <disk>."""
    spec = disk.spec
    element = etree.Element("disk", type="file", device=spec.device)
    driver = etree.SubElement(element, "driver", name="qemu", type=disk.format)
    for name in ("cache", "io", "discard"):
        value = getattr(spec, name)
        if value:
            driver.set(name, value)
    if disk.path:
        etree.SubElement(element, "source", file=disk.path)
    etree.SubElement(element, "target", dev=disk.target, bus=disk.bus)
    if spec.limits:
        element.append(limits_element(spec.limits))
    if spec.read_only or spec.device == "cdrom":
        etree.SubElement(element, "readonly")
    if spec.shareable:
        etree.SubElement(element, "shareable")
    if spec.serial:
        _text(element, "serial", spec.serial)
    if spec.boot_order:
        etree.SubElement(element, "boot", order=str(spec.boot_order))
    return element


def limits_element(limits: DiskLimits) -> Any:
    """Return an <iotune>."""
    element = etree.Element("iotune")
    names = {
        "total_bytes_sec": limits.total_bytes_per_second, "read_bytes_sec": limits.read_bytes_per_second,
        "write_bytes_sec": limits.write_bytes_per_second, "total_iops_sec": limits.total_iops,
        "read_iops_sec": limits.read_iops, "write_iops_sec": limits.write_iops,
    }  # fmt: skip
    for name, value in names.items():
        if value is not None:
            _text(element, name, str(value))
    return element


def nic_element(spec: NICSpec) -> Any:
    """Return an <interface>."""
    element = etree.Element("interface")
    if spec.mac:
        etree.SubElement(element, "mac", address=spec.mac.lower())
    etree.SubElement(element, "model", type=spec.model)
    if spec.queues:
        etree.SubElement(element, "driver", name="vhost", queues=str(spec.queues))
    if spec.boot_order:
        etree.SubElement(element, "boot", order=str(spec.boot_order))
    change_nic(element, spec)
    return element


def change_nic(element: Any, spec: NICSpec) -> None:
    """Change an <interface> to what a spec gives; the fields that it leaves out stay, and so does what it can't say."""
    given = spec.model_fields_set
    kind = "network" if spec.network else "bridge" if spec.bridge else "direct" if spec.device else "user"
    element.set("type", kind)
    source = {
        "network": {"network": spec.network},
        "bridge": {"bridge": spec.bridge},
        "direct": {"dev": spec.device, "mode": "bridge"},
    }
    wanted = {name: value for name, value in source.get(kind, {}).items() if value}
    if kind == "network" and spec.portgroup:
        wanted["portgroup"] = spec.portgroup
    _replace(element, "source", etree.Element("source", wanted) if wanted else None)
    if "vlan" in given:
        vlan = etree.Element("vlan")
        etree.SubElement(vlan, "tag", id=str(spec.vlan))
        _replace(element, "vlan", vlan if spec.vlan is not None else None)
    if "filter" in given:
        _replace(element, "filterref", etree.Element("filterref", filter=spec.filter) if spec.filter else None)
    if given & {"inbound_bytes_per_second", "outbound_bytes_per_second"}:
        _replace(element, "bandwidth", bandwidth_element(spec.inbound_bytes_per_second, spec.outbound_bytes_per_second))
    if "mtu" in given:
        _replace(element, "mtu", etree.Element("mtu", size=str(spec.mtu)) if spec.mtu else None)
    if "isolated" in given:
        _replace(element, "port", etree.Element("port", isolated="yes") if spec.isolated else None)
    if "link_up" in given:
        set_link(element, up=spec.link_up)


def set_link(element: Any, *, up: bool) -> None:
    """Plug or unplug the cable of an <interface>; without a word it is plugged in."""
    _replace(element, "link", etree.Element("link", state="up" if up else "down"))


def _replace(parent: Any, tag: str, new: Any) -> None:
    for old in parent.findall(tag):
        parent.remove(old)
    if new is not None:
        parent.append(new)


def metadata_element(tags: Sequence[str] | frozenset[str], metadata: dict[str, str], made: Sequence[str], created_at: str) -> Any:
    """Return <metadata> with NovaCron's own facts: tags, key-value metadata, the files made for this VM, when it was created."""
    root = etree.Element("metadata")
    root.append(facts_element({"tags": sorted(tags), "metadata": metadata, "made": list(made), "created_at": created_at}))
    return root


def facts_element(facts: dict[str, Any]) -> Any:
    """Return NovaCron's element for <metadata>."""
    own = etree.Element(f"{{{NAMESPACE}}}vm", nsmap={"novacron": NAMESPACE})
    own.text = _facts_text(facts)
    return own


def plain_facts(facts: dict[str, Any]) -> str:
    """Return NovaCron's element without its namespace, which libvirt's setMetadata adds."""
    own = etree.Element("vm")
    own.text = _facts_text(facts)
    return str(etree.tostring(own, encoding="unicode"))


def _facts_text(facts: dict[str, Any]) -> str:
    return msgspec.json.encode(facts, order="sorted").decode()


def _text(parent: Any, tag: str, text: str, **attributes: str) -> Any:
    element = etree.SubElement(parent, tag, attributes)
    element.text = text
    return element


__all__ = [
    "BUS", "PREFIX", "DiskFile", "change_nic", "disk_element", "domain_element", "domain_xml", "facts_element", "limits_element",
    "metadata_element", "nic_element", "place", "plain_facts", "set_link",
]  # fmt: skip
