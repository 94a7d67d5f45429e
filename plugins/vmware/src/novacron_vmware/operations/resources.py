"""CPU and memory: how many, where, guaranteed and limited. vSphere has one configuration: what is set now lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidSpecError, InvalidStateError, SpecProblem
from novacron.plugins import hookimpl
from novacron.records.resources import Resources
from novacron.records.vm import VM
from novacron_vmware.errors import translated
from novacron_vmware.lifecycle.checks import megabytes
from novacron_vmware.lifecycle.hardware import cpu_numbers, fitting_cores
from novacron_vmware.sdk import vim
from novacron_vmware.vm_operations import VMOperations

if TYPE_CHECKING:
    from novacron.specs.resources import LimitsSpec

PATHS = [
    "config.instanceUuid",
    "config.hardware.numCPU",
    "config.hardware.memoryMB",
    "config.cpuAllocation",
    "config.memoryAllocation",
    "config.cpuAffinity",
    "config.cpuHotAddEnabled",
    "config.memoryHotAddEnabled",
    "runtime.host",
]
MIB = 2**20


class VMwareResources(VMOperations):
    """Reads and sets them."""

    @hookimpl
    def resources_get(self, vm: str) -> Resources:
        """Return what is in force. A percentage of a CPU is reckoned with the speed of the node's CPUs."""
        thing = self._find(vm)
        read = self._connection.read(thing, PATHS)
        vcpus, memory = int(read["config.hardware.numCPU"]), int(read["config.hardware.memoryMB"]) * MIB
        cpu, ram, affinity = read.get("config.cpuAllocation"), read.get("config.memoryAllocation"), read.get("config.cpuAffinity")
        limit = cpu.limit if cpu and cpu.limit and cpu.limit > 0 else None
        pinned = ",".join(str(n) for n in sorted(affinity.affinitySet or ())) if affinity else ""
        return Resources(
            vm=read["config.instanceUuid"],
            vcpus=vcpus,
            vcpus_max=vcpus,
            memory_bytes=memory,
            memory_max_bytes=memory,
            cpu_shares=cpu.shares.shares if cpu and cpu.shares else None,
            cpu_limit_percent=round(100 * limit / self._mhz(read), 2) if limit else None,
            cpu_guarantee_mhz=int(cpu.reservation or 0) or None if cpu else None,
            memory_limit_bytes=int(ram.limit) * MIB if ram and ram.limit and ram.limit > 0 else None,
            memory_guarantee_bytes=int(ram.reservation) * MIB if ram and ram.reservation else None,
            pinning={"emulator": pinned} if pinned else None,
        )

    @hookimpl
    def vcpus_set(self, vm: str, count: int, live: bool, persistent: bool) -> Resources:
        """Set the number of vCPUs; a running VM gets more by hot add."""
        if count < 1:
            raise _bad(self._read(self._find(vm)).name, "count", count, "at least 1")
        thing = self._find(vm)
        cores = {} if live else fitting_cores(self._connection.read(thing, ["config"])["config"], count)
        return self._set(vm, "vCPUs", "cpuHotAddEnabled", live, persistent, numCPUs=count, **cores)

    @hookimpl
    def memory_set(self, vm: str, size: int, live: bool, persistent: bool) -> Resources:
        """Set the memory; a running VM gets more by hot add."""
        return self._set(
            vm, "memory", "memoryHotAddEnabled", live, persistent, memoryMB=megabytes(size, self._read(self._find(vm)).name)
        )

    @hookimpl
    def pinning_set(self, vm: str, pinning: dict[str, str], live: bool, persistent: bool) -> Resources:
        """Bind a whole VM to a set of CPUs; "" removes the binding. vSphere binds no single vCPU: only "emulator" can be given."""
        name = self._read(self._find(vm)).name
        if set(pinning) - {"emulator"}:
            raise _bad(name, "pinning", sorted(pinning), '"emulator" alone: vSphere binds a whole VM')
        try:
            cpus = cpu_numbers(pinning.get("emulator", ""))
        except ValueError:
            raise _bad(name, "pinning", pinning["emulator"], 'a set of CPUs such as "0-3,8"') from None
        return self._set(vm, "", "", live, persistent, cpuAffinity=vim.vm.AffinityInfo(affinitySet=cpus))

    @hookimpl
    def limits_set(self, vm: str, limits: LimitsSpec, live: bool, persistent: bool) -> Resources:
        """Set shares, limits and reservations; only those that are given."""
        thing = self._find(vm)
        read = self._connection.read(thing, PATHS)
        cpu = read.get("config.cpuAllocation") or vim.ResourceAllocationInfo()
        ram = read.get("config.memoryAllocation") or vim.ResourceAllocationInfo()
        if limits.cpu_shares is not None:
            cpu.shares = vim.SharesInfo(level="custom", shares=limits.cpu_shares)
        given = limits.model_fields_set
        if "cpu_limit_percent" in given:  # None lifts a limit, which vSphere writes as -1
            percent = limits.cpu_limit_percent
            cpu.limit = max(1, round(percent * self._mhz(read) / 100)) if percent else -1
        if "cpu_guarantee_mhz" in given:
            cpu.reservation = limits.cpu_guarantee_mhz or 0
        if "memory_limit" in given:
            ram.limit = (limits.memory_limit or 0) // MIB or -1
        if "memory_guarantee" in given:
            ram.reservation = (limits.memory_guarantee or 0) // MIB
        return self._set(vm, "", "", live, persistent, cpuAllocation=cpu, memoryAllocation=ram)

    def _set(self, vm: str, what: str, hot: str, live: bool, persistent: bool, **config: Any) -> Resources:
        thing, record = self._changing(vm, "change", full=False)
        if not persistent:
            raise _bad(record.name, "persistent", False, "True: vSphere has no change that ends with the power cycle")
        if record.status != "stopped":
            self._check_live(thing, record, what, hot, live, config)
        with translated(record.name):
            self._reconfigure(thing, record.name, **config)
        return self.resources_get(vm)

    def _check_live(self, thing: Any, record: VM, what: str, hot: str, live: bool, config: dict[str, Any]) -> None:
        if not live:
            raise InvalidStateError(
                f"can't change {record.name!r} for its next start only: it is {record.status}",
                resource=record.name,
                hint="change it live, or stop it first",
            )
        if not hot:
            return
        able = self._connection.read(thing, [f"config.{hot}"]).get(f"config.{hot}")
        now = record.vcpus if "numCPUs" in config else record.memory_bytes // MIB
        wanted = next(iter(config.values()))
        if wanted != now and (wanted < now or not able or record.status != "running"):
            reason = "less than now" if wanted < now else "no hot add" if not able else f"it is {record.status}"
            raise InvalidStateError(
                f"can't set the {what} of {record.name!r} now: {reason}",
                resource=record.name,
                hint="stop it first, or create it with vcpus_max or memory_max",
            )

    def _mhz(self, read: dict[str, Any]) -> int:
        node = read.get("runtime.host")
        found = self._connection.read(node, ["summary.hardware.cpuMhz"]) if node else {}
        return int(found.get("summary.hardware.cpuMhz") or 0) or 1000


def _bad(vm: str, field: str, value: object, allowed: str) -> InvalidSpecError:
    return InvalidSpecError(
        f"can't change the resources of {vm!r}", resource=vm, problems=[SpecProblem(field, str(value), allowed)]
    )


__all__ = ["VMwareResources"]
