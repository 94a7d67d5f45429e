"""The VMs and nodes of a server. A first listing reads all of them in pages, later ones only what changed; one VM is found alone."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from novacron.errors import NovaCronError, VMNotFoundError
from novacron_vmware.errors import translated
from novacron_vmware.finder import Finder, Known, ambiguous
from novacron_vmware.followed import EXPIRIES, LIST, MEASURED, SUMMARY, Change, Followed
from novacron_vmware.names import canonical_path, escaped_name, moref_of, plain_name
from novacron_vmware.sdk import vim, vmodl

if TYPE_CHECKING:
    from novacron_vmware.collector import PropertyReader

ASKED_FOR = 10_000
"""How many VMs that were found alone are kept by their UUID."""
FOLDERS_ASKED = 64
"""With more VM folders than this, a VM is found by reading the whole inventory; with fewer, each folder is asked for the name."""

Reads = Mapping[Any, Sequence[str]]
"""What is read of a VM, and of the objects around it, by kind."""
LISTED: Reads = {vim.VirtualMachine: SUMMARY}


class Inventory(Followed):
    """The VMs and nodes below a connection's root: listed, and found one by one. Safe for many threads."""

    def __init__(self, reader: PropertyReader, finder: Finder) -> None:
        super().__init__(reader, finder)
        self._asked_for: OrderedDict[str, Any] = OrderedDict()
        self._looked = False

    def vms(self, *, templates: bool = False) -> list[tuple[Any, dict[str, Any]]]:
        """Return all VMs, or all templates, as they are now."""
        with self.guard:
            self.refresh()
            return [
                (thing, known)
                for thing, known in self.things.items()
                if isinstance(thing, vim.VirtualMachine) and bool(known.get("config.template")) == templates and "name" in known
            ]

    def running(self) -> list[tuple[Any, dict[str, Any]]]:
        """Return all running VMs with what a measurement needs of them; the first time that alone is read."""
        if self._first_look():
            found = [(thing, read) for thing, read in self._reader.collect(vim.VirtualMachine, MEASURED) if "name" in read]
        else:
            found = self.vms()
        return [
            (thing, read)
            for thing, read in found
            if read.get("runtime.powerState") == "poweredOn" and not read.get("config.template")
        ]

    def _first_look(self) -> bool:
        """Whether this is the first look at many VMs. Who looks once needs no inventory; it is kept for whoever looks again."""
        with self.guard:
            first = not self.begun and not self._looked
            self._looked = True
            return first

    def like(self, pattern: str) -> tuple[list[tuple[Any, dict[str, Any]]], Known] | None:
        """Return the VMs whose name fits a shell pattern, and what their nodes and folders are called.

        The names of all are read, and the rest of those alone that fit. That pays once: whoever asks again gets the inventory kept.

        Returns:
            None if the inventory is kept, or is to be from now on.
        """
        if not self._first_look():
            return None
        named = self._reader.collect(vim.VirtualMachine, ["name"])
        fitting = [thing for thing, read in named if fnmatchcase(plain_name(read.get("name", "")), pattern)]
        read_now = self._reader.read_all(fitting, vim.VirtualMachine, LIST)
        found = [(thing, read) for thing, read in read_now if "name" in read and not read.get("config.template")]
        around = {read.get("parentVApp") or read.get("parent") for _, read in found}
        around |= {read.get("runtime.host") for _, read in found}
        return found, self._finder.ancestors(list(around - {None}), skip_missing=True)

    def nodes(self) -> dict[Any, str]:
        """Return the names of the nodes as last seen."""
        with self.guard:
            return {
                thing: known["name"]
                for thing, known in self.things.items()
                if isinstance(thing, vim.HostSystem) and "name" in known
            }

    def node_name(self, node: Any) -> str | None:
        """Return a node's name; it is read when the nodes have not been listed."""
        if node is None:
            return None
        with self.guard:
            known = self.things.get(node)
        return known["name"] if known and "name" in known else self._reader.read(node, ["name"]).get("name")

    def folder(self, read: dict[str, Any]) -> str | None:
        """Return the inventory path of the folder or vApp that a listed VM is in; None when it is in none."""
        parent = read.get("parentVApp") or read.get("parent")
        if parent is None:
            return None
        with self.guard:
            chain, each = Known(), parent
            while each is not None and each not in chain and each in self.things:
                chain[each] = self.things[each]
                each = chain[each].get("parent")
            if each is not None and each not in chain:  # not to be seen in a listing
                chain |= self._finder.ancestors([each])
            return self._finder.path_in(chain, parent)

    def find(self, vm: str) -> Any:
        """Return vSphere's VM by instance UUID, name, inventory path or id; see `find_known`."""
        return self.find_known(vm)[0]

    def find_known(self, vm: str) -> tuple[Any, dict[str, Any]]:
        """Return a VM as `find_with` does, and what a listing reads of it."""
        thing, known = self.find_with(vm)
        return thing, known[thing]

    def find_with(self, vm: str, reads: Reads = LISTED) -> tuple[Any, Known]:
        """Return vSphere's VM by instance UUID, name, inventory path or id, and what is known of it and around it. A template is none.

        The inventory is not read for it, unless it is kept already: the server is asked for this VM alone.

        Args:
            vm: what names it.
            reads: what is read of it, of its node and of its port groups, by kind: in the same call that finds it.

        Raises:
            VMNotFoundError
            InvalidSpecError: several VMs, in different folders, have that name.
        """
        if (found := self._still_there(vm, reads)) is not None:
            return found
        chosen = [(thing, known) for thing, known in self._lookup(vm, reads) if not known[thing].get("config.template")]
        if len(chosen) > 1:
            chosen = [(thing, known) for thing, known in chosen if self._exists(thing)] or chosen[:1]
        if len(chosen) > 1:
            raise ambiguous("VM", vm, self._finder.paths([thing for thing, _ in chosen]).values())
        if not chosen:
            raise VMNotFoundError(f"no VM {vm!r}", resource=vm)
        ((thing, known),) = chosen
        if identity := known[thing].get("config.instanceUuid"):
            with self.guard:
                self._asked_for[identity] = thing
                self._asked_for.move_to_end(identity)
                if len(self._asked_for) > ASKED_FOR:  # it is asked for again when it is needed
                    self._asked_for.popitem(last=False)
        return thing, known

    def _still_there(self, vm: str, reads: Reads) -> tuple[Any, Known] | None:
        """Return the VM that a listing or an earlier question has found for a UUID, if it still has that UUID; otherwise None.

        Reading one VM is much cheaper than updating the whole inventory, which a command for many VMs would do once for each of them.
        """
        identity = _uuid(vm)
        listed = self.ids.get(identity) if identity and self.begun else None
        thing = listed or self._asked_for.get(identity or "")
        for _, known in self._of_root([thing], reads):
            if known[thing].get("config.instanceUuid") == identity and not known[thing].get("config.template"):
                return thing, known
        return None

    def _lookup(self, vm: str, reads: Reads) -> list[tuple[Any, Known]]:
        """Return the VMs and templates that a UUID, name, inventory path or id names."""
        with self.guard:
            if not self.begun:
                chosen = None
            else:
                self.refresh()
                chosen = self._listed(vm)
                if reads is LISTED:
                    return [(thing, {thing: self.things[thing]}) for thing in chosen]
        return self._asked(vm, reads) if chosen is None else self._of_root(chosen, reads)

    def _listed(self, vm: str) -> list[Any]:
        """Look in the inventory that is kept."""
        if (identity := _uuid(vm)) in self.ids:
            chosen = [self.ids[identity]]
        elif not (chosen := list(self.names.get(vm) or self.names.get(plain_name(vm)) or ())):
            if "/" in vm:
                last = plain_name(canonical_path(vm).rpartition("/")[2])
                alike = [(thing, self.things[thing]) for thing in self.names.get(last, ())]
            else:
                alike = [(t, k) for t, k in self.things.items() if isinstance(t, vim.VirtualMachine)] if moref_of(vm) else []
            chosen = self._finder.named(alike, vm)
        return chosen

    def _asked(self, vm: str, reads: Reads) -> list[tuple[Any, Known]]:
        """Ask the server for this VM alone."""
        index = self._reader.content.searchIndex
        with translated():
            if (identity := _uuid(vm)) is not None and (thing := index.FindByUuid(None, identity, True, True)) is not None:
                return self._of_root([thing], reads)
            if by_name := self._children(vm, reads):
                return by_name
            if "/" in vm:
                return self._of_root([index.FindByInventoryPath(canonical_path(vm).lstrip("/"))], reads)
            if (moref := moref_of(vm)) is not None and moref[0] in (None, "VirtualMachine"):
                return self._of_root([vim.VirtualMachine(moref[1], self._reader.session)], reads)
        return []

    def _children(self, name: str, reads: Reads) -> list[tuple[Any, Known]]:
        """Ask every folder for a child of that name, and read the names of the VMs in vApps."""
        kinds = {vim.Folder: ["name", "childType"], vim.VirtualApp: ["name", "vm"]}
        containers = self._reader.collect_kinds(kinds)
        folders = [thing for thing, read in containers if "VirtualMachine" in (read.get("childType") or ())]
        names = (name, plain_name(name))
        if len(folders) > FOLDERS_ASKED:
            with self.guard:
                self.refresh()
                children = set(self.names.get(name) or self.names.get(names[1]) or ())
        else:
            find = self._reader.content.searchIndex.FindChild
            forms = {name, escaped_name(names[1]), escaped_name(name)}
            children = {find(folder, form) for folder in folders for form in sorted(forms)}
            members = [vm for _, read in containers for vm in read.get("vm") or ()]
            members_read = self._reader.read_all(members, vim.VirtualMachine, ["name"])
            children |= {thing for thing, read in members_read if plain_name(read.get("name", "")) in names}
        found = self._of_root(list(children), reads)
        return [(thing, known) for thing, known in found if plain_name(known[thing].get("name", "")) in names]

    def _of_root(self, things: list[Any], reads: Reads) -> list[tuple[Any, Known]]:
        """Return those of these objects that are VMs below the root, with what is read of them and around them; none that is gone."""
        vms = [thing for thing in things if isinstance(thing, vim.VirtualMachine)]
        known = self._finder.ancestors(vms, reads, skip_missing=True)
        return [(thing, known) for thing in vms if thing in known and self._finder.within_root(thing, known)]

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
        with self.guard:
            if self.begun:
                self.refresh()
                return set(self.names.get(name, ()))
        with translated():
            return {thing for thing, known in self._children(name, LISTED) if plain_name(known[thing]["name"]) == name}


def _uuid(vm: str) -> str | None:
    try:
        return str(uuid.UUID(vm)) if len(vm) == 36 else None
    except ValueError:
        return None


__all__ = ["EXPIRIES", "LISTED", "SUMMARY", "Change", "Inventory"]
