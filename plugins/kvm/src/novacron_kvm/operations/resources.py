"""CPU and memory of a VM: how many, where, how much at most. Live changes end with the power cycle, persistent ones begin with it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import libvirt

from novacron.errors import InvalidSpecError, InvalidStateError, NovaCronError, SpecProblem
from novacron.plugins import hookimpl
from novacron.records.resources import Resources
from novacron_kvm.connection import KVMConnection
from novacron_kvm.definitions import change_definition
from novacron_kvm.domains import limits as tuning
from novacron_kvm.domains.balloon import wait_for_balloon
from novacron_kvm.domains.devices import unplug
from novacron_kvm.domains.metadata import CONFIG, LIVE
from novacron_kvm.domains.states import refuse_saved
from novacron_kvm.errors import translated
from novacron_kvm.xml.parsing import parse
from novacron_kvm.xml.resources import fields, module, modules, numbers, set_memory, set_vcpus

if TYPE_CHECKING:
    from novacron.specs.resources import LimitsSpec

MODULE = 128 * 2**20
"""Linux takes in memory in blocks of this size; a module of another size would be of no use to its guest, or only in part."""
UNPLUG = 10.0
"""Seconds that a guest has to empty a memory module; one that can't says so at once, or never."""

Change = Callable[[Any, int, ExitStack], None]
"""Changes a domain live or in its definition; what it puts on the stack takes that back when something later fails."""


class KVMResources:
    """Reads and sets them, in force now (live), in the definition (persistent), or both."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def resources_get(self, vm: str) -> Resources:
        """Return what is in force: of a running VM live, of a stopped one by its definition."""
        domain = self._connection.domain(vm)
        with translated(resource=vm):
            return _record(domain)

    @hookimpl
    def vcpus_set(self, vm: str, count: int, live: bool, persistent: bool) -> Resources:
        """Set the number of vCPUs; a running VM gets more by hot plug, up to what it was started with at most."""
        if count < 1:
            raise _bad(vm, "count", count, "at least 1")

        def change(domain: Any, place: int, undo: ExitStack) -> None:
            most = _now(domain, place)["vcpus_max"]
            if place == LIVE and count > most:
                raise _bad(vm, "count", count, f"at most {most} while it runs; set a higher vcpus_max and start it again")
            if place == CONFIG and count > most:
                change_definition(self._connection, domain, lambda root: set_vcpus(root, count))
            domain.setVcpusFlags(count, place)

        return self._change(vm, live, persistent, change)

    @hookimpl
    def memory_set(self, vm: str, size: int, live: bool, persistent: bool) -> Resources:
        """Set the memory: modules for more than there is, the balloon for less."""
        if size < 2**20:
            raise _bad(vm, "size", size, "at least 1 MiB")

        def change(domain: Any, place: int, undo: ExitStack) -> None:
            now = _now(domain, place)
            total, most = now["memory_max_bytes"], now["max_memory_bytes"]
            if size > total and most:
                _plug(domain, place, vm, size, total, most, undo)
            elif size > total and place == LIVE:
                allowed = f"at most {total} while it runs; set a higher memory_max, or max_memory, and start it again"
                raise _bad(vm, "size", size, allowed)
            elif size > total:
                change_definition(self._connection, domain, lambda root: set_memory(root, size))
            elif most:
                _unplug(domain, place, size)
            domain.setMemoryFlags(size // 1024, place)
            if place == LIVE:
                undo.callback(domain.setMemoryFlags, now["memory_bytes"] // 1024, place)
                wait_for_balloon(domain, size)

        return self._change(vm, live, persistent, change)

    @hookimpl
    def iothreads_set(self, vm: str, count: int, live: bool, persistent: bool) -> Resources:
        """Set the number of I/O threads; those with the highest numbers go."""
        if count < 0:
            raise _bad(vm, "count", count, "at least 0")

        def change(domain: Any, place: int, undo: ExitStack) -> None:
            there = _now(domain, place)["iothreads"]
            free = [number for number in range(1, count + len(there) + 1) if number not in there]
            for number in free[: max(0, count - len(there))]:
                domain.addIOThread(number, place)
                undo.callback(domain.delIOThread, number, place)
            for number in there[count:]:
                _delete_iothread(domain, number, place)
                undo.callback(domain.addIOThread, number, place)

        return self._change(vm, live, persistent, change)

    @hookimpl
    def pinning_set(self, vm: str, pinning: dict[str, str], live: bool, persistent: bool) -> Resources:
        """Bind vCPUs, the emulator or I/O threads to CPUs of the host; the rest stays as it is."""
        with translated(resource=vm):
            cpus = self._connection.read.getInfo()[2]
        wanted = {key: _cpu_map(vm, key, text, cpus) for key, text in pinning.items()}

        def change(domain: Any, place: int, undo: ExitStack) -> None:
            now = _now(domain, place)
            threads = [f"iothread{number}" for number in now["iothreads"]]
            for key in wanted:
                if key not in ("emulator", *threads) and not (key.isdecimal() and int(key) < now["vcpus_max"]):
                    raise _bad(vm, "pinning", key, ", ".join(("emulator", *threads, f"or 0 to {now['vcpus_max'] - 1}")))
            for key, chosen in wanted.items():
                before = numbers((now["pinning"] or {}).get(key) or f"0-{cpus - 1}")
                if place == LIVE:  # the definition is put back as a whole, also when it names CPUs that this host lacks
                    undo.callback(_pin, domain, key, tuple(number in before for number in range(cpus)), place)
                _pin(domain, key, chosen, place)

        return self._change(vm, live, persistent, change)

    @hookimpl
    def limits_set(self, vm: str, limits: LimitsSpec, live: bool, persistent: bool) -> Resources:
        """Set shares and limits through the host's control groups, QEMU (disks) and queueing disciplines (NICs)."""
        tuning.refuse_guarantees(vm, limits)
        apply = partial(tuning.apply, self._connection)
        return self._change(vm, live, persistent, lambda domain, place, undo: apply(domain, limits, place, undo))

    def _change(self, vm: str, live: bool, persistent: bool, change: Change) -> Resources:
        """Change the definition, then what is in force, for that fails more easily; either all is done or nothing."""
        if not (live or persistent):
            raise _bad(vm, "live", False, "live, persistent or both")
        domain = self._connection.domain(vm)
        with translated(resource=vm):
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

        def run() -> Resources:
            with self._connection.dedicated() as conn, translated(resource=vm), ExitStack() as undo:
                there = self._connection.domain(domain.UUIDString(), conn)
                if persistent:
                    before = there.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)
                    undo.callback(conn.defineXML, before)
                    with ExitStack() as redefined:
                        change(there, CONFIG, redefined)
                        redefined.pop_all()
                if live:
                    change(there, LIVE, undo)
                undo.pop_all()
                return _record(there)

        return self._connection.bounded(run, timeout=55.0)


def _record(domain: Any) -> Resources:
    found = Resources(vm=domain.UUIDString(), **fields(parse(domain.XMLDesc(0))))
    if not (domain.isActive() and domain.isPersistent()):
        return found
    later = Resources(vm=domain.UUIDString(), **fields(parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))))
    return found if later == found else found.replace(next_start=later)


def _now(domain: Any, place: int) -> dict[str, Any]:
    return fields(parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if place == CONFIG else 0)))


def _plug(domain: Any, place: int, vm: str, size: int, total: int, most: int, undo: ExitStack) -> None:
    """Add the module that makes `total` into `size`."""
    more = size - total
    if size > most:
        raise _bad(vm, "size", size, f"at most {most}, the VM's max_memory")
    if more % MODULE:
        below = total + more // MODULE * MODULE
        allowed = f"{below} or {below + MODULE}: modules are of whole {MODULE // 2**20} MiB"
        raise _bad(vm, "size", size, allowed)
    from lxml import etree

    refuse_saved(domain, "add memory to")
    text = etree.tostring(module(more), encoding="unicode")
    domain.attachDeviceFlags(text, place)
    undo.callback(domain.detachDeviceFlags, text, place)


def _unplug(domain: Any, place: int, size: int) -> None:
    """Remove the modules that `size` does not need. Modules that the guest does not release stay, and the balloon takes their memory."""
    from lxml import etree

    while True:
        root = parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if place == CONFIG else 0))
        now, there = fields(root), modules(root)
        spare = now["memory_max_bytes"] - size
        number = next((n for n in reversed(range(len(there))) if now["memory_modules"][n] <= spare), None)
        if number is None:
            return
        if place == CONFIG:
            domain.detachDeviceFlags(etree.tostring(there[number], encoding="unicode"), CONFIG)
            continue
        slot = there[number].find("address").get("slot")

        def same(root: Any, slot: str = slot) -> Any:
            return next((each for each in modules(root) if each.find("address").get("slot") == slot), None)

        try:
            unplug(domain, same, "a memory module", seconds=UNPLUG, persistent=False)
        except (NovaCronError, libvirt.libvirtError):
            if _is_there(domain, same):
                return  # the guest needs it


def _is_there(domain: Any, find: Callable[[Any], Any]) -> bool:
    return find(parse(domain.XMLDesc(0))) is not None


def _delete_iothread(domain: Any, number: int, place: int) -> None:
    try:
        domain.delIOThread(number, place)
    except libvirt.libvirtError as error:
        if "being used by" not in (error.get_error_message() or ""):
            raise
        raise InvalidStateError(
            f"can't take the I/O thread {number} from {domain.name()!r}: a disk of it or its controller is served by it",
            resource=domain.name(),
            hint="give the disk another thread, or none, first",
        ) from error


def _pin(domain: Any, key: str, chosen: tuple[bool, ...], place: int) -> None:
    if key == "emulator":
        domain.pinEmulator(chosen, place)
    elif key.startswith("iothread"):
        domain.pinIOThread(int(key.removeprefix("iothread")), chosen, place)
    else:
        domain.pinVcpuFlags(int(key), chosen, place)


def _cpu_map(vm: str, key: str, text: str, cpus: int) -> tuple[bool, ...]:
    """Return "0-3,8,^2" as libvirt's tuple of one truth for each CPU of the host; all of them for nothing."""
    if not text:
        return (True,) * cpus
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
