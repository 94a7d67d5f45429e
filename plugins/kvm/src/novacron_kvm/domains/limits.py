"""Limits of CPU, memory and I/O as libvirt's sets of parameters: each is read, changed in part, and given back when a later one fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import libvirt

from novacron.errors import DeviceNotFoundError, InvalidSpecError, SpecProblem, UnsupportedOperationError
from novacron_kvm.definitions import change_definition
from novacron_kvm.domains.metadata import CONFIG
from novacron_kvm.xml.parsing import parse
from novacron_kvm.xml.resources import DEVICE, DISK, MEMORY, NIC, PERIOD, QUOTAS, scheduling, set_scheduling

if TYPE_CHECKING:
    from novacron.specs.disks import DiskLimits
    from novacron.specs.resources import LimitsSpec
    from novacron_kvm.connection import KVMConnection

EXCLUSIVE = {"total_bytes_sec": ("read_bytes_sec", "write_bytes_sec"), "total_iops_sec": ("read_iops_sec", "write_iops_sec")}
UNLIMITED = (2**63 - 1) // 1024
"""libvirt's "no limit" of memory, in KiB."""
SHORTEST = 1000
"""Microseconds in each period that the kernel gives at least."""


class Tuning(NamedTuple):
    """What of one of libvirt's sets of parameters is to be something else."""

    read: Callable[[int], dict[str, Any]]
    write: Callable[[dict[str, Any], int], Any]
    wanted: dict[str, Any]


def refuse_guarantees(vm: str, limits: LimitsSpec) -> None:
    """Refuse what QEMU has not."""
    for name in ("cpu_guarantee_mhz", "memory_guarantee"):
        if getattr(limits, name):
            raise UnsupportedOperationError(f"QEMU has no {name}", resource=vm, hint="give a limit, or shares")


def apply(connection: KVMConnection, domain: Any, limits: LimitsSpec, place: int, undo: ExitStack) -> None:
    """Put limits in force, or into the definition (`place`); `undo` gets what takes each back."""
    for tuning in _tunings(connection, domain, limits, place):
        undo.callback(tuning.write, _before(tuning.read(place), tuning.wanted), place)
        tuning.write(tuning.wanted, place)


def disk_parameters(vm: str, disk: str, now: dict[str, int], limits: DiskLimits) -> dict[str, int]:
    """Return all limits of a disk after a change: those that are given, 0 lifts one, and the others as they are `now`."""
    given = {theirs: value for ours, theirs in DISK.items() if (value := getattr(limits, ours)) is not None}
    merged = {name: given.get(name, now.get(name, 0)) for name in DISK.values()}
    for total, parts in EXCLUSIVE.items():
        if merged[total] and any(merged[part] for part in parts):
            ours = next(ours for ours, theirs in DISK.items() if theirs == total)
            problem = SpecProblem(ours, str(merged[total]), "either a total, or limits for reading and writing")
            raise InvalidSpecError(f"can't limit {disk!r} of {vm!r}", problems=[problem], resource=vm)
    return merged


def _tunings(connection: KVMConnection, domain: Any, limits: LimitsSpec, place: int) -> Iterator[Tuning]:
    given = limits.model_dump(exclude_unset=True)
    memory = {theirs: (given[ours] or UNLIMITED * 1024) // 1024 for ours, theirs in MEMORY.items() if ours in given}
    if memory:
        yield Tuning(domain.memoryParameters, domain.setMemoryParameters, memory)
    if {"cpu_shares", "cpu_period_us", *QUOTAS} & given.keys():
        read, write = _scheduler(connection, domain, place)
        yield Tuning(read, write, _scheduling(domain.name(), read(place), given))
    if io := _io(limits):
        yield Tuning(domain.blkioParameters, domain.setBlkioParameters, io)
    if not (limits.disks or limits.nics):
        return
    root = parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if place == CONFIG else 0))
    targets = {each.get("dev") for each in root.iterfind("devices/disk/target")}
    macs = {each.get("address", "").lower() for each in root.iterfind("devices/interface/mac")}
    for name in {*limits.disks, *(mac.lower() for mac in limits.nics)} - targets - macs:
        raise DeviceNotFoundError(
            f"{domain.name()!r} has no {name!r}",
            resource=domain.name(),
            hint=f"it has: {', '.join(sorted(targets | macs)) or 'none'}",
        )
    for target, disk in limits.disks.items():
        wanted = disk_parameters(domain.name(), target, domain.blockIoTune(target, place), disk)
        yield Tuning(_of(domain.blockIoTune, target), _of(domain.setBlockIoTune, target), wanted)
    for mac, nic in limits.nics.items():
        rates = {f"{theirs}.average": rate for ours, theirs in NIC.items() if (rate := getattr(nic, ours)) is not None}
        wanted = {name: max(1, rate // 1024) if rate else 0 for name, rate in rates.items()}
        yield Tuning(_of(domain.interfaceParameters, mac.lower()), _of(domain.setInterfaceParameters, mac.lower()), wanted)


def _scheduler(
    connection: KVMConnection, domain: Any, place: int
) -> tuple[Callable[[int], dict[str, Any]], Callable[[dict[str, Any], int], Any]]:
    """Return what reads and what writes the parameters of CPU.

    The kernel refuses a part of a VM more than the whole at any moment: limits that change are lifted first. libvirt's own calls want a
    running VM's control groups to be there also for the definition, which is changed as XML therefore.
    """
    if place != CONFIG:

        def write_live(parameters: dict[str, Any], _: int) -> None:
            lifted = {name: -1 for name in parameters if name.endswith("_quota")}
            for wanted in filter(None, (lifted, parameters)):
                domain.setSchedulerParametersFlags(wanted, place)

        return domain.schedulerParametersFlags, write_live

    def definition() -> Any:
        return parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE))

    def write(parameters: dict[str, Any], _: int) -> None:
        change_definition(connection, domain, lambda root: set_scheduling(root, parameters))

    return lambda _: scheduling(definition()), write


def _scheduling(vm: str, now: dict[str, Any], given: dict[str, Any]) -> dict[str, int]:
    """Return the parameters of CPU; another period keeps the percentages that are not given."""
    found: dict[str, int] = {}
    if given.get("cpu_shares") is not None:
        found["cpu_shares"] = given["cpu_shares"]
    for ours, theirs in QUOTAS.items():
        old = now.get(f"{theirs}_period") or PERIOD
        quota = now.get(f"{theirs}_quota") or -1
        period = given.get("cpu_period_us") or old
        if ours in given:
            quota = int(given[ours] * period / 100) if given[ours] else -1
        elif period != old and quota > 0:
            quota = quota * period // old
        else:
            continue
        if 0 < quota < SHORTEST:
            problem = SpecProblem(
                ours, str(given.get(ours)), f"at least {SHORTEST * 100 / period:g} with a period of {period} us"
            )
            raise InvalidSpecError(f"invalid limits for {vm!r}", problems=[problem], resource=vm)
        found |= {f"{theirs}_period": period, f"{theirs}_quota": quota}
    return found


def _io(limits: LimitsSpec) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if limits.io_weight is not None:
        found["weight"] = limits.io_weight
    for ours, theirs in DEVICE.items():
        each = [f"{path},{value}" for path, device in limits.devices.items() if (value := getattr(device, ours)) is not None]
        if each:
            found[f"device_{theirs}"] = ",".join(each)
    return found


def _before(now: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters that take a change back; those of devices are pairs in one text, and 0 for a device that had none."""
    found = {name: value for name, value in now.items() if name in wanted}
    for name in [each for each in wanted if each.startswith("device_")]:
        old = str(now.get(name, "")).split(",")
        values = dict(zip(old[::2], old[1::2], strict=False))
        found[name] = ",".join(f"{path},{values.get(path, 0)}" for path in wanted[name].split(",")[::2])
    return found


def _of(method: Callable[..., Any], device: str) -> Callable[..., Any]:
    return lambda *arguments: method(device, *arguments)


__all__ = ["apply", "disk_parameters", "refuse_guarantees"]
