"""What a host offers for one architecture, machine and virt type, as libvirt tells it, and what a spec asks beyond that."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import libvirt

from novacron.errors import InvalidSpecError, SpecProblem, UnsupportedOperationError
from novacron_kvm.xml.devices.filesystem import DRIVER
from novacron_kvm.xml.domain import HYPERV
from novacron_kvm.xml.parsing import parse, serialise, text_of
from novacron_kvm.xml.platforms import platform
from novacron_kvm.xml.reading import machine_of

if TYPE_CHECKING:
    from novacron.specs.devices import HostDeviceSpec
    from novacron.specs.vm import VMSpec

Asked = tuple[str, str, str]
"""A field, what it asks for as a user writes it, and as libvirt does."""


class DomainCapabilities:
    """Libvirt's domain capabilities. What they do not speak of, as those of older versions, is taken to be there.

    Example:
        >>> capabilities = DomainCapabilities(parse("<domainCapabilities><devices><tpm supported='no'/></devices></domainCapabilities>"))
        >>> capabilities.values("devices/tpm", "model"), capabilities.values("devices/disk", "bus")
        (frozenset(), None)
    """

    def __init__(self, root: Any) -> None:
        self._root = root

    @classmethod
    def of(cls, connection: Any, arch: str, machine: str | None, virt_type: str) -> DomainCapabilities:
        """Ask a libvirt connection; drivers that have no capabilities of domains offer everything."""
        try:
            return cls(parse(connection.getDomainCapabilities(None, arch, machine, virt_type, 0)))
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
                raise
            return cls(parse("<domainCapabilities/>"))

    def values(self, path: str, name: str) -> frozenset[str] | None:
        """Return the values of an enumeration, none of something unsupported; None when the host does not say."""
        parent = self._root.find(path)
        if parent is None:
            return None
        if parent.get("supported") == "no":
            return frozenset()
        found = parent.find(f"enum[@name='{name}']")
        return None if found is None else frozenset(value.text for value in found)

    def most_vcpus(self) -> int | None:
        """Return how many vCPUs a machine can have."""
        most = text_of(self._root, "vcpu/@max")
        return int(most) if most else None

    def cpu_models(self) -> frozenset[str] | None:
        """Return the CPUs that can be asked for by name."""
        modes = self._root.find("cpu/mode[@name='custom']")
        return None if modes is None else frozenset(model.text for model in modes.iterfind("model"))

    def host_cpu(self, name: str) -> Any:
        """Return the CPU that VMs with the mode host-model get, as an element `cpu`. Raises UnsupportedOperationError.

        Args:
            name: the name of the host.
        """
        mode = self._root.find("cpu/mode[@name='host-model']")
        if mode is None or mode.get("supported") != "yes":
            raise UnsupportedOperationError("this host has no CPU model for VMs", host=name, hint="see cpu_mode of a VM")
        cpu = parse("<cpu/>")
        cpu.extend(copy.deepcopy(each) for each in mode if each.tag in ("model", "vendor", "feature"))
        return cpu

    def supports(self, path: str) -> bool:
        """Whether something is not said to be unsupported."""
        element = self._root.find(path)
        return element is None or element.get("supported") != "no"


def cpu_of(text: str, field: str, models: frozenset[str] | None) -> str:
    """Return the XML of a CPU as libvirt takes it.

    Raises:
        InvalidSpecError: it is none, or its model is not one of `models`.
    """
    try:
        root = parse(text)
        model = text_of(root, "model") if root.tag == "cpu" else None
    except InvalidSpecError:
        model = None  # it is no XML
    if model and (models is None or model in models):
        return serialise(root)
    allowed = "a CPU model that the libvirt of this host knows" if model else "the description of a CPU baseline of libvirt"
    raise InvalidSpecError("that is no CPU for this host", problems=[SpecProblem(field, model or text[:60], allowed)])


def refuse_unsupported(
    spec: VMSpec, capabilities: DomainCapabilities, arch: str, machine: str | None, places: Iterable[tuple[str, str]]
) -> None:
    """Refuse a VM that asks for what its host does not offer; all of it is named at once.

    Raises:
        InvalidSpecError: with a problem for each field.
    """
    problems = [*_numbers(spec, capabilities), *_protection(spec, capabilities), *_bus_problems(capabilities, places)]
    for path, name, asked in _enumerations(spec, arch, machine):
        problems += _unoffered(capabilities.values(path, name), asked)
    if spec.cpu_model:
        problems += _unoffered(capabilities.cpu_models(), [("cpu_model", spec.cpu_model, spec.cpu_model)])
    if problems:
        raise InvalidSpecError("this host can't run that VM", problems=problems)


def refuse_buses(connection: Any, root: Any, places: Iterable[tuple[str, str]]) -> None:
    """Refuse new disks of a VM on buses that its host can't emulate.

    Raises:
        InvalidSpecError: with a problem for each such disk.
    """
    if problems := [*_bus_problems(DomainCapabilities.of(connection, *machine_of(root), root.get("type")), places)]:
        raise InvalidSpecError("this host can't give that VM that disk", problems=problems)


def refuse_host_device(connection: Any, root: Any, spec: HostDeviceSpec) -> None:
    """Refuse a device of a kind that the host can't give to a VM.

    Raises:
        InvalidSpecError: such as for a PCI device on a host without an IOMMU.
    """
    capabilities = DomainCapabilities.of(connection, *machine_of(root), root.get("type"))
    asked = _host_devices([spec])
    if problems := [each for path, name, asked in asked for each in _unoffered(capabilities.values(path, name), asked)]:
        hint = (
            "PCI devices need an IOMMU: VT-d or AMD-Vi in the firmware of the host, and intel_iommu=on as an option of its kernel"
        )
        raise InvalidSpecError("this host can't give that VM that device", problems=problems, hint=hint if not spec.usb else None)


def _bus_problems(capabilities: DomainCapabilities, places: Iterable[tuple[str, str]]) -> Iterator[SpecProblem]:
    asked = [(f"disks.{number}.bus", bus, bus) for number, (bus, _) in enumerate(places)]
    return _unoffered(capabilities.values("devices/disk", "bus"), asked)


def _enumerations(spec: VMSpec, arch: str, machine: str | None) -> Iterator[tuple[str, str, Sequence[Asked]]]:
    """Yield each enumeration of libvirt's, and what a spec asks of it."""
    kind = platform(arch, machine)
    if spec.firmware != "bios":
        yield "os", "firmware", [("firmware", spec.firmware, "efi")]
    if spec.display:
        yield "devices/graphics", "type", [("display.type", spec.display.type, spec.display.type)]
    if spec.video:
        yield "devices/video", "modelType", [("video", spec.video, spec.video)]
    if spec.tpm:
        yield "devices/tpm", "model", [("tpm", "true", kind.tpm)]
    if spec.memory_backing.source:
        yield "memoryBacking", "sourceType", [("memory_backing.source", spec.memory_backing.source, spec.memory_backing.source)]
    if spec.features.hyperv:
        yield "features/hyperv", "features", [("features.hyperv", "true", name) for name in HYPERV]
    if spec.filesystems:
        shared = [(f"filesystems.{number}.type", each.type, DRIVER[each.type]) for number, each in enumerate(spec.filesystems)]
        yield "devices/filesystem", "driverType", shared
    yield from _host_devices(spec.host_devices)


def _host_devices(devices: Sequence[HostDeviceSpec]) -> Iterator[tuple[str, str, Sequence[Asked]]]:
    if devices:
        usb = [(f"host_devices.{number}", f"usb {d.usb}", "usb") for number, d in enumerate(devices) if d.usb]
        yield "devices/hostdev", "subsysType", usb
        others = [(number, f"pci {d.pci}" if d.pci else f"mdev {d.mdev}") for number, d in enumerate(devices) if not d.usb]
        yield "devices/hostdev", "pciBackend", [(f"host_devices.{number}", what, "vfio") for number, what in others]


def _unoffered(offered: frozenset[str] | None, asked: Iterable[Asked]) -> Iterator[SpecProblem]:
    """Yield a problem for each field whose value is not offered."""
    refused: dict[str, list[Asked]] = {}
    for each in asked:
        if offered is not None and each[2] not in offered:
            refused.setdefault(each[0], []).append(each)
    for field, missing in refused.items():
        given, words = missing[0][1], [theirs for _, _, theirs in missing]
        if not offered:
            allowed = "left out: the host offers none"
        elif words == [given]:
            allowed = f"one of {', '.join(sorted(offered))}"
        else:
            allowed = f"left out: the host lacks {', '.join(words)}"
        yield SpecProblem(field, given, allowed)


def _numbers(spec: VMSpec, capabilities: DomainCapabilities) -> Iterator[SpecProblem]:
    most, asked = capabilities.most_vcpus(), spec.vcpus_max or spec.vcpus
    if most is not None and asked > most:
        yield SpecProblem("vcpus_max" if spec.vcpus_max else "vcpus", str(asked), f"at most {most}, what the machine can have")


def _protection(spec: VMSpec, capabilities: DomainCapabilities) -> Iterator[SpecProblem]:
    asked = spec.launch_security
    if asked and not capabilities.supports(f"features/{asked.type}"):
        yield SpecProblem("launch_security.type", asked.type, "left out: the host's processors or firmware don't offer it")
    if spec.cpu_mode != "default" and not capabilities.supports(f"cpu/mode[@name='{spec.cpu_mode}']"):
        yield SpecProblem("cpu_mode", spec.cpu_mode, "another: the host does not offer it to this kind of VM")


__all__ = ["DomainCapabilities", "refuse_buses", "refuse_host_device", "refuse_unsupported"]
