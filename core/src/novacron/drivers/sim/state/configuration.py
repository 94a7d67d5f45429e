"""The configuration of a simulated VM: the fields of `VMUpdate`, read and changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron.drivers.sim.state.machine import SimVM
from novacron.errors import InvalidSpecError, SpecProblem
from novacron.records.vm import HostFile

if TYPE_CHECKING:
    from novacron.specs.vm import VMUpdate


def set_hardware(vm: SimVM, changes: VMUpdate) -> None:
    """Change the hardware settings of a VM. Raises InvalidSpecError if a device of the boot order does not exist; nothing is changed."""
    from novacron.specs.vm import HARDWARE

    given = {name: value for name, value in changes.as_dict().items() if name in HARDWARE}
    if (order := given.pop("boot_order", None)) is not None:
        _set_boot_order(vm, order)
    if (most := given.pop("vcpus_max", None)) is not None:
        vm.vcpus_max = max(most, vm.vcpus)
    if "tpm" in given:
        vm.native = {key: value for key, value in vm.native.items() if key != "tpm"}
        vm.native |= {"tpm": True} if given.pop("tpm") else {}
    if given.get("cpu_model"):
        vm.hardware.pop("cpu_mode", None)
    elif given.get("cpu_mode"):
        vm.hardware.pop("cpu_model", None)
    for name in ("features", "memory_backing"):
        if given.get(name):
            given[name] = {**vm.hardware.get(name, {}), **given[name]}
    if changes.topology is not None:
        present = vm.hardware.get("topology")
        given["topology"] = changes.topology.upon(present, changes.vcpus or vm.after_stop.get("vcpus", vm.vcpus)).model_dump()
    if changes.display is not None:
        given["display"] = changes.display.upon(vm.hardware.get("display"))
    merged = {**vm.hardware, **given}
    vm.hardware = {name: value for name, value in merged.items() if value is not None}


def configuration(vm: SimVM) -> dict[str, Any]:
    """Return the fields of `VMUpdate` that a VM has."""
    from novacron.specs.vm import HARDWARE, VMSpec

    found: dict[str, Any] = {
        "vcpus": vm.after_stop.get("vcpus", vm.vcpus),
        "memory": vm.after_stop.get("memory", vm.memory),
        "description": vm.description,
        "tags": sorted(vm.tags),
        "metadata": dict(vm.metadata),
        "autostart": vm.autostart,
        "vcpus_max": vm.after_stop.get("vcpus_max", vm.vcpus_max),
        "tpm": bool(vm.native.get("tpm")),
        "boot_order": boot_order(vm),
    }
    defaults = {
        name: field.get_default(call_default_factory=True) for name, field in VMSpec.model_fields.items() if name in HARDWARE
    }
    for name in HARDWARE:
        if name not in found:
            found[name] = vm.hardware.get(name, _plain(defaults[name]))
    for name in ("features", "memory_backing"):
        found[name] = {**defaults[name].model_dump(), **found[name]}
    return found


def host_files(vm: SimVM) -> tuple[HostFile, ...]:
    """Return what a VM uses of its host beside its disks."""
    kernel, found = vm.hardware.get("kernel") or {}, []
    for use, path in (("kernel", kernel.get("path")), ("initial RAM disk", kernel.get("initrd"))):
        if path:
            found.append(HostFile(use=use, path=path))
    if vm.firmware != "bios":
        found.append(HostFile(use="NVRAM"))
    if vm.native.get("tpm"):
        found.append(HostFile(use="TPM"))
    found += [HostFile(use="shared folder", path=one["source"]) for one in vm.hardware.get("filesystems") or ()]
    return tuple(found)


def disk_secrets(vm: SimVM) -> dict[str, str | None]:
    """Return the name of the secret of each encrypted disk, by target."""
    return {disk.target: vm.options.get(disk.target, {}).get("encryption") for disk in vm.disks if disk.encrypted}


def boot_order(vm: SimVM) -> list[str]:
    """Return the devices that a VM boots from, first one first."""
    places = {disk.target: disk.boot_order for disk in vm.disks} | {
        nic.mac: vm.options.get(nic.mac, {}).get("boot_order") for nic in vm.nics
    }
    return sorted((name for name, place in places.items() if place), key=lambda name: places[name] or 0)


def _set_boot_order(vm: SimVM, order: list[str]) -> None:
    devices = [*(disk.target for disk in vm.disks), *(nic.mac for nic in vm.nics)]
    wanted = [name if name in devices else name.lower() for name in order]
    if unknown := [name for name in wanted if name not in devices]:
        problem = SpecProblem("boot_order", ", ".join(unknown), "devices of the VM: " + (", ".join(devices) or "it has none"))
        raise InvalidSpecError("no such device", problems=[problem], resource=vm.name)
    place = {name: number for number, name in enumerate(wanted, 1)}
    vm.disks = tuple(disk.replace(boot_order=place.get(disk.target)) for disk in vm.disks)
    for nic in vm.nics:
        rest = {key: value for key, value in vm.options.get(nic.mac, {}).items() if key != "boot_order"}
        vm.options = {**vm.options, nic.mac: rest | ({"boot_order": place[nic.mac]} if nic.mac in place else {})}
    vm.options = {name: options for name, options in vm.options.items() if options}


def _plain(value: Any) -> Any:
    if hasattr(value, "as_dict"):
        return value.as_dict()
    return sorted(value) if isinstance(value, frozenset) else value


__all__ = ["boot_order", "configuration", "disk_secrets", "host_files", "set_hardware"]
