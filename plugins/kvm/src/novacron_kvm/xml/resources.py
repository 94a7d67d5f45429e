"""CPU, memory and I/O of a VM as its definition says them."""

from __future__ import annotations

import math
from typing import Any

from novacron_kvm.xml.parsing import content, text_of
from novacron_kvm.xml.reading import UNIT

PERIOD = 100_000
"""Microseconds over which a CPU limit is kept unless said otherwise; the kernel's own default."""

QUOTAS = {
    "cpu_limit_percent": "global",
    "vcpu_limit_percent": "vcpu",
    "emulator_limit_percent": "emulator",
    "iothread_limit_percent": "iothread",
}
"""Our limits of CPU, and what libvirt calls those whom they are for."""

MEMORY = {"memory_limit": "hard_limit", "memory_soft_limit": "soft_limit", "memory_swap_limit": "swap_hard_limit"}
"""Our limits of memory, and libvirt's."""

DEVICE = {
    "weight": "weight",
    "read_bytes_per_second": "read_bytes_sec",
    "write_bytes_per_second": "write_bytes_sec",
    "read_iops": "read_iops_sec",
    "write_iops": "write_iops_sec",
}
"""Our limits of a block device of the host, and libvirt's."""

DISK = {
    "total_bytes_per_second": "total_bytes_sec",
    "read_bytes_per_second": "read_bytes_sec",
    "write_bytes_per_second": "write_bytes_sec",
    "total_iops": "total_iops_sec",
    "read_iops": "read_iops_sec",
    "write_iops": "write_iops_sec",
}
"""Our limits of a disk, and libvirt's."""

NIC = {"inbound_bytes_per_second": "inbound", "outbound_bytes_per_second": "outbound"}
"""Our limits of a NIC, and libvirt's."""


def fields(root: Any) -> dict[str, Any]:
    """Return the fields of a Resources record that a <domain> says, but for `vm` and `next_start`."""
    vcpu = root.find("vcpu")
    maximum = int(content(vcpu)) if vcpu is not None else 1
    shares, weight = text_of(root, "cputune/shares"), text_of(root, "blkiotune/weight")
    return {
        "vcpus": int(text_of(root, "vcpu/@current") or maximum),
        "vcpus_max": maximum,
        "memory_bytes": size(root.find("currentMemory")) or 0,
        "memory_max_bytes": size(root.find("memory")) or 0,
        "max_memory_bytes": size(root.find("maxMemory")),
        "memory_modules": tuple(size(each.find("target/size")) or 0 for each in modules(root)),
        "iothreads": iothreads(root),
        "cpu_shares": int(shares) if shares else None,
        **_quotas(root),
        **{f"{ours}_bytes": size(root.find(f"memtune/{theirs}")) for ours, theirs in MEMORY.items()},
        "io_weight": int(weight) if weight else None,
        "devices": {
            device.findtext("path"): found for device in root.iterfind("blkiotune/device") if (found := _numbers(device, DEVICE))
        },
        "disks": {
            text_of(disk, "target/@dev"): found
            for disk in root.iterfind("devices/disk")
            if (found := _numbers(disk.find("iotune"), DISK))
        },
        "nics": {
            (text_of(nic, "mac/@address") or "").lower(): found
            for nic in root.iterfind("devices/interface")
            if (found := _rates(nic))
        },
        "pinning": _pinning(root) or None,
    }


def iothreads(root: Any) -> tuple[int, ...]:
    """Return the numbers of the I/O threads."""
    named = [int(each.get("id")) for each in root.iterfind("iothreadids/iothread")]
    free = (number for number in range(1, 2**16) if number not in named)
    count = int(text_of(root, "iothreads") or len(named))
    return tuple(sorted([*named, *(next(free) for _ in range(count - len(named)))]))


def modules(root: Any) -> list[Any]:
    """Return the <memory> devices that were added as modules; persistent memory and the like is not the guest's to use freely."""
    return [each for each in root.iterfind("devices/memory") if each.get("model") == "dimm"]


def module(size_bytes: int) -> Any:
    """Return a memory module for the first NUMA node."""
    from lxml import etree

    element = etree.Element("memory", model="dimm")
    target = etree.SubElement(element, "target")
    etree.SubElement(target, "size", unit="KiB").text = str(size_bytes // 1024)
    etree.SubElement(target, "node").text = "0"
    return element


def set_vcpus(root: Any, count: int) -> None:
    """Let a definition have `count` vCPUs at the next start; topology and NUMA cells follow.

    Whole sockets are added or removed, so the maximum can be more than `count`.
    """
    from lxml import etree

    vcpu, topology = root.find("vcpu"), root.find("cpu/topology")
    if vcpu is None:
        vcpu = etree.Element("vcpu")
        root.find("memory").addnext(vcpu)
    most = count
    if topology is not None:
        in_socket = math.prod(int(topology.get(name, "1")) for name in ("dies", "clusters", "cores", "threads"))
        sockets = -(-count // in_socket)
        topology.set("sockets", str(sockets))
        most = sockets * in_socket
    vcpu.text = str(most)
    vcpu.attrib.pop("current", None)
    if most != count:
        vcpu.set("current", str(count))
    for each in root.findall("vcpus"):
        root.remove(each)  # which vCPU is there at the start; libvirt lists them anew
    for pin in root.findall("cputune/vcpupin"):
        if int(pin.get("vcpu")) >= most:
            pin.getparent().remove(pin)
    if cells := root.findall("cpu/numa/cell"):
        _share_vcpus(cells, most)  # memory and memory modules stay


def set_memory(root: Any, size_bytes: int) -> None:
    """Let a definition have that much memory at the next start; NUMA cells share it in the same proportions as before."""
    for tag in ("memory", "currentMemory"):
        element = root.find(tag)
        if element is not None:
            element.text = str(size_bytes // 1024)
            element.set("unit", "KiB")
    fit_cells(root)


def fit_cells(root: Any) -> None:
    """Give the NUMA cells of a VM, if it has any, all its vCPUs and memory; memory modules go."""
    cells = root.findall("cpu/numa/cell")
    if not cells:
        return
    for each in modules(root):
        each.getparent().remove(each)
    _share_vcpus(cells, int(root.findtext("vcpu")))
    memory = size(root.find("memory")) or 0
    _share_memory(cells, memory // 1024)
    most = root.find("maxMemory")
    if most is not None and (size(most) or 0) < memory:
        most.text, most.attrib["unit"] = str(memory // 1024), "KiB"


def _share_vcpus(cells: list[Any], count: int) -> None:
    """Keep each vCPU in its cell; those that are new go to the cells with the fewest."""
    placed = [numbers(cell.get("cpus", "")) & {*range(count)} for cell in cells]
    for number in sorted({*range(count)} - set().union(*placed)):
        min(placed, key=len).add(number)
    for cell, mine in zip(cells, placed, strict=True):
        if mine:
            cell.set("cpus", ranges(mine))
        else:
            cell.attrib.pop("cpus", None)


def _share_memory(cells: list[Any], total: int) -> None:
    """Share KiB out in the proportions that there are, in whole MiB but for the first cell."""
    before = [int(cell.get("memory", "0")) * UNIT.get(cell.get("unit", "KiB"), 1024) // 1024 for cell in cells]
    if sum(before) == total:
        return
    shares = [total * each // max(1, sum(before)) // 1024 * 1024 for each in before]
    shares[0] += total - sum(shares)
    for cell, share in zip(cells, shares, strict=True):
        cell.attrib.update({"memory": str(share), "unit": "KiB"})


def numbers(text: str) -> set[int]:
    """Return the numbers of a list such as "0-3,^2,8".

    Example:
        >>> sorted(numbers("0-3,^2,8"))
        [0, 1, 3, 8]
    """
    found: set[int] = set()
    for part in filter(None, (each.strip() for each in text.split(","))):
        first, _, last = part.removeprefix("^").partition("-")
        span = {*range(int(first), int(last or first) + 1)}
        found = found - span if part.startswith("^") else found | span
    return found


def ranges(given: set[int]) -> str:
    """Return numbers as libvirt writes them.

    Example:
        >>> ranges({0, 1, 3, 8, 9})
        '0-1,3,8-9'
    """
    parts: list[list[int]] = []
    for number in sorted(given):
        if parts and parts[-1][-1] == number - 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ",".join("-".join(map(str, part)) for part in parts)


def size(element: Any) -> int | None:
    """Return how many bytes an element with a unit says, None without it or for libvirt's "no limit"."""
    if element is None or not (given := content(element)):
        return None
    found = int(given) * UNIT.get(element.get("unit", "KiB"), 1024)
    return found if found < 2**60 else None


def scheduling(root: Any) -> dict[str, int]:
    """Return libvirt's parameters of CPU that a <domain> says."""
    names = {"cpu_shares", *(f"{theirs}_{what}" for theirs in QUOTAS.values() for what in ("quota", "period"))}
    return {name: int(text) for name in names if (text := text_of(root, f"cputune/{_scheduling_tag(name)}"))}


def set_scheduling(root: Any, parameters: dict[str, int]) -> None:
    """Put libvirt's parameters of CPU into a <domain>."""
    from lxml import etree

    cputune = root.find("cputune")
    if cputune is None:
        cputune = etree.Element("cputune")
        before = next((e for tag in ("iothreadids", "iothreads", "vcpus", "vcpu") if (e := root.find(tag)) is not None), None)
        if before is None:
            root.append(cputune)
        else:
            before.addnext(cputune)  # libxml2 refuses some definitions that have it after the devices
    for name, value in parameters.items():
        element = cputune.find(_scheduling_tag(name))
        if element is None:
            element = etree.SubElement(cputune, _scheduling_tag(name))
        element.text = str(value)


def _scheduling_tag(name: str) -> str:
    return name.removeprefix("cpu_").removeprefix("vcpu_")


def _quotas(root: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    periods = []
    for ours, theirs in QUOTAS.items():
        before = "" if theirs == "vcpu" else f"{theirs}_"
        quota = int(text_of(root, f"cputune/{before}quota") or -1)
        period = int(text_of(root, f"cputune/{before}period") or PERIOD)
        if quota > 0:
            found[ours] = quota * 100 / period
            periods.append(period)
    return found | {"cpu_period_us": periods[0] if periods else None}


def _pinning(root: Any) -> dict[str, str]:
    found = {pin.get("vcpu"): pin.get("cpuset") for pin in root.iterfind("cputune/vcpupin")}
    if emulator := text_of(root, "cputune/emulatorpin/@cpuset"):
        found["emulator"] = emulator
    return found | {f"iothread{pin.get('iothread')}": pin.get("cpuset") for pin in root.iterfind("cputune/iothreadpin")}


def _numbers(element: Any, names: dict[str, str]) -> dict[str, int]:
    if element is None:
        return {}
    return {ours: int(text) for ours, theirs in names.items() if (text := element.findtext(theirs)) and int(text)}


def _rates(nic: Any) -> dict[str, int]:
    return {ours: int(text) * 1024 for ours, theirs in NIC.items() if (text := text_of(nic, f"bandwidth/{theirs}/@average"))}


__all__ = [
    "DEVICE",
    "DISK",
    "MEMORY",
    "NIC",
    "PERIOD",
    "QUOTAS",
    "fields",
    "fit_cells",
    "iothreads",
    "module",
    "modules",
    "numbers",
    "ranges",
    "scheduling",
    "set_memory",
    "set_scheduling",
    "set_vcpus",
    "size",
]
