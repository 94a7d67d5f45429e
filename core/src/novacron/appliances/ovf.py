"""Writes and reads the OVF description of a VM. Source: DMTF DSP0243 (OVF 1.1) and DSP8023 (its schema)."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from lxml import etree

from novacron.appliances.vmdk import CAPACITY_MOST
from novacron.errors import InvalidSpecError, SpecProblem
from novacron.redaction import described

OVF = "http://schemas.dmtf.org/ovf/envelope/1"
RASD = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
VSSD = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"
VMW = "http://www.vmware.com/schema/ovf"
STREAM = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"
CPU, MEMORY, IDE, SCSI, ETHERNET, DISK = "3", "4", "5", "6", "10", "17"
"""CIM's resource types."""
DRIVES = {"14": "floppy", "15": "CD", "16": "DVD"}
"""CIM's resource types of drives whose medium can be a file of the appliance."""
CARDS = {"virtio": "VmxNet3", "vmxnet3": "VmxNet3", "e1000": "E1000", "e1000e": "E1000e"}
MODELS = {"vmxnet3": "virtio", "e1000": "e1000", "e1000e": "e1000e", "pcnet32": "e1000", "virtio": "virtio"}
FACTORS = {"byte": 1, "kilobytes": 2**10, "megabytes": 2**20, "gigabytes": 2**30}


class ApplianceDisk(msgspec.Struct, frozen=True, kw_only=True):
    """A disk: its file in the appliance (None if it is blank) and its size in bytes."""

    file: str | None
    capacity: int
    size: int = 0
    compressed: bool = False


class ApplianceNIC(msgspec.Struct, frozen=True, kw_only=True):
    """A NIC: the name of its network on the exporting host, and its model."""

    network: str
    model: str = "virtio"


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """The description of an appliance's VM."""

    name: str
    vcpus: int
    memory: int
    disks: tuple[ApplianceDisk, ...] = ()
    nics: tuple[ApplianceNIC, ...] = ()
    description: str = ""
    firmware: str = "bios"


def written(vm: Description) -> bytes:
    """Return the XML of a description.

    Example:
        >>> read(written(Description(name="web1", vcpus=2, memory=2**30, disks=(ApplianceDisk(file="a.vmdk", capacity=2**20),)))).vcpus
        2
    """
    names: dict[Any, str] = {None: OVF, "ovf": OVF, "rasd": RASD, "vssd": VSSD, "vmw": VMW}
    root = etree.Element(f"{{{OVF}}}Envelope", nsmap=names)
    references = _add(root, "References")
    for number, disk in enumerate(vm.disks):
        if disk.file:
            _add(references, "File", id=f"file{number}", href=disk.file, size=str(disk.size))
    section = _add(root, "DiskSection")
    _add(section, "Info", text="The disks")
    for number, disk in enumerate(vm.disks):
        more = {"fileRef": f"file{number}"} if disk.file else {}
        _add(
            section,
            "Disk",
            diskId=f"disk{number}",
            capacity=str(disk.capacity),
            capacityAllocationUnits="byte",
            format=STREAM,
            **more,
        )
    section = _add(root, "NetworkSection")
    _add(section, "Info", text="The networks")
    for name in dict.fromkeys(nic.network for nic in vm.nics):
        network = _add(section, "Network")
        network.set(f"{{{OVF}}}name", name)
        _add(network, "Description", text=f"The network {name}")
    system = _add(root, "VirtualSystem", id=vm.name)
    _add(system, "Info", text="A virtual machine")
    _add(system, "Name", text=vm.name)
    if vm.description:
        section = _add(system, "AnnotationSection")
        _add(section, "Info", text="What it is")
        _add(section, "Annotation", text=vm.description)
    section = _add(system, "OperatingSystemSection", id="102")
    section.set(f"{{{VMW}}}osType", "otherGuest64")
    _add(section, "Info", text="The guest's operating system")
    _hardware(system, vm)
    tree: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return tree


def _hardware(system: Any, vm: Description) -> None:
    section = _add(system, "VirtualHardwareSection")
    _add(section, "Info", text="What the virtual machine is made of")
    about = _add(section, "System")
    for name, text in (
        ("ElementName", "Virtual Hardware Family"),
        ("InstanceID", "0"),
        ("VirtualSystemIdentifier", vm.name),
        ("VirtualSystemType", "vmx-13"),
    ):
        _add(about, name, VSSD, text=text)
    _item(section, 1, CPU, f"{vm.vcpus} virtual CPUs", AllocationUnits="hertz * 10^6", VirtualQuantity=vm.vcpus)
    _item(section, 2, MEMORY, "Memory", AllocationUnits="byte * 2^20", VirtualQuantity=vm.memory // 2**20)
    _item(section, 3, SCSI, "SCSI controller", Address=0, ResourceSubType="VirtualSCSI")
    for number, _ in enumerate(vm.disks):
        place = number if number < 7 else number + 1
        _item(
            section, 100 + number, DISK, f"Disk {number}", AddressOnParent=place, HostResource=f"ovf:/disk/disk{number}", Parent=3
        )
    for number, nic in enumerate(vm.nics):
        _item(
            section,
            200 + number,
            ETHERNET,
            f"NIC {number}",
            AddressOnParent=7 + number,
            AutomaticAllocation="true",
            Connection=nic.network,
            ResourceSubType=CARDS.get(nic.model, "E1000"),
        )
    if vm.firmware != "bios":
        config = etree.SubElement(section, f"{{{VMW}}}Config")
        for name, value in (("required", "false"), ("key", "firmware"), ("value", "efi")):
            config.set(f"{{{OVF if name == 'required' else VMW}}}{name}", value)


def _item(section: Any, number: int, kind: str, name: str, **values: object) -> None:
    """Add an item. The schema requires its elements in alphabetical order."""
    item = _add(section, "Item")
    for key, value in sorted({"ElementName": name, "InstanceID": number, "ResourceType": kind, **values}.items()):
        _add(item, key, RASD, text=str(value))


def _add(parent: Any, name: str, namespace: str = OVF, text: str | None = None, **attributes: str) -> Any:
    element = etree.SubElement(parent, f"{{{namespace}}}{name}")
    element.text = text
    for key, value in attributes.items():
        element.set(f"{{{OVF}}}{key}", value)
    return element


def read(text: bytes) -> Description:
    """Parse a description.

    Raises:
        InvalidSpecError: it is not an OVF description of one VM; names all problems at once. Entities, DTDs and the network are never used.
    """
    try:
        root = etree.fromstring(text, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False))
    except etree.XMLSyntaxError as error:
        raise _bad(SpecProblem("ovf", described(text), f"XML ({error.msg})")) from None
    about: Any = root.getroottree().docinfo
    if etree.QName(root).localname != "Envelope" or about.doctype:
        raise _bad(SpecProblem("ovf", etree.QName(root).localname, "an OVF envelope without a document type"))
    systems = root.findall(".//{*}VirtualSystem")
    if len(systems) != 1:
        raise _bad(SpecProblem("VirtualSystem", str(len(systems)), "exactly one: a vApp of several VMs is not one VM"))
    return _Reader(root, systems[0]).description()


def as_text(text: bytes) -> str:
    """Return a description that was read before as text, whatever its encoding is."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    return str(etree.tostring(etree.fromstring(text, parser), encoding="unicode"))


NUMBER = re.compile(r"[0-9]{1,18}")
MOST = {"CPU": 4096, "memory": 2**50}
"""Limits of a description: vCPUs, and bytes of memory."""
PARTS_MOST = 1024
"""Limit for the numbers of items, disks and files of a description."""


class _Reader:
    """Parses one VM and collects all problems."""

    def __init__(self, root: Any, system: Any) -> None:
        self.root, self.system = root, system
        self.problems: list[SpecProblem] = []

    def description(self) -> Description:
        found = self.system.findall(".//{*}Item")
        numbers = {"Item": len(found)} | {name: len(self.root.findall(f".//{{*}}{name}")) for name in ("Disk", "File")}
        if problems := [SpecProblem(name, str(n), f"at most {PARTS_MOST}") for name, n in numbers.items() if n > PARTS_MOST]:
            raise _bad(*problems)
        items = [{etree.QName(e).localname: (e.text or "").strip() for e in item} for item in found]
        of = {kind: [item for item in items if item.get("ResourceType") == kind] for kind in (CPU, MEMORY, DISK, ETHERNET)}
        name = (self.system.findtext("{*}Name") or _attribute(self.system, "id") or "").strip()
        vcpus = sum(self._number(item, "VirtualQuantity", "CPU") for item in of[CPU])
        memory = sum(self._number(i, "VirtualQuantity", "memory") * self._unit(i.get("AllocationUnits")) for i in of[MEMORY])
        for what, value in (("CPU", vcpus), ("memory", memory)):
            if not 1 <= value <= MOST[what]:
                self.problems.append(SpecProblem(what, str(value), f"a number from 1 to {MOST[what]}"))
        self._refuse_media(items)
        disks = tuple(disk for item in self._in_order(of[DISK]) if (disk := self._disk(item)))
        models = {item.get("InstanceID"): item.get("ResourceSubType", "").lower() for item in of[ETHERNET]}
        nics = tuple(
            ApplianceNIC(network=item.get("Connection") or "", model=MODELS.get(models[item.get("InstanceID")], "virtio"))
            for item in of[ETHERNET]
        )
        efi = any(_attribute(config, "value") == "efi" for config in self.system.iterfind(".//{*}Config"))
        if self.problems:
            raise _bad(*self.problems)
        return Description(
            name=name,
            vcpus=vcpus,
            memory=memory,
            disks=disks,
            nics=nics,
            firmware="uefi" if efi else "bios",
            description=(self.system.findtext(".//{*}Annotation") or "").strip(),
        )

    def _refuse_media(self, items: list[dict[str, str]]) -> None:
        """Refuse media that the appliance brings: a VM without its installation or configuration medium would start and fail."""
        for item in items:
            drive, resource = DRIVES.get(item.get("ResourceType", "")), item.get("HostResource", "")
            if drive and "/file/" in resource:
                file = self._file(resource.rpartition("/")[2])
                name = resource if file is None else _attribute(file, "href")
                allowed = (
                    "no medium: take the file and its Item out of the appliance, upload it to a pool, and attach it afterwards"
                )
                self.problems.append(SpecProblem(f"the {drive} drive", name, allowed))

    def _disk(self, item: dict[str, str]) -> ApplianceDisk | None:
        identity = item.get("HostResource", "").rpartition("/")[2]
        found = next((d for d in self.root.iterfind(".//{*}Disk") if _attribute(d, "diskId") == identity), None)
        if found is None:
            self.problems.append(SpecProblem("HostResource", item.get("HostResource", ""), "a disk of the DiskSection"))
            return None
        capacity = _attribute(found, "capacity") or ""
        size = _whole(capacity) * self._unit(_attribute(found, "capacityAllocationUnits"))
        if not 0 < size <= CAPACITY_MOST:
            self.problems.append(
                SpecProblem("capacity", capacity[:40], f"a whole number above 0, at most {CAPACITY_MOST} bytes in all")
            )
            return None
        reference = _attribute(found, "fileRef")
        file = self._file(reference) if reference else None
        if reference and file is None:
            self.problems.append(SpecProblem("fileRef", reference, "a file of the References"))
        packing = _attribute(file, "compression") if file is not None else None
        if packing not in (None, "", "identity", "gzip"):
            self.problems.append(SpecProblem("compression", str(packing), "gzip or none"))
        packed = _attribute(file, "size") if file is not None else None
        return ApplianceDisk(
            file=_attribute(file, "href") if file is not None else None,
            size=_whole(packed or ""),
            capacity=size,
            compressed=packing == "gzip",
        )

    def _file(self, reference: str) -> Any:
        """Return the file of the appliance that has an id; None if there is none."""
        return next((file for file in self.root.iterfind(".//{*}File") if _attribute(file, "id") == reference), None)

    def _in_order(self, items: list[dict[str, str]]) -> list[dict[str, str]]:
        """Return disks ordered by controller, then by position."""
        return sorted(
            items,
            key=lambda i: (i.get("Parent", ""), _whole(i.get("AddressOnParent", ""))),
        )

    def _number(self, item: dict[str, str], field: str, what: str) -> int:
        text = item.get(field, "")
        if not NUMBER.fullmatch(text):
            self.problems.append(SpecProblem(what, text[:40], "a whole number of at most 18 digits"))
        return _whole(text)

    def _unit(self, text: str | None) -> int:
        """Return the number of bytes in a unit such as "byte * 2^20", or in the names that older files use."""
        written = (text or "byte").strip().lower()
        if found := re.fullmatch(r"byte(?:\s*\*\s*([0-9]{1,4})\s*\^\s*([0-9]{1,2}))?", written):
            return int(found[1]) ** int(found[2]) if found[1] and int(found[2]) < 64 else 1
        if written not in FACTORS:
            self.problems.append(SpecProblem("AllocationUnits", written, "byte * 2^20 or the like"))
        return FACTORS.get(written, 1)


def _whole(text: str) -> int:
    """Return a whole number, 0 for anything else."""
    return int(text) if NUMBER.fullmatch(text) else 0


def _attribute(element: Any, name: str) -> str | None:
    value: str | None = element.get(f"{{{OVF}}}{name}") or element.get(name) or element.get(f"{{{VMW}}}{name}")
    return value


def _bad(*problems: SpecProblem) -> InvalidSpecError:
    return InvalidSpecError("that is no appliance of one VM", problems=list(problems))


__all__ = ["ApplianceDisk", "ApplianceNIC", "Description", "as_text", "read", "written"]
