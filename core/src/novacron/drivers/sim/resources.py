"""CPU and memory of VMs. What is set only live is undone by a power cycle, what is set only persistently is done by one."""

from __future__ import annotations

from typing import Any

from novacron.drivers.sim.area import Area, simulated
from novacron.drivers.sim.machine import SimVM
from novacron.errors import InvalidSpecError, InvalidStateError, SpecProblem
from novacron.records.resources import Resources
from novacron.specs.resources import LimitsSpec

_LIMITS = {"memory_limit": "memory_limit_bytes", "memory_guarantee": "memory_guarantee_bytes"}


class SimResources(Area):
    """Reads and sets them."""

    @simulated
    def resources_get(self, vm: str) -> Resources:
        """Return what is in force."""
        with self.world.lock:
            return self._resources(self.look(vm))

    @simulated
    def vcpus_set(self, vm: str, count: int, live: bool, persistent: bool) -> Resources:
        """Set the number of vCPUs."""
        if count < 1:
            raise _bad(vm, "count", count, "at least 1")
        return self._set(vm, "vcpus", count, live, persistent)

    @simulated
    def memory_set(self, vm: str, size: int, live: bool, persistent: bool) -> Resources:
        """Set the memory."""
        if not 2**20 <= size <= self.world.memory_bytes:
            raise _bad(vm, "size", size, f"1 MiB to what the host has, {self.world.memory_bytes} bytes")
        return self._set(vm, "memory", size, live, persistent)

    @simulated
    def pinning_set(self, vm: str, pinning: dict[str, str], live: bool, persistent: bool) -> Resources:
        """Set which CPUs the vCPUs run on."""
        with self.world.lock:
            found = self.look(vm)
            for key, cpus in pinning.items():
                if key != "emulator" and not (key.isdecimal() and int(key) < found.vcpus_max):
                    raise _bad(vm, "pinning", key, f"emulator, or 0 to {found.vcpus_max - 1}")
                if not _fits(cpus, self.world.cpus):
                    raise _bad(vm, f"pinning.{key}", cpus, f"CPUs of the host, 0-{self.world.cpus - 1}")
            return self._set(vm, "pinning", dict(pinning), live, persistent)

    @simulated
    def limits_set(self, vm: str, limits: LimitsSpec, live: bool, persistent: bool) -> Resources:
        """Set what is given; the rest stays."""
        given = {_LIMITS.get(name, name): getattr(limits, name) for name in limits.model_fields_set}
        with self.world.lock:
            return self._set(vm, "limits", {**self.look(vm).limits, **given}, live, persistent)

    def _set(self, key: str, field: str, value: Any, live: bool, persistent: bool) -> Resources:
        with self.world.lock:
            found = self.changing(key, f"set {field} of")
            if not (live or persistent):
                raise _bad(key, "live, persistent", False, "at least one of them")
            if not found.active:
                if not persistent:
                    raise InvalidStateError(
                        f"can't set {field} of {found.name!r} live: it is {found.status}",
                        resource=found.name,
                        hint="start it, or persistent",
                    )
                _raise_maximum(found, field, value)
                setattr(found, field, value)
                return self._resources(found)
            if live:
                most = getattr(found, f"{field}_max", None)
                if most is not None and value > most:
                    raise InvalidStateError(
                        f"can't give the running {found.name!r} {field} {value}: its maximum is {most}", resource=found.name,
                        hint=f"stop it first, or create it with {field}_max",
                    )  # fmt: skip
                before = found.after_stop.pop(field, getattr(found, field))
                if not persistent:
                    found.after_stop[field] = before
                setattr(found, field, value)
            else:
                _raise_maximum(found, field, value)
                found.after_stop[field] = value
            self.world.tell("vm.defined", found, reason="updated")
            return self._resources(found)

    def _resources(self, vm: SimVM) -> Resources:
        return Resources(
            vm=vm.id, vcpus=vm.vcpus, vcpus_max=vm.vcpus_max, memory_bytes=vm.memory, memory_max_bytes=vm.memory_max,
            pinning=dict(vm.pinning), **vm.limits,
        )  # fmt: skip


def _raise_maximum(vm: SimVM, field: str, value: Any) -> None:
    if field in ("vcpus", "memory"):
        setattr(vm, f"{field}_max", max(getattr(vm, f"{field}_max"), value))


def _fits(cpus: str, count: int) -> bool:
    """Whether text such as "0-3,8" names CPUs that are there."""
    for part in cpus.split(","):
        low, dash, high = part.partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()):
            return False
        if not int(low) <= int(high or low) < count:
            return False
    return True


def _bad(vm: str, path: str, given: object, allowed: str) -> InvalidSpecError:
    return InvalidSpecError("invalid resources", problems=[SpecProblem(path, str(given), allowed)], resource=vm)


__all__ = ["SimResources"]
