"""A VM's configuration in vSphere's own language: a ConfigSpec in the XML of its API (namespace `urn:vim25`)."""

from __future__ import annotations

import re
from typing import Any

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.redaction import described
from novacron_vmware.sdk import SoapAdapter, vim

FORMAT = "vsphere-config-xml"
KEPT = (
    "name",
    "version",
    "uuid",
    "instanceUuid",
    "guestId",
    "annotation",
    "firmware",
    "bootOptions",
    "cpuHotAddEnabled",
    "memoryHotAddEnabled",
    "cpuAllocation",
    "memoryAllocation",
    "cpuAffinity",
    "latencySensitivity",
    "flags",
    "memoryReservationLockedToMax",
    "sevEnabled",
    "vPMCEnabled",
)
"""What a ConfigInfo and a ConfigSpec both have, by the same name."""
MADE_WITH_EVERY_VM = (
    "VirtualIDEController",
    "VirtualPS2Controller",
    "VirtualPCIController",
    "VirtualSIOController",
    "VirtualKeyboard",
    "VirtualPointingDevice",
    "VirtualVMCIDevice",
    "VirtualMachineVideoCard",
    "VirtualMachineVMCIDevice",
    "VirtualVideoCard",
)
SECRET = re.compile(
    r"^guestinfo\.|^remotedisplay\.vnc\.|passw|passphrase|passcode|secret|token|credential|api.?key|private.?key|key$",
    re.IGNORECASE,
)
"""Keys of the extra configuration that may hold secrets, in upper or lower case: vSphere does not distinguish them."""


def written(config: Any, version: str) -> str:
    """Return the ConfigSpec that makes a VM like this one, as XML without secrets."""
    from lxml import etree

    spec = vim.vm.ConfigSpec(**{name: getattr(config, name) for name in KEPT if getattr(config, name, None) not in (None, "")})
    spec.numCPUs, spec.numCoresPerSocket = config.hardware.numCPU, config.hardware.numCoresPerSocket
    spec.memoryMB = config.hardware.memoryMB
    spec.files = vim.vm.FileInfo(vmPathName=config.files.vmPathName)
    spec.extraConfig = [o for o in config.extraConfig or () if isinstance(o.value, str) and not SECRET.search(o.key)]
    for device in config.hardware.device:
        if type(device).__name__.rpartition(".")[2] not in MADE_WITH_EVERY_VM:
            spec.deviceChange.append(vim.vm.device.VirtualDeviceSpec(operation="add", device=device))
    text = SoapAdapter.Serialize(spec, version=version)
    root = etree.fromstring(text, _parser())
    etree.indent(root)
    return etree.tostring(root, encoding="unicode")


def parsed(definition: str) -> Any:
    """Return the ConfigSpec that a definition says.

    Raises:
        InvalidSpecError: it is no XML, or no ConfigSpec; entities, DTDs and anything on the network are refused.
    """
    from lxml import etree

    try:
        root = etree.fromstring(definition.encode(), _parser())
        if root.getroottree().docinfo.doctype:
            raise ValueError("a document type")
        spec = SoapAdapter.Deserialize(etree.tostring(root), vim.vm.ConfigSpec)
    except Exception:  # noqa: BLE001 - pyVmomi raises errors of any type, which quote the file
        problem = SpecProblem("definition", described(definition), "a ConfigSpec in XML")
        raise InvalidSpecError("no vSphere definition", problems=[problem], hint="vm_export writes one") from None
    if not spec.name:
        raise InvalidSpecError("no vSphere definition", problems=[SpecProblem("name", "", "a name")])
    where = (spec.files.vmPathName if spec.files else "") or ""
    spec.files = vim.vm.FileInfo(vmPathName=where.partition("]")[0] + "]" if where else "")
    for change in spec.deviceChange:
        change.operation, change.fileOperation = "add", None
    return spec


def _parser() -> Any:
    from lxml import etree

    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_blank_text=True, huge_tree=False)


__all__ = ["FORMAT", "parsed", "written"]
