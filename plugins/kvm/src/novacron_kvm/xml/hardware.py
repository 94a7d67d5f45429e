"""Changes the hardware fields of `VMUpdate` in domain XML. All other content of the definition stays as it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lxml import etree

from novacron.errors import InvalidSpecError, SpecProblem
from novacron_kvm.xml.configuration import device_name, watchdogs
from novacron_kvm.xml.devices.display import graphics_xml, inputs_xml, video_xml
from novacron_kvm.xml.devices.services import BALLOON, NO_BALLOON, RNG, VSOCK, tpm_xml, watchdog_xml
from novacron_kvm.xml.domain import BOOT, HYPERV, TIMERS
from novacron_kvm.xml.markup import Markup, element, text
from novacron_kvm.xml.parsing import parse
from novacron_kvm.xml.platforms import Platform
from novacron_kvm.xml.processors import backing_xml
from novacron_kvm.xml.resources import set_vcpus, size

if TYPE_CHECKING:
    from novacron.specs.hardware import CPUTopology
    from novacron.specs.vm import VMSpec

Change = Callable[[Any, Any, "VMSpec", Platform], None]
"""Changes one field: gets the root element, the new value, a spec that has the new values, and the platform."""


def change_hardware(root: Any, changes: Mapping[str, Any], spec: VMSpec, kind: Platform) -> None:
    """Change hardware fields in a definition.

    Args:
        root: the <domain>.
        changes: the new values by field; None as a value removes a device or restores the default.
        spec: a spec with the new values, for the functions that write XML.
        kind: the platform of the VM's machine.

    Raises:
        InvalidSpecError: `boot_order` names a device that the VM does not have.
    """
    for field, value in changes.items():
        CHANGES[field](root, value, spec, kind)
    if {"cpu_mode", "cpu_model", "cpu_features"} & {*changes}:
        _cpu(root, changes, spec, kind)


def _vcpus_max(root: Any, value: Any, spec: VMSpec, kind: Platform) -> None:
    _most_vcpus(root, spec.vcpus_max or spec.vcpus, spec.vcpus)


def _most_vcpus(root: Any, most: int, now: int) -> None:
    set_vcpus(root, most)
    vcpu = root.find("vcpu")
    if now < int(vcpu.text):
        vcpu.set("current", str(now))


def places_within(root: Any, topology: CPUTopology) -> int:
    """Return the number of dies and clusters of a socket, which a spec can't say. A topology that is given as a whole has none."""
    present = root.find("cpu/topology")
    if present is None or topology.model_fields_set >= {"sockets", "cores", "threads"}:
        return 1
    return math.prod(int(present.get(name, "1")) for name in ("dies", "clusters"))


def _topology(root: Any, value: CPUTopology | None, spec: VMSpec, kind: Platform) -> None:
    present = root.find("cpu/topology")
    kept = dict(present.attrib) if present is not None and value and places_within(root, value) > 1 else {}
    _remove(root.findall("cpu/topology"))
    if value is None or spec.topology is None:
        return
    cpu = root.find("cpu")
    if cpu is None:
        cpu = etree.SubElement(root, "cpu")
    parts = kept | {name: str(getattr(spec.topology, name)) for name in ("sockets", "cores", "threads")}
    cpu.insert(0, parse(element("topology", **parts)))
    _most_vcpus(root, spec.vcpus_max or spec.vcpus, spec.vcpus)


def _cpu(root: Any, changes: Mapping[str, Any], spec: VMSpec, kind: Platform) -> None:
    """Set mode, model and features; topology, NUMA nodes and caches stay."""
    cpu = root.find("cpu")
    if cpu is None:
        cpu = etree.SubElement(root, "cpu")
    if {"cpu_mode", "cpu_model"} & {*changes}:
        _remove([*cpu.findall("model"), *cpu.findall("vendor")])
        for name in ("mode", "match", "check", "migratable"):
            cpu.attrib.pop(name, None)
        if spec.cpu_model:
            cpu.attrib.update({"mode": "custom", "match": "exact"})
            cpu.append(parse(text("model", spec.cpu_model, fallback="forbid")))
        else:
            own = "host-model" if root.get("type") == "kvm" else kind.cpu_mode
            mode = own if spec.cpu_mode == "default" else spec.cpu_mode
            if mode:
                cpu.set("mode", mode)
    if "cpu_features" in changes:
        _remove(cpu.findall("feature"))
        for feature in sorted(changes["cpu_features"] or ()):
            policy = "disable" if feature.startswith("-") else "require"
            cpu.append(parse(element("feature", policy=policy, name=feature.removeprefix("-"))))
    if cpu.find("feature") is not None and not cpu.get("mode") and cpu.find("model") is None:
        cpu.set("mode", "maximum")  # features are added to a CPU that is known
    if not len(cpu) and not cpu.get("mode"):
        root.remove(cpu)


def _memory_backing(root: Any, value: Any, spec: VMSpec, kind: Platform) -> None:
    shared = root.find("devices/filesystem/driver[@type='virtiofs']") is not None
    present = root.find("memoryBacking")
    markup = backing_xml(spec.memory_backing, shared=shared or spec.memory_backing.shared)
    if present is None:
        for new in parse(f"<parent>{markup}</parent>"):
            root.insert(_after_memory(root), new)
        return
    if not markup:
        root.remove(present)
        return
    wanted = {each.tag: each for each in parse(markup)}
    _remove([each for each in present if isinstance(each.tag, str) and each.tag not in wanted])
    for tag, new in wanted.items():
        old = present.find(tag)
        if old is None:
            present.append(new)
        elif tag == "hugepages" and size(old.find("page")) != size(new.find("page")):
            present.replace(old, new)
        else:
            old.attrib.update(new.attrib)  # what a spec can't say stays, such as the threads of an allocation


def _after_memory(root: Any) -> int:
    """Return the position after the sizes of the memory. libvirt's schema does not accept its backing at each other place."""
    return 1 + max((root.index(each) for each in root if each.tag in ("memory", "currentMemory", "maxMemory")), default=-1)


def _boot_order(root: Any, value: Any, spec: VMSpec, kind: Platform) -> None:
    devices = {name: device for device in root.find("devices") if (name := device_name(device))}
    wanted = [name if name in devices else name.lower() for name in value or ()]
    if unknown := [name for name in wanted if name not in devices]:
        problem = SpecProblem("boot_order", ", ".join(unknown), "devices of the VM: " + (", ".join(devices) or "it has none"))
        raise InvalidSpecError("no such device", problems=[problem], outcome="not_sent")
    _remove([*root.findall("devices/*/boot"), *root.findall("os/boot")])
    for number, name in enumerate(wanted, 1):
        devices[name].append(parse(element("boot", order=number)))
    if not wanted:
        _default_boot(root)


def _default_boot(root: Any) -> None:
    """Boot from the first hard disk, then from a CD-ROM, unless the definition says something else."""
    if root.find("os/boot") is None and root.find("devices/*/boot") is None and root.find("os/kernel") is None:
        _append(root.find("os"), BOOT)


def _kernel(root: Any, value: Any, spec: VMSpec, kind: Platform) -> None:
    os_ = root.find("os")
    _remove([each for name in ("kernel", "initrd", "cmdline") for each in os_.findall(name)])
    if value is None:
        _default_boot(root)
        return
    parts = {"kernel": value.path, "initrd": value.initrd, "cmdline": value.command_line}
    for name, given in parts.items():
        if given:
            _append(os_, text(name, given))


def _features(root: Any, value: Any, spec: VMSpec, kind: Platform) -> None:
    features = root.find("features")
    if features is None:
        features = etree.SubElement(root, "features")
    given = value.model_fields_set if value is not None else {"hyperv", "hide_hypervisor", "pmu", "iommu"}
    if "hyperv" in given:
        _hyperv(root, features, on=spec.features.hyperv)
    if "hide_hypervisor" in given:
        _remove(features.findall("kvm/hidden"))
        kvm = features.find("kvm")
        if spec.features.hide_hypervisor:
            kvm = etree.SubElement(features, "kvm") if kvm is None else kvm
            _append(kvm, element("hidden", state="on"))
        elif kvm is not None and not len(kvm):
            features.remove(kvm)
    if "pmu" in given:
        _remove(features.findall("pmu"))
        if spec.features.pmu is not None:
            _append(features, element("pmu", state="on" if spec.features.pmu else "off"))
    if "iommu" in given:
        _remove(root.findall("devices/iommu"))
        if spec.features.iommu:
            _append(root.find("devices"), element("iommu", model=spec.features.iommu))


def _hyperv(root: Any, features: Any, *, on: bool) -> None:
    """Switch on what Windows runs well with, or switch off all of Hyper-V. Other interfaces that the VM has stay on."""
    hyperv, clock = features.find("hyperv"), root.find("clock")
    if clock is None:
        clock = etree.SubElement(root, "clock", offset="utc")
    if not on:
        _remove(features.findall("hyperv"))
        _remove(clock.findall("timer[@name='hypervclock']"))
        return
    if hyperv is None:
        hyperv = etree.SubElement(features, "hyperv")
    for name, attributes in HYPERV.items():
        _set_attributes(hyperv, name, parse(element(name, **attributes)))
    for timer in parse(f"<clock>{TIMERS}</clock>"):
        _set_attributes(clock, f"timer[@name='{timer.get('name')}']", timer)


def _set_attributes(parent: Any, path: str, wanted: Any) -> None:
    """Give the element at a path the attributes of another one, which is added if there is none. Its other content stays."""
    present = parent.find(path)
    if present is None:
        parent.append(wanted)
    else:
        present.attrib.update(wanted.attrib)


def _clock(root: Any, value: Any, spec: VMSpec, kind: Platform) -> None:
    clock = root.find("clock")
    if clock is None:
        clock = etree.SubElement(root, "clock")
    clock.attrib.clear()
    if spec.clock in ("utc", "localtime"):
        clock.set("offset", spec.clock)
    else:
        clock.attrib.update({"offset": "timezone", "timezone": spec.clock})


def _watchdog(root: Any, value: Any, spec: VMSpec, kind: Platform) -> None:
    present = watchdogs(root)
    if value and present:
        present[0].set("action", value)
        return
    _replace(root, present, watchdog_xml(value, kind) if value else None)


def _display(root: Any, value: Any, spec: VMSpec, kind: Platform) -> None:
    present = root.findall("devices/graphics")
    before = present[0].get("type") if present else None
    given, value = value.model_fields_set if value else set(), value and spec.display
    if value is not None and before == value.type:
        _change_graphics(present[0], parse(graphics_xml(value)), given)
        return
    _remove(present)
    if before == "spice" and (value is None or value.type != "spice"):
        _remove(root.findall("devices/audio[@type='spice']") + root.findall("devices/channel[@type='spicevmc']"))
        _remove(root.findall("devices/redirdev[@type='spicevmc']"))
    if value is None:
        return
    devices = root.find("devices")
    _append(devices, graphics_xml(value))
    if devices.find("input[@type='tablet']") is None:
        _append(devices, inputs_xml(kind))
    if devices.find("video") is None:
        _append(devices, video_xml(spec.video or kind.video))


def _change_graphics(graphics: Any, wanted: Any, given: set[str]) -> None:
    """Change the given fields of a display. Passwords, OpenGL and whatever else a spec can't say stay."""
    place = ("port", "autoport", "listen", "socket") if given & {"listen", "port"} else ()
    for name in (*place, *({"keymap"} & given)):
        graphics.attrib.pop(name, None)
        if wanted.get(name) is not None:
            graphics.set(name, wanted.get(name))
    if place:
        _remove(graphics.findall("listen"))
        for position, listen in enumerate(wanted.findall("listen")):
            graphics.insert(position, listen)


def _video(root: Any, value: Any, spec: VMSpec, kind: Platform) -> None:
    present = root.findall("devices/video")
    if value is None or [each.get("type") for each in root.findall("devices/video/model")][:1] != [value]:
        _replace(root, present, video_xml(value) if value else None)


def _sound(root: Any, value: Any, spec: VMSpec, kind: Platform) -> None:
    present = root.findall("devices/sound")
    if value is None or [each.get("model") for each in present][:1] != [value]:
        _replace(root, present, element("sound", model=value) if value else None)


def _device(path: str, make: Callable[[Platform], Markup], otherwise: Markup | None = None) -> Change:
    """Return the change of a device that a VM has or does not have."""

    def change(root: Any, value: Any, spec: VMSpec, kind: Platform) -> None:
        present = root.findall(f"devices/{path}")
        if value and present and otherwise is None:
            return
        _replace(root, present, make(kind) if value else otherwise)

    return change


def _balloon(root: Any, value: Any, spec: VMSpec, kind: Platform) -> None:
    present = root.findall("devices/memballoon")
    if value is not False and any(each.get("model") != "none" for each in present):
        return
    _replace(root, present, NO_BALLOON if value is False else BALLOON)


def _nothing(root: Any, value: Any, spec: VMSpec, kind: Platform) -> None:
    """The fields of the CPU are changed together."""


CHANGES: dict[str, Change] = {
    "vcpus_max": _vcpus_max,
    "cpu_mode": _nothing,
    "cpu_model": _nothing,
    "cpu_features": _nothing,
    "topology": _topology,
    "memory_backing": _memory_backing,
    "boot_order": _boot_order,
    "kernel": _kernel,
    "features": _features,
    "clock": _clock,
    "watchdog": _watchdog,
    "vsock": _device("vsock", lambda kind: VSOCK),
    "tpm": _device("tpm", tpm_xml),
    "display": _display,
    "video": _video,
    "sound": _sound,
    "balloon": _balloon,
    "rng": _device("rng", lambda kind: RNG),
}
"""How each hardware field of `VMUpdate` is changed."""


def _replace(root: Any, present: Iterable[Any], markup: Markup | None) -> None:
    _remove(present)
    if markup:
        _append(root.find("devices"), markup)


def _append(parent: Any, markup: str) -> None:
    if markup:
        for child in parse(f"<parent>{markup}</parent>"):
            parent.append(child)


def _remove(elements: Iterable[Any]) -> None:
    """Remove elements from their parents."""
    for each in list(elements):
        each.getparent().remove(each)


__all__ = ["CHANGES", "change_hardware", "places_within"]
