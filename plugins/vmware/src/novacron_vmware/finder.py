"""Finds vSphere's objects by name, inventory path or id, and tells an object's inventory path.

A name that several objects have is refused with the paths of all of them: no object is ever chosen silently.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from novacron.errors import InvalidSpecError, NotFoundError
from novacron_vmware.collector import PropertyReader
from novacron_vmware.errors import translated
from novacron_vmware.gone import Read
from novacron_vmware.names import canonical_path, moref_of, path_part, plain_name
from novacron_vmware.sdk import vim, vmodl

Known = dict[Any, dict[str, Any]]
"""Objects with the properties that were read of them."""
UP = vmodl.query.PropertyCollector.TraversalSpec(
    name="up",
    type=vim.ManagedEntity,
    path="parent",
    skip=False,
    selectSet=[vmodl.query.PropertyCollector.SelectionSpec(name="up")],
)
"""The property collector's walk from an object to everything above it."""
SHOWN = 10
"""Names or paths in a hint."""


def ambiguous(noun: str, name: str, paths: Iterable[str]) -> InvalidSpecError:
    """Return the error of a name that several objects have."""
    paths = sorted(paths)
    return InvalidSpecError(
        f"{len(paths)} {noun}s are named {name!r}",
        resource=name,
        hint=f"name it by its inventory path: {', '.join(paths[:SHOWN])}",
        details={"paths": paths},
    )


def upwards(known: Known, thing: Any) -> Iterator[Any]:
    """Yield an object and all that are above it. A server that says an object is above itself does not make it endless."""
    seen = set[Any]()
    while thing is not None and thing not in seen:
        seen.add(thing)
        yield thing
        read = known.get(thing, {})
        thing = read.get("parentVApp") or read.get("parent")


class Finder:
    """Finds objects below the root of one connection. Safe for many threads; it keeps nothing between two calls."""

    def __init__(self, reader: PropertyReader) -> None:
        self._reader = reader

    def ancestors(
        self, things: Sequence[Any], more: Mapping[Any, Sequence[str]] | None = None, *, skip_missing: bool = False
    ) -> Known:
        """Return the name and parent of each of these objects and of everything above them, in one call.

        Args:
            things: the objects.
            more: further properties to read, by kind. What a VM leads to is read too: its node if they name `vim.HostSystem`, its
                distributed port groups if they name them.
            skip_missing: leave out those of `things` that are gone; otherwise they are a fault.
        """
        if not things:
            return {}
        more = more or {}
        Filter = vmodl.query.PropertyCollector
        again = Filter.SelectionSpec(name="up")
        app = Filter.TraversalSpec(name="app", type=vim.VirtualMachine, path="parentVApp", skip=False, selectSet=[again])
        leads = {vim.HostSystem: ("node", "runtime.host"), vim.dvs.DistributedVirtualPortgroup: ("groups", "network")}
        ways = [UP, app]
        ways += [
            Filter.TraversalSpec(name=name, type=vim.VirtualMachine, path=path, skip=False)
            for kind, (name, path) in leads.items()
            if kind in more
        ]
        start = [Filter.ObjectSpec(obj=thing, skip=False, selectSet=ways) for thing in things]
        paths = {vim.ManagedEntity: ("name", "parent"), vim.VirtualMachine: ("name", "parent", "parentVApp")}
        wanted = [
            Filter.PropertySpec(type=kind, pathSet=list(dict.fromkeys((*paths.get(kind, ()), *more.get(kind, ())))))
            for kind in {**paths, **more}
        ]
        with translated():
            known: Known = {}
            for thing, read in self._reader.retrieve(start, wanted, skip_missing=skip_missing):
                known.setdefault(thing, Read()).update(read)
            return known

    def paths(self, things: Sequence[Any]) -> dict[Any, str]:
        """Return the inventory path of each object, "/DC0/vm/prod/web1"; objects that are gone are left out."""
        known = self.ancestors(things)
        return {thing: self.path_in(known, thing) for thing in things if known.get(thing)}

    def path_in(self, known: Known, thing: Any) -> str:
        """Return an object's inventory path from what is known of it and of those above it; the root folder has no part in it."""
        below = itertools.takewhile(lambda each: each != self._reader.content.rootFolder, upwards(known, thing))
        parts = [path_part(known.get(each, {}).get("name", "")) for each in below]
        return "/" + "/".join(reversed(parts))

    def within_root(self, thing: Any, known: Known) -> bool:
        """Whether an object is below this connection's root."""
        return any(each == self._reader.root for each in upwards(known, thing))

    def datacenters(self, things: Sequence[Any]) -> dict[Any, Any]:
        """Return the datacenter that each object is in; None for one that is above all datacenters."""
        known = self.ancestors(things)
        return {thing: self.datacenter_in(known, thing) for thing in things}

    def datacenter_in(self, known: Known, thing: Any) -> Any:
        """Return the datacenter that an object is in, from what is known of it and of those above it; None above all datacenters."""
        return next((each for each in upwards(known, thing) if isinstance(each, vim.Datacenter)), None)

    def find(
        self,
        kind: Any,
        text: str,
        *,
        noun: str,
        error: type[NotFoundError],
        among: list[tuple[Any, dict[str, Any]]] | None = None,
    ) -> Any:
        """Return the one object of a kind that a text names.

        Args:
            kind: vSphere's type, such as `vim.Datastore`.
            text: a name, plain or escaped; an inventory path; or an id, "datastore-12" or "Datastore:datastore-12".
            noun: what the kind is called in errors.
            error: the error when there is none.
            among: the objects that may be meant, with their names; all of the kind below the root by default.

        Raises:
            NotFoundError: `error`, with the names there are.
            InvalidSpecError: several objects have that name.
        """
        things = self._reader.collect(kind, ["name"]) if among is None else among
        chosen = self.named(things, text)
        if len(chosen) > 1:
            raise ambiguous(noun, text, self.paths(chosen).values())
        if chosen:
            return chosen[0]
        names = sorted({plain_name(read["name"]) for _, read in things if "name" in read})
        shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        raise error(f"no {noun} {text!r}", resource=text, hint=f"there are: {shown or 'none'}")

    def named(self, things: Sequence[tuple[Any, dict[str, Any]]], text: str) -> list[Any]:
        """Return those of these objects that a text names: by name; otherwise by path; otherwise by id."""
        plain = plain_name(text)
        if by_name := [thing for thing, read in things if plain_name(read.get("name", "")) in (text, plain)]:
            return by_name
        if "/" in text:
            wanted = canonical_path(text)
            last = plain_name(wanted.rpartition("/")[2])
            alike = [thing for thing, read in things if plain_name(read.get("name", "")) == last]
            return [thing for thing, path in self.paths(alike).items() if path == wanted]
        if (moref := moref_of(text)) is not None:
            kind, identity = moref
            return [t for t, _ in things if t._moId == identity and kind in (None, type(t).__name__.rpartition(".")[2])]
        return []


__all__ = ["UP", "Finder", "Known", "ambiguous"]
