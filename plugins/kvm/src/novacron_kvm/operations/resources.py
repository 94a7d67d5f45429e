"""CPU and memory of a VM: how many, where, how much at most. Live changes end with the power cycle, persistent ones begin with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import libvirt

from novacron.errors import InvalidSpecError, InvalidStateError, SpecProblem, UnsupportedOperationError
from novacron.plugins import hookimpl
from novacron.records.resources import Resources
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.xml.parsing import parse, text_of
from novacron_kvm.xml.reading import UNIT

if TYPE_CHECKING:
    from novacron.specs.resources import LimitsSpec

LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
PERIOD = 100_000
"""Microseconds over which a CPU limit is kept; the kernel's own default."""


class KVMResources:
    """Reads and sets them, in force now (live), in the definition (persistent), or both."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def resources_get(self, vm: str) -> Resources:
        """Return what is in force: of a running VM live, of a stopped one by its definition."""
        domain = self._connection.domain(vm)
        with translated("resources_get", vm):
            root = parse(domain.XMLDesc(0))
        vcpu = root.find("vcpu")
        maximum = int(vcpu.text)
        quota = text_of(root, "cputune/global_quota")
        period = int(text_of(root, "cputune/global_period") or PERIOD)
        shares = text_of(root, "cputune/shares")
        pinning = {pin.get("vcpu"): pin.get("cpuset") for pin in root.iterfind("cputune/vcpupin")}
        emulator = text_of(root, "cputune/emulatorpin/@cpuset")
        return Resources(
            vm=domain.name(), vcpus=int(vcpu.get("current") or maximum), vcpus_max=maximum,
            memory_bytes=_bytes(root, "currentMemory") or 0, memory_max_bytes=_bytes(root, "memory") or 0,
            cpu_shares=int(shares) if shares else None,
            cpu_limit_percent=int(quota) * 100 / period if quota and int(quota) > 0 else None,
            memory_limit_bytes=_bytes(root, "memtune/hard_limit"),
            pinning=(pinning | ({"emulator": emulator} if emulator else {})) or None,
        )  # fmt: skip

    @hookimpl
    def vcpus_set(self, vm: str, count: int, live: bool, persistent: bool) -> Resources:
        """Set the number of vCPUs; a running VM gets more by hot plug, up to what it was started with at most."""
        if count < 1:
            raise _bad(vm, "count", count, "at least 1")
        now = self.resources_get(vm)
        if live and count > now.vcpus_max:
            raise _bad(vm, "count", count, f"at most {now.vcpus_max} while it runs; set a higher vcpus_max and start it again")

        def change(domain: Any) -> None:
            if persistent and count > domain.vcpusFlags(CONFIG | libvirt.VIR_DOMAIN_VCPU_MAXIMUM):
                domain.setVcpusFlags(count, CONFIG | libvirt.VIR_DOMAIN_VCPU_MAXIMUM)
            for flag in _places(live, persistent):
                domain.setVcpusFlags(count, flag)

        return self._change("vcpus_set", vm, live, persistent, change)

    @hookimpl
    def memory_set(self, vm: str, size: int, live: bool, persistent: bool) -> Resources:
        """Set the memory; a running VM's through its balloon, up to what it was started with at most."""
        now = self.resources_get(vm)
        if size < 2**20:
            raise _bad(vm, "size", size, "at least 1 MiB")
        if live and size > now.memory_max_bytes:
            raise _bad(
                vm, "size", size, f"at most {now.memory_max_bytes} while it runs; set a higher memory_max and start it again"
            )

        def change(domain: Any) -> None:
            if (
                persistent
                and size // 1024 > int(_bytes(parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)), "memory") or 0) // 1024
            ):
                domain.setMemoryFlags(size // 1024, CONFIG | libvirt.VIR_DOMAIN_MEM_MAXIMUM)
            for flag in _places(live, persistent):
                domain.setMemoryFlags(size // 1024, flag)

        return self._change("memory_set", vm, live, persistent, change)

    @hookimpl
    def pinning_set(self, vm: str, pinning: dict[str, str], live: bool, persistent: bool) -> Resources:
        """Bind vCPUs or the emulator to CPUs of the host; the rest stays as it is."""
        most = self.resources_get(vm).vcpus_max
        with translated("pinning_set", vm):
            cpus = self._connection.read.getInfo()[2]
        wanted = {key: _cpu_map(vm, key, text, cpus) for key, text in pinning.items()}
        for key in wanted:
            if key != "emulator" and not (key.isdecimal() and int(key) < most):
                raise _bad(vm, "pinning", key, f"emulator, or 0 to {most - 1}")

        def change(domain: Any) -> None:
            flags = sum(_places(live, persistent))
            for key, chosen in wanted.items():
                if key == "emulator":
                    domain.pinEmulator(chosen, flags)
                else:
                    domain.pinVcpuFlags(int(key), chosen, flags)

        return self._change("pinning_set", vm, live, persistent, change)

    @hookimpl
    def limits_set(self, vm: str, limits: LimitsSpec, live: bool, persistent: bool) -> Resources:
        """Set shares and limits through the host's cgroups; QEMU has no guarantees."""
        given = limits.model_dump(exclude_unset=True)
        for name in ("cpu_guarantee_mhz", "memory_guarantee"):
            if given.get(name):
                raise UnsupportedOperationError(f"QEMU has no {name}", resource=vm, hint="give a limit, or shares")
        scheduler: dict[str, int] = {}
        if given.get("cpu_shares") is not None:
            scheduler["cpu_shares"] = given["cpu_shares"]
        if "cpu_limit_percent" in given:
            percent = given["cpu_limit_percent"]
            scheduler |= {"global_period": PERIOD, "global_quota": int(percent * PERIOD / 100) if percent else -1}
        memory = {"hard_limit": (given["memory_limit"] or 2**63 - 1) // 1024} if "memory_limit" in given else {}

        def change(domain: Any) -> None:
            flags = sum(_places(live, persistent))
            if scheduler:
                domain.setSchedulerParametersFlags(scheduler, flags)
            if memory:
                domain.setMemoryParameters(memory, flags)

        return self._change("limits_set", vm, live, persistent, change)

    def _change(self, operation: str, vm: str, live: bool, persistent: bool, change: Any) -> Resources:
        if not (live or persistent):
            raise _bad(vm, "live", False, "live, persistent or both")
        domain = self._connection.domain(vm)
        with translated(operation, vm):
            if live and not domain.isActive():
                raise InvalidStateError(
                    f"{domain.name()!r} is stopped: nothing of it can be changed live",
                    resource=vm,
                    hint="leave live out, or start it",
                )
            if persistent and not domain.isPersistent():
                raise InvalidStateError(
                    f"{domain.name()!r} is transient: it has no definition", resource=vm, hint="leave persistent out"
                )

        def run() -> None:
            with self._connection.slow() as slow, translated(operation, vm):
                change(self._connection.domain(domain.UUIDString(), slow))

        self._connection.bounded(run, timeout=55.0)
        return self.resources_get(vm)


def _places(live: bool, persistent: bool) -> list[int]:
    return [flag for flag, wanted in ((LIVE, live), (CONFIG, persistent)) if wanted]


def _bytes(root: Any, path: str) -> int | None:
    text = text_of(root, path)
    if text is None:
        return None
    size = int(text) * UNIT.get(text_of(root, f"{path}/@unit") or "KiB", 1024)
    return size if size < 2**60 else None  # libvirt's way to say: no limit


def _cpu_map(vm: str, key: str, text: str, cpus: int) -> tuple[bool, ...]:
    """Return "0-3,8,^2" as libvirt's tuple of one truth for each CPU of the host."""
    chosen: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().removeprefix("^").partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise _bad(vm, f"pinning.{key}", text, 'sets of CPUs such as "0-3,8"')
        span = set(range(int(first), int(last or first) + 1))
        chosen = chosen - span if part.strip().startswith("^") else chosen | span
    if not chosen or max(chosen) >= cpus:
        raise _bad(vm, f"pinning.{key}", text, f"CPUs of the host, 0-{cpus - 1}")
    return tuple(number in chosen for number in range(cpus))


def _bad(vm: str, field: str, given: object, allowed: str) -> InvalidSpecError:
    return InvalidSpecError(f"invalid resources for {vm!r}", problems=[SpecProblem(field, str(given), allowed)], resource=vm)


__all__ = ["KVMResources"]
