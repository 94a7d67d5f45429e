"""CPU, memory and I/O of VMs. A power cycle reverts live changes and applies persistent ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from novacron.drivers.sim.area import Area, simulated
from novacron.drivers.sim.state.hardware import fits
from novacron.drivers.sim.state.machine import SimVM
from novacron.errors import DeviceNotFoundError, InvalidSpecError, InvalidStateError, SpecProblem
from novacron.records.resources import Resources

if TYPE_CHECKING:
    from novacron.specs.resources import LimitsSpec

FIELDS = ("vcpus", "vcpus_max", "memory", "memory_max", "modules", "iothreads", "pinning", "limits")
"""Properties of a VM that can differ after the next start."""
SIZES = ("memory_limit", "memory_soft_limit", "memory_swap_limit", "memory_guarantee")
PARTS = ("devices", "disks", "nics")

State = Mapping[str, Any]
Change = Callable[[State, bool], State]
"""A function from the current fields, and whether the VM runs, to the changed fields."""


class SimResources(Area):
    """Reads and changes resources."""

    @simulated
    def resources_get(self, vm: str) -> Resources:
        """Return the current settings, and those of the next start."""
        with self.world.lock:
            return self._resources(self.look(vm))

    @simulated
    def vcpus_set(self, vm: str, count: int, live: bool, persistent: bool) -> Resources:
        """Set the number of vCPUs."""
        if count < 1:
            raise _bad(vm, "count", count, "at least 1")

        def change(now: State, running: bool) -> State:
            if running and count > now["vcpus_max"]:
                raise InvalidStateError(
                    f"can't give the running {vm!r} {count} vCPUs: it can have {now['vcpus_max']}",
                    resource=vm,
                    hint="stop it first, or create it with vcpus_max",
                )
            return {"vcpus": count, "vcpus_max": max(count, now["vcpus_max"])}

        return self._set(vm, "vcpus", change, live, persistent)

    @simulated
    def memory_set(self, vm: str, size: int, live: bool, persistent: bool) -> Resources:
        """Set the memory. Memory modules are added and removed as needed."""
        if not 2**20 <= size <= self.world.memory_bytes:
            raise _bad(vm, "size", size, f"1 MiB to what the host has, {self.world.memory_bytes} bytes")
        with self.world.lock:
            most = self.look(vm).max_memory

        def change(now: State, running: bool) -> State:
            total, modules = now["memory_max"], now["modules"]
            if size > total and (running or most) and size > (most or total):
                raise InvalidStateError(
                    f"can't give {vm!r} memory of {size} bytes: its maximum is {most or total}",
                    resource=vm,
                    hint="stop it first, or create it with memory_max or max_memory",
                )
            if size > total:
                return {"memory": size, "memory_max": size, "modules": (*modules, size - total) if most else modules}
            while modules and total - modules[-1] >= size:
                total, modules = total - modules[-1], modules[:-1]
            return {"memory": size, "memory_max": total, "modules": modules}

        return self._set(vm, "memory", change, live, persistent)

    @simulated
    def iothreads_set(self, vm: str, count: int, live: bool, persistent: bool) -> Resources:
        """Set the number of I/O threads."""
        if count < 0:
            raise _bad(vm, "count", count, "at least 0")
        return self._set(vm, "iothreads", lambda *_: {"iothreads": tuple(range(1, count + 1))}, live, persistent)

    @simulated
    def pinning_set(self, vm: str, pinning: dict[str, str], live: bool, persistent: bool) -> Resources:
        """Pin vCPUs, emulator and I/O threads to CPUs. Other pins stay unchanged."""

        def change(now: State, running: bool) -> State:
            threads = [f"iothread{number}" for number in now["iothreads"]]
            for key, cpus in pinning.items():
                if key not in ("emulator", *threads) and not (key.isdecimal() and int(key) < now["vcpus_max"]):
                    raise _bad(vm, "pinning", key, ", ".join(("emulator", *threads, f"or 0 to {now['vcpus_max'] - 1}")))
                if cpus and not fits(cpus, self.world.cpus):
                    raise _bad(vm, f"pinning.{key}", cpus, f"CPUs of the host, 0-{self.world.cpus - 1}")
            return {"pinning": {key: cpus for key, cpus in {**now["pinning"], **pinning}.items() if cpus}}

        return self._set(vm, "pinning", change, live, persistent)

    @simulated
    def limits_set(self, vm: str, limits: LimitsSpec, live: bool, persistent: bool) -> Resources:
        """Set the given limits. Others stay unchanged."""
        given = limits.model_dump(exclude_unset=True)
        with self.world.lock:
            sim_vm = self.look(vm)
            there = {disk.target for disk in sim_vm.disks} | {nic.mac for nic in sim_vm.nics}
        for name in (*given.get("disks", ()), *(mac.lower() for mac in given.get("nics", ()))):
            if name not in there:
                raise DeviceNotFoundError(
                    f"{vm!r} has no {name!r}", resource=vm, hint=f"it has: {', '.join(sorted(there)) or 'none'}"
                )

        def change(now: State, running: bool) -> State:
            new = dict(now["limits"])
            for name, value in given.items():
                if name in PARTS:
                    new[name] = _merged(new.get(name, {}), value)
                else:
                    new[f"{name}_bytes" if name in SIZES else name] = value
            return {"limits": new}

        return self._set(vm, "limits", change, live, persistent)

    def _set(self, key: str, what: str, change: Change, live: bool, persistent: bool) -> Resources:
        with self.world.lock:
            sim_vm = self.changing(key, f"set {what} of")
            if not (live or persistent):
                raise _bad(key, "live, persistent", False, "at least one of them")
            if not sim_vm.active and not persistent:
                raise InvalidStateError(
                    f"can't set {what} of {sim_vm.name!r} live: it is {sim_vm.status}",
                    resource=sim_vm.name,
                    hint="start it, or persistent",
                )
            now, later = _now(sim_vm), _later(sim_vm)
            if not sim_vm.active:
                now = later = {**later, **change(later, False)}
            else:
                now = {**now, **change(now, True)} if live else now
                later = {**later, **change(later, False)} if persistent else later
            for field in FIELDS:
                setattr(sim_vm, field, now[field])
            sim_vm.after_stop = {field: later[field] for field in FIELDS if later[field] != now[field]}
            self.world.tell("vm.defined", sim_vm, reason="updated")
            return self._resources(sim_vm)

    def _resources(self, vm: SimVM) -> Resources:
        now, later = _record(vm, _now(vm)), _record(vm, _later(vm))
        return now if now == later else now.replace(next_start=later)


def _now(vm: SimVM) -> State:
    return {field: getattr(vm, field) for field in FIELDS}


def _later(vm: SimVM) -> State:
    return {**_now(vm), **vm.after_stop}


def _record(vm: SimVM, state: State) -> Resources:
    return Resources(
        vm=vm.id,
        vcpus=state["vcpus"],
        vcpus_max=state["vcpus_max"],
        memory_bytes=state["memory"],
        memory_max_bytes=state["memory_max"],
        max_memory_bytes=vm.max_memory,
        memory_modules=state["modules"],
        iothreads=state["iothreads"],
        pinning=dict(state["pinning"]) or None,
        **state["limits"],
    )


def _merged(old: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the limits of disks, NICs or devices after a change: 0 removes a limit, None leaves it unchanged."""
    new = {name: dict(fields) for name, fields in old.items()}
    for name, fields in given.items():
        key = name.lower() if ":" in name else name
        changed = new.get(key, {}) | {field: value for field, value in fields.items() if value is not None}
        new[key] = {field: value for field, value in changed.items() if value}
    return {name: fields for name, fields in new.items() if fields}


def _bad(vm: str, path: str, given: object, allowed: str) -> InvalidSpecError:
    return InvalidSpecError("invalid resources", problems=[SpecProblem(path, str(given), allowed)], resource=vm)


__all__ = ["SimResources"]
