"""Reads the hardware fields of `VMUpdate` from domain XML, whichever tool wrote it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from novacron_kvm.xml.parsing import content, text_of
from novacron_kvm.xml.resources import size

CHIPSET_WATCHDOG = "itco"
"""The watchdog that is part of the q35 chipset. Recent versions of libvirt list it in every definition."""


def hardware(root: Any) -> dict[str, Any]:
    """Return the hardware fields of `VMUpdate` by name, as plain values."""
    vcpu = root.find("vcpu")
    return {
        "vcpus_max": int(content(vcpu)) if vcpu is not None else 1,
        **_cpu(root.find("cpu")),
        "memory_backing": _memory_backing(root.find("memoryBacking")),
        "boot_order": [name for _, name in sorted(_ordered(root))],
        "kernel": _kernel(root.find("os")),
        "features": _features(root),
        "clock": _clock(root.find("clock")),
        "watchdog": next((each.get("action", "reset") for each in watchdogs(root)), None),
        "vsock": root.find("devices/vsock") is not None,
        "tpm": root.find("devices/tpm") is not None,
        "display": _display(root.find("devices/graphics")),
        "video": text_of(root, "devices/video/model/@type"),
        "sound": text_of(root, "devices/sound/@model"),
        "balloon": text_of(root, "devices/memballoon/@model", "virtio") != "none",
        "rng": root.find("devices/rng") is not None,
    }


def watchdogs(root: Any) -> list[Any]:
    """Return the watchdog devices, without the one of the chipset."""
    return [each for each in root.iterfind("devices/watchdog") if each.get("model") != CHIPSET_WATCHDOG]


def device_name(element: Any) -> str | None:
    """Return the name by which users know a device: a disk's target, a NIC's MAC address; None for others."""
    if element.tag == "disk":
        return text_of(element, "target/@dev")
    return (text_of(element, "mac/@address") or "").lower() or None if element.tag == "interface" else None


def _ordered(root: Any) -> list[tuple[int, str]]:
    found = []
    for device in root.find("devices") if root.find("devices") is not None else ():
        order = device.find("boot")
        name = device_name(device)
        if order is not None and name and (order.get("order") or "").isdecimal():
            found.append((int(order.get("order")), name))
    return found


def _cpu(cpu: Any) -> dict[str, Any]:
    if cpu is None:
        return {"cpu_mode": "default", "cpu_model": None, "cpu_features": [], "topology": None}
    model = text_of(cpu, "model") if cpu.get("mode", "custom") == "custom" else None
    mode = cpu.get("mode") if cpu.get("mode") not in (None, "custom") else "default"
    topology = cpu.find("topology")
    places = None if topology is None else {name: int(topology.get(name, "1")) for name in ("sockets", "cores", "threads")}
    return {"cpu_mode": mode, "cpu_model": model, "cpu_features": features_of(cpu), "topology": places}


def features_of(cpu: Any) -> list[str]:
    """Return the features of an element `cpu` besides those of its model, sorted: "avx2", or "-svm" for one that is missing."""
    return sorted(
        ("-" if each.get("policy") in ("disable", "forbid") else "") + (each.get("name") or "")
        for each in cpu.iterfind("feature")
    )


def _memory_backing(backing: Any) -> dict[str, Any]:
    page = None if backing is None else backing.find("hugepages/page")
    has: Callable[[str], bool] = lambda name: backing is not None and backing.find(name) is not None  # noqa: E731
    text: Callable[[str], str | None] = lambda path: None if backing is None else text_of(backing, path)  # noqa: E731
    return {
        "hugepages": has("hugepages"),
        "page_size": size_of_page(page) if page is not None else None,
        "source": text("source/@type"),
        "shared": text("access/@mode") == "shared",
        "locked": has("locked"),
        "preallocate": text("allocation/@mode") == "immediate",
        "discard": has("discard"),
        "merge": not has("nosharepages"),
    }


def size_of_page(page: Any) -> int | None:
    """Return the size of a <page> in bytes."""
    from lxml import etree

    amount = etree.Element("size", unit=page.get("unit", "KiB"))
    amount.text = page.get("size")
    return size(amount)


def _kernel(os_: Any) -> dict[str, Any] | None:
    path = None if os_ is None else text_of(os_, "kernel")
    if not path:
        return None
    return {"path": path, "initrd": text_of(os_, "initrd"), "command_line": text_of(os_, "cmdline") or ""}


def _features(root: Any) -> dict[str, Any]:
    pmu = text_of(root, "features/pmu/@state")
    return {
        "hyperv": root.find("features/hyperv") is not None,
        "hide_hypervisor": text_of(root, "features/kvm/hidden/@state") == "on",
        "pmu": None if pmu is None else pmu == "on",
        "iommu": text_of(root, "devices/iommu/@model"),
    }


def _clock(clock: Any) -> str:
    if clock is None:
        return "utc"
    return str(clock.get("timezone") or clock.get("offset") or "utc")


def _display(graphics: Any) -> dict[str, Any] | None:
    if graphics is None:
        return None
    port = graphics.get("port") if graphics.get("autoport") != "yes" else None
    return {
        "type": graphics.get("type"),
        "listen": graphics.get("listen") or text_of(graphics, "listen/@address") or _unreachable(graphics),
        "port": int(port) if port and port.isdecimal() and int(port) > 0 else None,
        "keymap": graphics.get("keymap"),
    }


def _unreachable(graphics: Any) -> str | None:
    return "none" if text_of(graphics, "listen/@type") == "none" else None


__all__ = ["device_name", "features_of", "hardware", "watchdogs"]
