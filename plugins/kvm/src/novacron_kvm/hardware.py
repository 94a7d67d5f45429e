"""Changes the hardware of a VM for its next start, and reads it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import libvirt

from novacron.errors import InvalidSpecError, InvalidStateError, SpecProblem
from novacron.records.vm import VMConfiguration
from novacron_kvm.definitions import changing, redefine
from novacron_kvm.domain_capabilities import DomainCapabilities, refuse_unsupported
from novacron_kvm.domains.states import refuse_saved
from novacron_kvm.xml.configuration import hardware
from novacron_kvm.xml.facts import VMFacts
from novacron_kvm.xml.hardware import change_hardware, places_within
from novacron_kvm.xml.host_needs import disk_secrets, host_files
from novacron_kvm.xml.parsing import parse, serialise, text_of
from novacron_kvm.xml.platforms import platform
from novacron_kvm.xml.reading import machine_of
from novacron_kvm.xml.resources import fields as resources

if TYPE_CHECKING:
    from novacron.specs.vm import VMSpec, VMUpdate
    from novacron_kvm.connection import KVMConnection

SECURE = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
CPU = frozenset({"cpu_mode", "cpu_model", "cpu_features"})
"""Fields that libvirt replaces in the definition of a running VM by what the host offers."""


def configuration(domain: Any) -> VMConfiguration:
    """Return the configuration of a VM for its next start."""
    running, persistent = bool(domain.isActive()), bool(domain.isPersistent())
    root = parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if persistent else 0))
    found, sizes, facts = hardware(root), resources(root), VMFacts.read(root)
    pending: tuple[str, ...] = ()
    if running and persistent:
        live = hardware(parse(domain.XMLDesc(0)))
        pending = tuple(name for name, value in found.items() if name not in CPU and not _same(value, live[name], name))
    known = {
        "vcpus": sizes["vcpus"],
        "memory": sizes["memory_bytes"],
        "description": text_of(root, "description") or "",
        "tags": sorted(facts.tags),
        "metadata": dict(facts.metadata),
        "autostart": bool(domain.autostart()) if persistent else False,
    }
    return VMConfiguration(
        vm=domain.UUIDString(), fields=known | found, pending=pending, files=host_files(root), secrets=disk_secrets(root)
    )


def update_hardware(connection: KVMConnection, domain: Any, changes: VMUpdate) -> str | None:
    """Change the definition of a VM, and read it back.

    Returns:
        The previous definition; None if nothing was asked for.
    Raises:
        InvalidSpecError: the host does not offer a value, the VM has no such device, or libvirt did not store a value.
        InvalidStateError: the VM is transient or its memory is saved.
        BusyError: another process changes the definition for too long.
    """
    asked = changes.hardware
    if not asked:
        return None
    name = domain.name()
    if not domain.isPersistent():
        raise InvalidStateError(f"{name!r} is transient: it has no definition that can be changed", resource=name)
    refuse_saved(domain, "change the hardware of")
    with changing(connection, domain):
        before = domain.XMLDesc(SECURE)
        root = parse(before)
        arch, machine = machine_of(root)
        spec = _as_spec(name, root, changes)
        capabilities = DomainCapabilities.of(domain.connect(), arch, machine, root.get("type"))
        refuse_unsupported(spec, capabilities, arch, machine, ())
        change_hardware(root, asked, spec, platform(arch, machine))
        redefine(domain.connect(), serialise(root))
        _check(domain, before, changes)
    return str(before)


def _as_spec(name: str, root: Any, changes: VMUpdate) -> VMSpec:
    """Return a spec with the changed values, to check them and to write their XML."""
    from novacron.specs.vm import VMSpec

    asked = {field: value for field, value in changes.hardware.items() if value is not None and field in VMSpec.model_fields}
    present = hardware(root)
    asked.pop("topology", None)
    if changes.memory_backing is not None:  # the given parts change
        asked["memory_backing"] = {**present["memory_backing"], **changes.memory_backing.model_dump(exclude_unset=True)}
    if changes.display is not None:
        asked["display"] = changes.display.upon(present["display"])
    now = resources(root)
    vcpus = changes.vcpus or now["vcpus"]
    most = changes.vcpus_max or max(vcpus, now["vcpus_max"])
    if changes.topology is None:
        return VMSpec(**{"name": name, **asked, "vcpus": vcpus, "vcpus_max": most})
    within = places_within(root, changes.topology)
    topology = changes.topology.upon(present["topology"], -(-vcpus // within))
    if changes.vcpus_max is None:
        most = topology.sockets * topology.cores * topology.threads * within
    elif within == 1:
        asked["topology"] = topology  # it has to agree with vcpus_max
    spec = VMSpec(**{"name": name, **({"topology": None} | asked), "vcpus": vcpus, "vcpus_max": most})
    return spec.model_copy(update={"topology": topology})


def _check(domain: Any, before: str, changes: VMUpdate) -> None:
    """Compare what libvirt stored with what was asked. Raises InvalidSpecError after the previous definition was restored."""
    stored = hardware(parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)))
    asked = changes.as_dict()
    lost = [
        SpecProblem(field, asked[field], f"another value: libvirt stored {stored[field]!r}")
        for field in changes.hardware
        if asked[field] is not None and asked[field] != "default" and not _same(asked[field], stored[field], field)
    ]
    if lost:
        redefine(domain.connect(), before)
        raise InvalidSpecError(f"libvirt can't give {domain.name()!r} that hardware", problems=lost, resource=domain.name())


def _same(asked: Any, stored: Any, field: str) -> bool:
    if isinstance(asked, dict) and isinstance(stored, dict):
        return all(_same(value, stored.get(name), name) for name, value in asked.items() if value is not None)
    if field == "vcpus_max":
        return int(stored) >= int(asked)  # whole sockets
    if field == "boot_order":
        return [str(name).lower() for name in asked] == [str(name).lower() for name in stored]
    return bool(asked == stored or (not asked and not stored))


__all__ = ["configuration", "update_hardware"]
