"""Domain XML from a VMSpec: valid against libvirt's schema, with every choice made that hosts would make differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from novacron_kvm.xml.devices.disk import DiskFile
from novacron_kvm.xml.devices.section import devices_xml
from novacron_kvm.xml.facts import VMFacts, metadata_xml
from novacron_kvm.xml.markup import NOTHING, Markup, element, text
from novacron_kvm.xml.platforms import Platform, platform
from novacron_kvm.xml.processors import cpu_xml, memory_xml, vcpu_xml

if TYPE_CHECKING:
    from novacron.specs.hardware import SecurityLabelSpec
    from novacron.specs.vm import VMSpec

BOOT = Markup(element("boot", dev="hd") + element("boot", dev="cdrom"))
"""What a VM boots from when nobody said."""

ACPI, APIC = element("acpi"), element("apic")

ON: dict[str, object] = {"state": "on"}
HYPERV: dict[str, dict[str, object]] = {
    "relaxed": ON,
    "vapic": ON,
    "spinlocks": {"state": "on", "retries": 8191},
    "vpindex": ON,
    "synic": ON,
    "stimer": ON,
    "frequencies": ON,
}
"""The interfaces of Hyper-V that Windows runs well with, and their attributes; the recommendation of QEMU's docs/system/i386/hyperv.rst
but for those of one processor maker alone."""

TIMERS = (
    element("timer", name="rtc", tickpolicy="catchup")
    + element("timer", name="pit", tickpolicy="delay")
    + element("timer", name="hpet", present="no")
    + element("timer", name="hypervclock", present="yes")
)
"""The clocks that Windows keeps time by."""


def domain_xml(
    spec: VMSpec, *, virt_type: str, arch: str, machine: str | None, disks: Sequence[DiskFile], created_at: str
) -> Markup:
    """Return the definition of a VM.

    Raises:
        InvalidSpecError: a text has a character that XML can't hold.
    """
    kind = platform(arch, machine)
    uefi = spec.firmware != "bios" or (kind.needs_uefi and not spec.kernel)
    return element(
        "domain",
        text("name", spec.name),
        text("uuid", spec.id) if spec.id else NOTHING,  # libvirt makes one
        text("description", spec.description) if spec.description else NOTHING,
        metadata_xml(_facts(spec, disks, created_at)),
        memory_xml(spec),
        vcpu_xml(spec),
        _system_info(spec),
        _os(spec, arch, machine, uefi=uefi),
        _features(spec, kind, uefi=uefi),
        cpu_xml(spec, virt_type, kind),
        _clock(spec),
        devices_xml(spec, kind, disks),
        _launch_security(spec),
        _confinement(spec),
        type=virt_type,
    )


def _facts(spec: VMSpec, disks: Sequence[DiskFile], created_at: str) -> VMFacts:
    made = [disk.path for disk in disks if disk.made and disk.path]
    secrets = {disk.path: disk.spec.encryption for disk in disks if disk.spec.encryption and disk.path}
    return VMFacts(
        tags=tuple(sorted(spec.tags)), metadata=spec.metadata, made=tuple(made), secrets=secrets, created_at=created_at
    )


def _os(spec: VMSpec, arch: str, machine: str | None, *, uefi: bool) -> Markup:
    parts = [text("type", "hvm", arch=arch, machine=machine)]
    if spec.firmware == "uefi-secure" or (uefi and arch == "x86_64"):
        secure = "yes" if spec.firmware == "uefi-secure" else "no"
        wanted = (element("feature", enabled=secure, name=name) for name in ("enrolled-keys", "secure-boot"))
        parts.append(element("firmware", *wanted))
    if spec.kernel:
        parts.append(text("kernel", spec.kernel.path))
        if spec.kernel.initrd:
            parts.append(text("initrd", spec.kernel.initrd))
        if spec.kernel.command_line:
            parts.append(text("cmdline", spec.kernel.command_line))
    elif not spec.boot_orders:
        parts.append(BOOT)
    if spec.boot_menu is not None:
        parts.append(element("bootmenu", enable="yes", timeout=int(spec.boot_menu * 1000)))
    if spec.system_info:
        parts.append(element("smbios", mode="sysinfo"))
    return element("os", *parts, firmware="efi" if uefi else None)


def _system_info(spec: VMSpec) -> Markup:
    if not spec.system_info:
        return NOTHING
    entries = (text("entry", value, name=name) for name, value in sorted(spec.system_info.items()))
    return element("sysinfo", element("system", *entries), type="smbios")


def _features(spec: VMSpec, kind: Platform, *, uefi: bool) -> Markup:
    asked = spec.features
    parts = (
        ACPI if kind.acpi == "always" or (uefi and kind.acpi == "with UEFI") else NOTHING,
        APIC if kind.apic else NOTHING,
        element("hyperv", *(element(name, **attributes) for name, attributes in HYPERV.items())) if asked.hyperv else NOTHING,
        element("kvm", element("hidden", state="on")) if asked.hide_hypervisor else NOTHING,
        NOTHING if asked.pmu is None else element("pmu", state="on" if asked.pmu else "off"),
        element("smm", state="on") if spec.firmware == "uefi-secure" and kind.apic else NOTHING,
    )
    return element("features", *parts) if any(parts) else NOTHING


def _clock(spec: VMSpec) -> Markup:
    timers = Markup(TIMERS) if spec.features.hyperv else NOTHING
    if spec.clock in ("utc", "localtime"):
        return element("clock", timers, offset=spec.clock)
    return element("clock", timers, offset="timezone", timezone=spec.clock)


def _launch_security(spec: VMSpec) -> Markup:
    asked = spec.launch_security
    if asked is None:
        return NOTHING
    if asked.type != "sev":
        return element("launchSecurity", type=asked.type)
    parts = (
        text("policy", f"0x{asked.policy:04x}"),
        text("dhCert", asked.dh_cert) if asked.dh_cert else NOTHING,
        text("session", asked.session) if asked.session else NOTHING,
    )
    return element("launchSecurity", *parts, type="sev")


def _confinement(spec: VMSpec) -> Markup:
    if not spec.confined:
        return element("seclabel", type="none")
    return Markup("".join(_security_label(label) for label in spec.security_labels))


def _security_label(asked: SecurityLabelSpec) -> Markup:
    return element(
        "seclabel",
        text("label", asked.label) if asked.label else NOTHING,
        text("baselabel", asked.base_label) if asked.base_label else NOTHING,
        type=asked.type,
        model=asked.model,
        relabel=None if asked.relabel is None else "yes" if asked.relabel else "no",
    )


__all__ = ["HYPERV", "domain_xml"]
