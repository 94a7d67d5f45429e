"""What VMs and nodes there are: the first look reads all of them in pages, every later one only what changed since."""

from __future__ import annotations

import re
import threading
import uuid
from collections import OrderedDict, defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from novacron.errors import InvalidSpecError, VMNotFoundError
from novacron_vmware.collector import PAGE
from novacron_vmware.errors import translated
from novacron_vmware.sdk import vim, vmodl

if TYPE_CHECKING:
    from novacron_vmware.collector import PropertyReader

SUMMARY = (
    "name",
    "config.instanceUuid",
    "config.template",
    "config.hardware.numCPU",
    "config.hardware.memoryMB",
    "runtime.powerState",
    "runtime.connectionState",
    "runtime.host",
)


EXPIRIES = 5
"""Sessions that may expire within one look."""
REMEMBERED = 1000
"""Objects that are gone and still known, for the events that tell of them."""


class Change(NamedTuple):
    """One object's change: what was known of it before (empty: it is new), and what is now (empty: it is gone)."""

    thing: Any
    before: dict[str, Any]
    now: dict[str, Any]


class Inventory:
    """The VMs and nodes below a connection's root, as one of the server's property collectors keeps them. Safe for many threads.

    The collector lives in the session; after the session expired a new one begins with a full look.
    """

    def __init__(self, reader: PropertyReader) -> None:
        self._reader = reader
        self._guard = threading.RLock()
        self._collector: Any = None
        self._view: Any = None
        self._version = ""
        self.things = dict[Any, dict[str, Any]]()
        self._gone: OrderedDict[Any, dict[str, Any]] = OrderedDict()
        self._names: defaultdict[str, set[Any]] = defaultdict(set)
        self._ids: dict[str, Any] = {}

    def refresh(self, seconds: int = 0) -> list[Change]:
        """Take in what changed, waiting up to `seconds` for a first change. Returns the changes in their order."""
        with self._guard, translated():
            for _ in range(EXPIRIES):
                try:
                    return self._update(seconds)
                except vmodl.fault.ManagedObjectNotFound:  # it went with the session that expired
                    self._collector = None
            return self._update(seconds)

    def vms(self, *, templates: bool = False) -> list[tuple[Any, dict[str, Any]]]:
        """Return all VMs, or all templates, as they are now."""
        with self._guard:
            self.refresh()
            return [
                (thing, dict(known))
                for thing, known in self.things.items()
                if isinstance(thing, vim.VirtualMachine) and bool(known.get("config.template")) == templates and "name" in known
            ]

    def nodes(self) -> dict[Any, str]:
        """Return the names of the nodes as last seen."""
        with self._guard:
            return {
                thing: known["name"]
                for thing, known in self.things.items()
                if isinstance(thing, vim.HostSystem) and "name" in known
            }

    def find(self, vm: str) -> Any:
        """Return vSphere's VM by instance UUID or name; a template is none.

        Raises:
            VMNotFoundError
            InvalidSpecError: several VMs, in different folders, have that name.
        """
        with self._guard:
            self.refresh()
            chosen = [self._ids[identity]] if (identity := _uuid(vm)) in self._ids else list(self._names.get(vm, ()))
            chosen = [thing for thing in chosen if not self.things[thing].get("config.template")]
        if not chosen:
            raise VMNotFoundError(f"no VM {vm!r}", resource=vm)
        if len(chosen) > 1:
            raise InvalidSpecError(
                f"{len(chosen)} VMs are named {vm!r}", resource=vm, hint="name it by its UUID, or connect to one datacenter"
            )
        return chosen[0]

    def known(self, thing: Any) -> dict[str, Any] | None:
        """Return what is known of an object, of one that is gone what was last known; None when it was never below the root."""
        with self._guard:
            return self.things.get(thing) or self._gone.get(thing)

    def taken(self, name: str, identity: str | None) -> bool:
        """Whether a VM or template has that name or instance UUID."""
        with self._guard:
            self.refresh()
            return bool(self._names.get(name)) or (identity is not None and identity in self._ids)

    def named(self, name: str) -> set[Any]:
        """Return the VMs and templates of that name."""
        with self._guard:
            self.refresh()
            return set(self._names.get(name, ()))

    def restart(self) -> None:
        """Take a full look the next time: an object went to where this inventory does not look."""
        self.close()

    def close(self) -> None:
        """Let the server forget the collector."""
        with self._guard, suppress(vmodl.MethodFault, OSError):
            if self._collector is not None:
                self._collector.DestroyPropertyCollector()
                self._view.Destroy()
                self._collector = None

    def _update(self, seconds: int) -> list[Change]:
        Filter, changes = vmodl.query.PropertyCollector, list[Change]()
        fresh = self._collector is None
        earlier: dict[Any, dict[str, Any]] | None = None
        if fresh:
            self._begin()
            earlier, self.things = self.things, {}
            self._names.clear()
            self._ids.clear()
        while True:
            options = Filter.WaitOptions(maxWaitSeconds=0 if changes or fresh else seconds, maxObjectUpdates=PAGE)
            update = self._collector.WaitForUpdatesEx(self._version, options)
            if update is None:
                break
            self._version = update.version
            for each in (each for of_filter in update.filterSet for each in of_filter.objectSet):
                changes.append(self._apply(each, earlier))
            if not update.truncated:
                break
        changes += [Change(thing, known, {}) for thing, known in (earlier or {}).items() if thing not in self.things]
        return changes

    def _begin(self) -> None:
        Filter, content = vmodl.query.PropertyCollector, self._reader.content
        kinds = {vim.VirtualMachine: list(SUMMARY), vim.HostSystem: ["name"]}
        self._view = content.viewManager.CreateContainerView(self._reader.root, list(kinds), True)
        walk = Filter.TraversalSpec(type=vim.view.ContainerView, path="view", skip=False)
        wanted = [Filter.PropertySpec(type=kind, pathSet=paths) for kind, paths in kinds.items()]
        self._collector, self._version = content.propertyCollector.CreatePropertyCollector(), ""
        start = Filter.ObjectSpec(obj=self._view, skip=True, selectSet=[walk])
        self._collector.CreateFilter(Filter.FilterSpec(objectSet=[start], propSet=wanted), False)

    def _apply(self, update: Any, earlier: dict[Any, dict[str, Any]] | None) -> Change:
        thing = update.obj
        old = (earlier if earlier is not None else self.things).get(thing, {})
        if update.kind == "leave":
            self._forget(thing)
            self._gone[thing] = old
            if len(self._gone) > REMEMBERED:
                self._gone.popitem(last=False)
            return Change(thing, old, {})
        now = (dict(old) if update.kind == "modify" else {}) | {change.name: change.val for change in update.changeSet}
        self._forget(thing)
        self.things[thing] = now
        if isinstance(thing, vim.VirtualMachine):
            if name := now.get("name"):
                self._names[plain_name(name)].add(thing)
            if identity := now.get("config.instanceUuid"):
                self._ids[identity] = thing
        return Change(thing, old, now)

    def _forget(self, thing: Any) -> None:
        known = self.things.pop(thing, None)
        if known and isinstance(thing, vim.VirtualMachine):
            self._names[plain_name(known.get("name", ""))].discard(thing)
            if self._ids.get(known.get("config.instanceUuid", "")) == thing:
                del self._ids[known["config.instanceUuid"]]


def _uuid(vm: str) -> str | None:
    try:
        return str(uuid.UUID(vm)) if len(vm) == 36 else None
    except ValueError:
        return None


def plain_name(name: str) -> str:
    """Return a name as people see it: vSphere hands out `%`, `/` and `\\` escaped."""
    return re.sub(r"%(25|2[fF]|5[cC])", lambda match: chr(int(match[1], 16)), name)


__all__ = ["SUMMARY", "Change", "Inventory", "plain_name"]
