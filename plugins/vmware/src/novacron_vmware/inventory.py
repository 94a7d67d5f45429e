"""The VMs and nodes of a server. A first listing reads all of them in pages, later ones only what changed; one VM is found alone."""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict, defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from novacron.errors import DriverError, NovaCronError, VMNotFoundError
from novacron_vmware.collector import MOST, PAGE
from novacron_vmware.errors import translated
from novacron_vmware.finder import Finder, Known, ambiguous
from novacron_vmware.names import canonical_path, escaped_name, moref_of, plain_name
from novacron_vmware.sdk import vim, vmodl

if TYPE_CHECKING:
    from novacron_vmware.collector import PropertyReader

SUMMARY = (
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
CONTAINERS = ["name", "parent"]
"""What is read of the objects that a VM's inventory path names."""
EXPIRIES = 5
"""How many sessions may expire within one update."""
REMEMBERED = 1000
"""How many objects that are gone are still known, for the events about them."""
FOLDERS_ASKED = 64
"""With more VM folders than this, a VM is found by reading the whole inventory; with fewer, each folder is asked for the name."""


class Change(NamedTuple):
    """One object's change: what was known of it before (empty: it is new), and what is now (empty: it is gone)."""

    thing: Any
    before: dict[str, Any]
    now: dict[str, Any]


class Inventory:
    """The VMs and nodes below a connection's root, as one of the server's property collectors keeps them. Safe for many threads.

    The collector is made by the first listing. It lives in the session; when the session expires, the next call reads everything again.
    """

    def __init__(self, reader: PropertyReader, finder: Finder) -> None:
        self._reader, self._finder = reader, finder
        self._guard = threading.RLock()
        self._collector: Any = None
        self._view: Any = None
        self._version = ""
        self.things = dict[Any, dict[str, Any]]()
        self._gone: OrderedDict[Any, dict[str, Any]] = OrderedDict()
        self._names: defaultdict[str, set[Any]] = defaultdict(set)
        self._ids: dict[str, Any] = {}
        self._asked_for: dict[str, Any] = {}
        self._above: Known = {}

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

    def node_name(self, node: Any) -> str | None:
        """Return a node's name; it is read when the nodes have not been listed."""
        if node is None:
            return None
        with self._guard:
            known = self.things.get(node)
        return known["name"] if known and "name" in known else self._reader.read(node, ["name"]).get("name")

    def folder(self, read: dict[str, Any]) -> str | None:
        """Return the inventory path of the folder or vApp that a listed VM is in; None when it is in none."""
        parent = read.get("parentVApp") or read.get("parent")
        if parent is None:
            return None
        with self._guard:
            missing, chain = parent, set[Any]()
            while (
                missing is not None and missing not in chain and (known := self.things.get(missing) or self._above.get(missing))
            ):
                chain.add(missing)
                missing = known.get("parent")
            if missing is not None and missing not in chain:
                self._above |= self._finder.ancestors([missing])
            return self._finder.path_in(
                {**self._above, **{thing: self.things.get(thing, {}) for thing in chain if thing in self.things}}, parent
            )

    def find(self, vm: str) -> Any:
        """Return vSphere's VM by instance UUID, name, inventory path or id; see `find_known`."""
        return self.find_known(vm)[0]

    def find_known(self, vm: str) -> tuple[Any, dict[str, Any]]:
        """Return vSphere's VM by instance UUID, name, inventory path or id, and what a listing reads of it. A template is none.

        The inventory is not read for it, unless it is kept already: the server is asked for this VM alone.

        Raises:
            VMNotFoundError
            InvalidSpecError: several VMs, in different folders, have that name.
        """
        if (known := self._still_there(vm)) is not None:
            return known
        chosen = [(thing, read) for thing, read in self.lookup(vm) if not read.get("config.template")]
        if not chosen:
            raise VMNotFoundError(f"no VM {vm!r}", resource=vm)
        if len(chosen) > 1:
            chosen = [(thing, read) for thing, read in chosen if self._exists(thing)] or chosen[:1]
        if len(chosen) > 1:
            raise ambiguous("VM", vm, self._finder.paths([thing for thing, _ in chosen]).values())
        if identity := chosen[0][1].get("config.instanceUuid"):
            self._asked_for[identity] = chosen[0][0]
        return chosen[0]

    def _still_there(self, vm: str) -> tuple[Any, dict[str, Any]] | None:
        """Return the VM that a listing or an earlier question has found for a UUID, if it still has that UUID; otherwise None.

        Reading one VM is much cheaper than updating the whole inventory, which a command for many VMs would do once for each of them.
        """
        identity = _uuid(vm)
        listed = self._ids.get(identity) if identity and self._collector is not None else None
        thing = listed or self._asked_for.get(identity or "")
        if thing is None:
            return None
        found = self._of_root([thing])
        same = [read for _, read in found if read.get("config.instanceUuid") == identity and not read.get("config.template")]
        return (thing, same[0]) if same else None

    def lookup(self, vm: str) -> list[tuple[Any, dict[str, Any]]]:
        """Return the VMs and templates that a UUID, name, inventory path or id names."""
        with self._guard:
            if self._collector is not None:
                self.refresh()
                return self._listed(vm)
        return self._asked(vm)

    def _listed(self, vm: str) -> list[tuple[Any, dict[str, Any]]]:
        """Look in the inventory that is kept."""
        if (identity := _uuid(vm)) in self._ids:
            chosen = [self._ids[identity]]
        elif not (chosen := list(self._names.get(vm) or self._names.get(plain_name(vm)) or ())):
            if "/" in vm:
                last = plain_name(canonical_path(vm).rpartition("/")[2])
                alike = [(thing, self.things[thing]) for thing in self._names.get(last, ())]
            else:
                alike = [(t, k) for t, k in self.things.items() if isinstance(t, vim.VirtualMachine)] if moref_of(vm) else []
            chosen = self._finder.named(alike, vm)
        return [(thing, self.things[thing]) for thing in chosen]

    def _asked(self, vm: str) -> list[tuple[Any, dict[str, Any]]]:
        """Ask the server for this VM alone."""
        index = self._reader.content.searchIndex
        with translated():
            if (identity := _uuid(vm)) is not None and (thing := index.FindByUuid(None, identity, True, True)) is not None:
                return self._of_root([thing])
            if by_name := self._children(vm):
                return by_name
            if "/" in vm:
                return self._of_root([index.FindByInventoryPath(canonical_path(vm).lstrip("/"))])
            if (moref := moref_of(vm)) is not None and moref[0] in (None, "VirtualMachine"):
                return self._of_root([vim.VirtualMachine(moref[1], self._reader.session)])
        return []

    def _children(self, name: str) -> list[tuple[Any, dict[str, Any]]]:
        """Ask every folder for a child of that name, and read the names of the VMs in vApps."""
        kinds = {vim.Folder: ["name", "childType"], vim.VirtualApp: ["name", "vm"]}
        containers = self._reader.collect_kinds(kinds)
        folders = [thing for thing, read in containers if "VirtualMachine" in (read.get("childType") or ())]
        if len(folders) > FOLDERS_ASKED:
            with self._guard:
                self.refresh()
                things = self._names.get(name) or self._names.get(plain_name(name)) or ()
                return [(thing, self.things[thing]) for thing in things]
        find = self._reader.content.searchIndex.FindChild
        forms = {name, escaped_name(plain_name(name)), escaped_name(name)}
        children = {find(folder, form) for folder in folders for form in sorted(forms)}
        children |= {thing for _, read in containers for thing in read.get("vm") or ()}
        vms = [thing for thing in children if isinstance(thing, vim.VirtualMachine)]
        found = self._reader.read_all(vms, vim.VirtualMachine, SUMMARY)
        return [(thing, read) for thing, read in found if plain_name(read.get("name", "")) in (name, plain_name(name))]

    def _of_root(self, things: list[Any]) -> list[tuple[Any, dict[str, Any]]]:
        """Return those of these objects that are VMs below the root."""
        vms = [thing for thing in things if isinstance(thing, vim.VirtualMachine)]
        try:
            known = self._finder.ancestors(vms, {vim.VirtualMachine: SUMMARY})
            return [(thing, known[thing]) for thing in vms if thing in known and self._finder.within_root(thing, known)]
        except NovaCronError as error:
            if isinstance(error.__cause__, vmodl.fault.ManagedObjectNotFound):
                return []
            raise

    def known(self, thing: Any) -> dict[str, Any] | None:
        """Return what is known of an object, of one that is gone what was last known; None when it was never below the root."""
        with self._guard:
            return self.things.get(thing) or self._gone.get(thing)

    def taken(self, name: str, identity: str | None) -> bool:
        """Whether a VM or template has that name or instance UUID."""
        known = self.named(name)
        if identity:
            with translated():
                known |= {self._reader.content.searchIndex.FindByUuid(None, identity, True, True)} - {None}
        return any(self._exists(thing) for thing in known)

    def _exists(self, thing: Any) -> bool:
        """Whether an object is still there: news of its deletion may come after it was asked for."""
        try:
            return bool(self._reader.read(thing, ["name"]))
        except NovaCronError as error:
            if isinstance(error.__cause__, vmodl.fault.ManagedObjectNotFound):
                return False
            raise

    def named(self, name: str) -> set[Any]:
        """Return the VMs and templates of that name."""
        if not name:
            return set()
        with self._guard:
            if self._collector is not None:
                self.refresh()
                return set(self._names.get(name, ()))
        with translated():
            return {thing for thing, read in self._children(name) if plain_name(read["name"]) == name}

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
            self._above = {}
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
        changes += [Change(thing, known, {}) for thing, known in (earlier or {}).items() if thing not in self.things]
        return changes

    def _begin(self) -> None:
        Filter, content = vmodl.query.PropertyCollector, self._reader.content
        kinds = {vim.VirtualMachine: list(SUMMARY), vim.HostSystem: ["name"]}
        kinds |= dict.fromkeys((vim.Folder, vim.Datacenter, vim.VirtualApp), CONTAINERS)
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
        if update.kind == "modify" and thing not in self.things:
            return Change(thing, {}, {})  # a late update of an object that has left
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


__all__ = ["EXPIRIES", "SUMMARY", "Change", "Inventory"]
