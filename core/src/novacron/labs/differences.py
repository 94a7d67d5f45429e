"""What a host has, and how a resource of a lab differs from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from novacron.errors import ImageNotFoundError
from novacron.handles.changes import ACTIVE
from novacron.labs.comparison import Change, changed
from novacron.labs.creation import FIXED, NIC_FIELDS, changed_since
from novacron.labs.resources import Action, Resource

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle

LAB = "lab"
"""The metadata key of a VM that names its lab."""


FAMILIES = {"pc": "pc-i440fx", "q35": "pc-q35"}
"""How the versions of a machine begin, if not with its name."""


class HostState:
    """The resources of a host. Each list is read once, when it is needed."""

    def __init__(self, host: HostHandle) -> None:
        self.host = host
        self._volumes: dict[str, dict[str, Any]] = {}

    @cached_property
    def pools(self) -> dict[str, Any]:
        """The storage pools by name."""
        return {pool.name: pool for pool in self.host.pools.list()} if self.host.supports("pool_list") else {}

    @cached_property
    def networks(self) -> dict[str, Any]:
        """The networks by name."""
        return {network.name: network for network in self.host.networks.list()} if self.host.supports("network_list") else {}

    @cached_property
    def vms(self) -> dict[str, VMHandle]:
        """The VMs by name, in full."""
        return {vm.name: vm for vm in self.host.vms.list(detail="full")}

    def volumes(self, pool: str) -> dict[str, Any]:
        """Return the volumes of a pool by name; none if the pool does not exist or is stopped."""
        if pool not in self._volumes:
            there = pool in self.pools and self.pools[pool].active
            self._volumes[pool] = {volume.name: volume for volume in self.host.pools.volumes(pool)} if there else {}
        return self._volumes[pool]

    def has(self, kind: str, name: str, pool: str = "") -> bool:
        """Return whether the host has a resource."""
        if kind in ("volume", "image"):
            return name in self.volumes(pool)
        return name in {"pool": self.pools, "network": self.networks, "vm": self.vms}[kind]


def differences(lab: str, resource: Resource, state: HostState, created: Mapping[str, Any] | None = None) -> Iterator[Action]:
    """Yield what has to be done so that a host has the resource as the lab describes it.

    Args:
        created: fields that the host does not report, as they were when the lab created the resource; None if it did not.
    """
    present = created is not None and state.has(resource.kind, resource.name, resource.pool)
    if present and (stuck := changed_since(resource.kind, resource.fields, created or {})):
        yield _action("differs", resource, state, changes=stuck)
        return
    yield from {"pool": _pool, "image": _image, "volume": _volume, "network": _network, "vm": _vm}[resource.kind](
        lab, resource, state
    )


def _action(action: str, resource: Resource, state: HostState, **more: Any) -> Action:
    before = {"pool": resource.pool} if resource.kind in ("volume", "image") else {}
    named = {"kind": resource.kind, "name": resource.name, "before": before} | more
    return Action(action=action, host=state.host.name, **named)


def _pool(lab: str, resource: Resource, state: HostState) -> Iterator[Action]:
    present = state.pools.get(resource.name)
    if present is None:
        yield _action("create", resource, state, fields=resource.fields)
        return
    asked = {name: resource.fields[name] for name in ("type", "path") if resource.fields.get(name) is not None}
    if stuck := changed(asked, {name: getattr(present, name) for name in asked}):
        yield _action("differs", resource, state, changes=stuck)
    elif not present.active:
        yield _action("start", resource, state)


def _image(lab: str, resource: Resource, state: HostState) -> Iterator[Action]:
    from novacron.images.catalogue import find_source

    try:
        name = find_source(resource.fields["source"]).name
    except ImageNotFoundError:
        name = resource.name
    if name not in state.volumes(resource.pool):
        yield _action("create", resource, state, name=name, fields=resource.fields)


def _volume(lab: str, resource: Resource, state: HostState) -> Iterator[Action]:
    present = state.volumes(resource.pool).get(resource.name)
    if present is None:
        yield _action("create", resource, state, fields=resource.fields)
        return
    stuck = changed({name: resource.fields[name] for name in ("format",) if name in resource.fields}, {"format": present.format})
    capacity = resource.fields.get("capacity")
    if capacity and capacity < present.capacity_bytes:
        stuck += (("capacity", present.capacity_bytes, capacity, "never"),)
    if stuck:
        yield _action("differs", resource, state, changes=stuck)
    elif capacity and capacity > present.capacity_bytes:
        changes = (("capacity", present.capacity_bytes, capacity, "at once"),)
        yield _action("resize", resource, state, fields={"capacity": capacity}, changes=changes)


def _network(lab: str, resource: Resource, state: HostState) -> Iterator[Action]:
    present = state.networks.get(resource.name)
    if present is None:
        yield _action("create", resource, state, fields=resource.fields)
        return
    now = _of_network(present)
    asked = {name: value for name, value in resource.fields.items() if name in now}
    fixed: dict[str, Any] = {name: asked.pop(name) for name in ("type", "cidr", "bridge", "device") if name in asked}
    if stuck := changed(fixed, now) + (_needs_stop(asked, now, ("domain",)) if present.active else ()):
        yield _action("differs", resource, state, changes=stuck)
        return
    if changes := changed(asked, now):
        names = {name for name, *_ in changes}
        if names & {"dhcp_start", "dhcp_end", "dhcp_hosts"}:  # a spec needs them together
            names |= {name for name in ("dhcp_start", "dhcp_end", "dhcp_hosts", "cidr") if name in resource.fields}
        fields = {name: resource.fields[name] for name in names}
        before = {name: now[name] for name in names if now[name] is not None}
        yield _action("update", resource, state, fields=fields, before=before, changes=changes)
    if not present.active:
        yield _action("start", resource, state)


def _needs_stop(asked: Mapping[str, Any], now: Mapping[str, Any], fields: Sequence[str]) -> tuple[Change, ...]:
    """Return the differences of fields that can't change while a network or a VM is running."""
    stuck = changed({name: asked[name] for name in fields if name in asked}, now)
    return tuple((name, before, after, "needs a stop") for name, before, after, _ in stuck)


def _of_network(present: Any) -> dict[str, Any]:
    """Return the fields of a network's spec that its record has."""
    first, last = present.dhcp_ranges[0] if present.dhcp_ranges else (None, None)
    return {
        "type": present.type,
        "bridge": present.bridge,
        "device": present.native.get("device"),
        "cidr": present.cidrs[0] if present.cidrs else None,
        "dhcp_start": first,
        "dhcp_end": last,
        "dhcp_hosts": [dict(each) for each in present.dhcp_hosts],
        "dns_hosts": [dict(each) for each in present.dns_hosts],
        "domain": present.domain,
        "autostart": present.autostart,
    }


def _vm(lab: str, resource: Resource, state: HostState) -> Iterator[Action]:
    vm = state.vms.get(resource.name)
    if vm is None:
        metadata = {**(resource.fields.get("metadata") or {}), LAB: lab}
        fields = {**resource.fields, "metadata": metadata, "start": bool(resource.running)}
        yield _action("create", resource, state, fields=fields)
        return
    asked = {name: resource.fields[name] for name in FIXED if resource.fields.get(name) is not None}
    now = {name: getattr(vm.record, of) for name, of in FIXED.items()}
    if stuck := tuple(each for each in changed(asked, now) if not _same_machine(*each[:3])):
        yield _action("differs", resource, state, changes=stuck)
        return
    yield from _fields_of_vm(resource, vm, state)
    yield from _disks(resource, vm, state)
    yield from _nics(resource, vm, state)
    if resource.running is True and vm.status != "running":
        yield _action("start", resource, state)
    elif resource.running is False and vm.status in ACTIVE:
        yield _action("stop", resource, state)


def _same_machine(field: str, before: Any, after: Any) -> bool:
    """Whether a machine is the same in another version: hypervisors replace "q35" by "pc-q35-7.2", and "virt" by "virt-7.2"."""
    return field == "machine" and str(before).startswith(f"{FAMILIES.get(after, after)}-")


def _fields_of_vm(resource: Resource, vm: VMHandle, state: HostState) -> Iterator[Action]:
    from novacron.handles.changes import plan_update
    from novacron.specs import VMUpdate

    fields = {name: value for name, value in resource.fields.items() if name in VMUpdate.model_fields}
    plan = plan_update(vm, fields)
    if any(change.applies == "needs a stop" for change in plan):
        plan = plan_update(vm, fields, "next_start")
    if len(plan):
        changes = tuple((each.field, each.before, each.after, each.applies) for each in plan)
        given = {name: fields[name] for name in plan.undo if name in fields}  # others only follow them
        before = {"update": plan.undo, "when": plan.when}
        yield _action("update", resource, state, fields={"update": given}, before=before, changes=changes)


def _disks(resource: Resource, vm: VMHandle, state: HostState) -> Iterator[Action]:
    """Compare hard disks by position. Disks that the lab does not name stay."""
    present = [disk for disk in vm.record.disks or () if disk.device == "disk"]
    wanted = [disk for disk in resource.fields.get("disks") or () if disk.get("device", "disk") == "disk"]
    for number, asked in enumerate(wanted):
        if number >= len(present):
            where = {"vm": vm.name, "number": number}
            yield _action("attach", resource, state, kind="disk", name=f"disk {number + 1}", fields=asked, before=where)
            continue
        size, now = asked.get("size"), present[number].size_bytes
        if size and now and size != now:
            changes = (("size", now, size, "at once" if size > now else "never"),)
            more = {"kind": "disk", "name": present[number].target, "before": {"vm": vm.name}, "changes": changes}
            yield _action("resize" if size > now else "differs", resource, state, fields={"size": size}, **more)


def _nics(resource: Resource, vm: VMHandle, state: HostState) -> Iterator[Action]:
    """Compare NICs by position. NICs that the lab does not name stay."""
    present = list(vm.record.nics or ())
    for number, asked in enumerate(resource.fields.get("nics") or ()):
        if number >= len(present):
            where = {"vm": vm.name, "number": number}
            yield _action("attach", resource, state, kind="nic", name=f"nic {number + 1}", fields=asked, before=where)
            continue
        now = {name: getattr(present[number], name) for name in NIC_FIELDS}
        given = {name: asked[name] for name in NIC_FIELDS if name in asked}
        if "bridge" in asked or "device" in asked:
            given["network"] = asked.get("bridge") or asked.get("device")
        if vm.status in ACTIVE and (stuck := _needs_stop(given, now, ("model",))):
            yield _action("differs", resource, state, kind="nic", name=present[number].mac, before={"vm": vm.name}, changes=stuck)
        elif changes := changed(given, now):
            names = [name for name, *_ in changes]
            update = {name: given[name] for name in names}
            if "network" in update and "network" not in asked:
                update["bridge" if "bridge" in asked else "device"] = update.pop("network")
            before = {"vm": vm.name, "update": {name: now[name] for name in names}}
            more = {"kind": "nic", "name": present[number].mac, "before": before, "changes": changes}
            yield _action("update", resource, state, fields={"update": update}, **more)


__all__ = ["HostState", "differences"]
