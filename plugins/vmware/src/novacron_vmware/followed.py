"""What a server has below a root, followed: the first look reads everything in pages, each later one only what changed.

Everything that an inventory path and a listing tell is followed: VMs and nodes, and the folders, datacenters, vApps, resource pools and
clusters that they are in, up to the root folder. So a VM is known wherever it moves, and whatever above it gets another name.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from novacron.errors import DriverError
from novacron_vmware.collector import MOST, PAGE
from novacron_vmware.errors import translated
from novacron_vmware.finder import UP, Finder
from novacron_vmware.names import plain_name
from novacron_vmware.sdk import vim, vmodl

if TYPE_CHECKING:
    from novacron_vmware.collector import PropertyReader

LIST = (
    "name",
    "parent",
    "parentVApp",
    "config.instanceUuid",
    "config.template",
    "config.hardware.numCPU",
    "config.hardware.memoryMB",
    "runtime.powerState",
    "runtime.connectionState",
    "runtime.host",
    "runtime.question",
)
"""What a listing reads of a VM."""
MEASURED = (
    "name",
    "config.instanceUuid",
    "config.template",
    "config.hardware.numCPU",
    "config.hardware.memoryMB",
    "runtime.powerState",
    "summary.runtime.bootTime",
)
"""What a measurement reads of a VM."""
SUMMARY = tuple(dict.fromkeys(LIST + MEASURED))
"""What is followed of a VM: it serves a listing and a measurement."""
KEYS = {key: key for key in SUMMARY}
"""Each property's name, once: an answer has a copy of it for each VM."""
ALIKE = frozenset(SUMMARY) - {"name", "config.instanceUuid", "runtime.question", "summary.runtime.bootTime"}
"""The properties that many VMs have the same values of."""
ABOVE = (vim.Folder, vim.Datacenter, vim.VirtualApp, vim.ResourcePool, vim.ComputeResource)
"""The kinds of objects that an inventory path names above a VM."""
EXPIRIES = 5
"""How many sessions may expire within one update."""
REMEMBERED = 1000
"""How many objects that are gone are still known, for the events about them."""


class Change(NamedTuple):
    """One object's change: what was known of it before (empty: it is new), and what is now (empty: it is gone)."""

    thing: Any
    before: dict[str, Any]
    now: dict[str, Any]


class Followed:
    """The objects below a connection's root, as one of the server's property collectors keeps them. Safe for many threads.

    The collector is made by the first refresh. It lives in the session; when the session expires, the next one reads everything again.

    Attributes:
        guard: what a caller holds while it looks at the attributes below.
        things: the properties of each object.
            They are replaced when they change, never changed: who has taken some may keep them.
        names: the VMs and templates of each name.
        ids: the VM or template of each instance UUID.
    """

    def __init__(self, reader: PropertyReader, finder: Finder) -> None:
        self._reader, self._finder = reader, finder
        self.guard = threading.RLock()
        self._collector: Any = None
        self._view: Any = None
        self._version = ""
        self.things = dict[Any, dict[str, Any]]()
        self.names: defaultdict[str, set[Any]] = defaultdict(set)
        self.ids: dict[str, Any] = {}
        self._gone: OrderedDict[Any, dict[str, Any]] = OrderedDict()
        self._values: dict[Any, Any] = {}
        self._left = set[Any]()

    @property
    def begun(self) -> bool:
        """Whether everything has been read, so that only changes are."""
        return self._collector is not None

    def known(self, thing: Any) -> dict[str, Any] | None:
        """Return what is known of an object, of one that is gone what was last known; None when it was never below the root."""
        with self.guard:
            return self.things.get(thing) or self._gone.get(thing)

    def refresh(self, seconds: int = 0) -> list[Change]:
        """Take in what changed, waiting up to `seconds` for a first change. Returns the changes in their order."""
        with self.guard, translated():
            for _ in range(EXPIRIES):
                try:
                    return self._update(seconds)
                except vmodl.fault.ManagedObjectNotFound:  # it went with the session that expired
                    self._collector = None
            return self._update(seconds)

    def restart(self) -> None:
        """Take a full look the next time: an object went to where this inventory does not look."""
        self.close()

    def close(self) -> None:
        """Let the server forget the collector."""
        with self.guard:
            collector, self._collector = self._collector, None
            if collector is not None:
                with suppress(vmodl.MethodFault, OSError):
                    collector.DestroyPropertyCollector()
                    self._view.Destroy()

    def _update(self, seconds: int) -> list[Change]:
        Filter, changes = vmodl.query.PropertyCollector, list[Change]()
        fresh = self._collector is None
        earlier: dict[Any, dict[str, Any]] | None = None
        if fresh:
            self._begin()
            earlier, self.things = self.things, {}
            self.names.clear()
            self.ids.clear()
            self._left.clear()
            self._values.clear()
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
            if not update.filterSet or len(changes) > MOST:
                raise DriverError(f"the server's changes do not end: {len(changes)} so far", hint="is this a vCenter?")
        changes += self._take_back()
        changes += [Change(thing, known, {}) for thing, known in (earlier or {}).items() if thing not in self.things]
        return changes

    def _take_back(self) -> list[Change]:
        """Know those objects again that have left but are still below the root: they only moved.

        A server may tell of a move as a departure and an arrival, and of the departure last.
        """
        left = [thing for thing in self._left if thing not in self.things]
        known = self._finder.ancestors(left, {vim.VirtualMachine: SUMMARY}, skip_missing=True)
        self._left.clear()
        there = [thing for thing in left if thing in known and self._finder.within_root(thing, known)]
        return [Change(thing, self._gone.pop(thing, {}), self._keep(thing, known[thing])) for thing in there]

    def _begin(self) -> None:
        Filter, content = vmodl.query.PropertyCollector, self._reader.content
        kinds = {vim.VirtualMachine: list(SUMMARY), vim.HostSystem: ["name"]}
        kinds |= {kind: ["name", "parent"] for kind in ABOVE}
        self._view = content.viewManager.CreateContainerView(self._reader.root, list(kinds), True)
        walk = Filter.TraversalSpec(type=vim.view.ContainerView, path="view", skip=False)
        wanted = [Filter.PropertySpec(type=kind, pathSet=paths) for kind, paths in kinds.items()]
        self._collector, self._version = content.propertyCollector.CreatePropertyCollector(), ""
        below = Filter.ObjectSpec(obj=self._view, skip=True, selectSet=[walk])
        above = Filter.ObjectSpec(obj=self._reader.root, skip=False, selectSet=[UP])
        try:
            self._collector.CreateFilter(Filter.FilterSpec(objectSet=[below, above], propSet=wanted), False)
        except BaseException:
            self.close()  # without a filter it would tell of nothing, and the inventory would be empty
            raise

    def _apply(self, update: Any, earlier: dict[Any, dict[str, Any]] | None) -> Change:
        thing = update.obj
        old = (earlier if earlier is not None else self.things).get(thing, {})
        if update.kind == "leave":
            self._forget(thing)
            self._left.add(thing)
            self._gone[thing] = old
            if len(self._gone) > REMEMBERED:
                self._gone.popitem(last=False)
            return Change(thing, old, {})
        if update.kind == "modify" and thing not in self.things:
            return Change(thing, {}, {})  # a late update of an object that has left
        now = dict(old) if update.kind == "modify" else {}
        for change in update.changeSet:
            key, value = KEYS.get(change.name, change.name), change.val
            if value is None:
                now.pop(key, None)
            else:
                now[key] = self._values.setdefault(value, value) if key in ALIKE else value
        return Change(thing, old, self._keep(thing, now))

    def _keep(self, thing: Any, now: dict[str, Any]) -> dict[str, Any]:
        """Let this be what is known of an object."""
        self._forget(thing)
        self.things[thing] = now
        if isinstance(thing, vim.VirtualMachine):
            if name := now.get("name"):
                self.names[plain_name(name)].add(thing)
            if identity := now.get("config.instanceUuid"):
                self.ids[identity] = thing
        return now

    def _forget(self, thing: Any) -> None:
        known = self.things.pop(thing, None)
        if known and isinstance(thing, vim.VirtualMachine):
            self.names[plain_name(known.get("name", ""))].discard(thing)
            if self.ids.get(known.get("config.instanceUuid", "")) == thing:
                del self.ids[known["config.instanceUuid"]]


__all__ = ["EXPIRIES", "LIST", "MEASURED", "SUMMARY", "Change", "Followed"]
