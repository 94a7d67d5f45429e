"""Processors, memory and NUMA of a VM in its domain XML, whose unit is KiB where nothing else is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron_kvm.xml.markup import NOTHING, Markup, element, text
from novacron_kvm.xml.platforms import Platform

if TYPE_CHECKING:
    from novacron.specs.hardware import MemoryBackingSpec
    from novacron.specs.vm import VMSpec

SLOTS = 16
"""Memory modules that can be added to a running VM with `max_memory`."""


def memory_xml(spec: VMSpec) -> Markup:
    """Return how much memory a VM has and may have, and what gives it."""
    most = text("maxMemory", spec.max_memory // 1024, slots=SLOTS) if spec.max_memory else NOTHING
    all_of_it = spec.memory_max or spec.memory
    now = text("currentMemory", spec.memory // 1024) if all_of_it != spec.memory else NOTHING
    shared = spec.memory_backing.shared or any(f.type == "virtiofs" for f in spec.filesystems)
    return Markup(most + text("memory", all_of_it // 1024) + now + backing_xml(spec.memory_backing, shared=shared))


def backing_xml(backing: MemoryBackingSpec, *, shared: bool) -> Markup:
    """Return the <memoryBacking> of a VM, nothing if all is as the hypervisor does it. `shared`: other processes read the memory."""
    source = backing.source or ("memfd" if shared else None)
    page = element("page", size=backing.page_size // 1024, unit="KiB") if backing.page_size else NOTHING
    parts = (
        element("hugepages", page) if backing.hugepages else NOTHING,
        NOTHING if backing.merge else element("nosharepages"),
        element("locked") if backing.locked else NOTHING,
        element("source", type=source) if source else NOTHING,
        element("access", mode="shared") if shared else NOTHING,
        element("allocation", mode="immediate") if backing.preallocate else NOTHING,
        element("discard") if backing.discard else NOTHING,
    )
    return element("memoryBacking", *parts) if any(parts) else NOTHING


def vcpu_xml(spec: VMSpec) -> Markup:
    """Return how many vCPUs and I/O threads a VM has, and which memory of the host its NUMA nodes get."""
    most = spec.vcpus_max or spec.vcpus
    threads = text("iothreads", spec.iothreads) if spec.iothreads else NOTHING
    bound = [
        element("memnode", cellid=number, mode="strict", nodeset=node.host_nodes)
        for number, node in enumerate(spec.numa)
        if node.host_nodes
    ]
    return Markup(
        text("vcpu", most, cpuset=spec.cpuset, current=spec.vcpus if most > spec.vcpus else None)
        + threads
        + (element("numatune", *bound) if bound else NOTHING)
    )


def cpu_xml(spec: VMSpec, virt_type: str, platform: Platform) -> Markup:
    """Return a <cpu> where the hypervisor's own choice is not wanted: KVM's is far from what the host can do."""
    mode: str | None = spec.cpu_mode
    if mode == "default":
        mode = "host-model" if virt_type == "kvm" else platform.cpu_mode
    if not (mode or spec.cpu_model or spec.cpu_features or spec.topology or spec.max_memory or spec.numa):
        return NOTHING
    children, attributes = list[Markup](), {}
    if spec.cpu_model:
        attributes = {"mode": "custom", "match": "exact"}
        children.append(text("model", spec.cpu_model, fallback="forbid"))
    elif mode or spec.cpu_features:
        attributes = {"mode": mode or "maximum"}  # features are added to a CPU that is known
    if spec.topology:
        children.append(element("topology", **{name: getattr(spec.topology, name) for name in ("sockets", "cores", "threads")}))
    for feature in sorted(spec.cpu_features):
        policy = "disable" if feature.startswith("-") else "require"
        children.append(element("feature", policy=policy, name=feature.removeprefix("-")))
    children.append(_numa(spec))
    return element("cpu", *children, **attributes)


def _numa(spec: VMSpec) -> Markup:
    cells = [(node.vcpus, node.memory) for node in spec.numa]
    if spec.max_memory and not cells:  # libvirt adds memory to a NUMA node
        cells = [(f"0-{(spec.vcpus_max or spec.vcpus) - 1}", spec.memory_max or spec.memory)]
    if not cells:
        return NOTHING
    return element(
        "numa", *(element("cell", id=number, cpus=vcpus, memory=memory // 1024) for number, (vcpus, memory) in enumerate(cells))
    )


__all__ = ["backing_xml", "cpu_xml", "memory_xml", "vcpu_xml"]
