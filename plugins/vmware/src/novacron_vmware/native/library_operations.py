"""What the operations on content libraries share: the REST API, and libraries and items by name or id."""

from __future__ import annotations

from typing import Any

from novacron.errors import AlreadyExistsError, InvalidSpecError, NotFoundError, UnsupportedOperationError
from novacron_vmware.native.area import NativeOperations
from novacron_vmware.native.records import Library, LibraryItem
from novacron_vmware.rest import CONTENT
from novacron_vmware.sdk import vim

ITEM = "library/item"


class LibraryOperations(NativeOperations):
    """The base class of the operations on content libraries."""

    def _api(self, verb: str, path: str, dialect: Any = CONTENT, **more: Any) -> Any:
        if self._connection.is_esxi:
            raise UnsupportedOperationError(
                "only a vCenter has content libraries", outcome="not_sent", hint="connect to the vCenter"
            )
        return self._connection.rest.call(verb, path, dialect=dialect, **more)

    def _refuse_taken(self, name: str) -> None:
        """Raise AlreadyExistsError when a VM or template has that name."""
        if self._connection.inventory.taken(name, None):
            raise AlreadyExistsError(f"a VM {name!r} is already there", resource=name, hint="give another name")

    def _refuse_item(self, library: Library, name: str) -> None:
        """Raise AlreadyExistsError when the library has an item of that name."""
        if any(each.name == name for each in self._items(library)):
            raise AlreadyExistsError(
                f"the library {library.name!r} has an item {name!r} already", resource=name, hint="give another name"
            )

    def _libraries(self) -> list[Library]:
        found = [self._api("GET", "library", identity=each) for each in self._api("GET", "library") or ()]
        return sorted((self._record(each) for each in found), key=lambda library: library.name)

    def _library(self, text: str) -> Library:
        known = self._libraries()
        found = [each for each in known if text in (each.name, each.id)]
        if len(found) > 1:
            ids = ", ".join(each.id for each in found)
            raise InvalidSpecError(f"{len(found)} libraries are named {text!r}", resource=text, hint=f"name it by its id: {ids}")
        if not found:
            names = ", ".join(each.name for each in known) or "none"
            raise NotFoundError(f"no content library {text!r}", resource=text, hint=f"there are: {names}")
        return found[0]

    def _items(self, library: Library) -> list[LibraryItem]:
        found = []
        for identity in self._api("GET", f"{ITEM}?library_id={library.id}") or ():
            about = self._api("GET", ITEM, identity=identity)
            found.append(
                LibraryItem(
                    name=about["name"],
                    kind=about.get("type") or "",
                    size_bytes=int(about.get("size") or 0),
                    library=library.name,
                    id=about["id"],
                )
            )
        return sorted(found, key=lambda item: item.name)

    def _item(self, library: str, item: str) -> LibraryItem:
        known = self._items(self._library(library))
        for each in known:
            if item in (each.name, each.id):
                return each
        names = ", ".join(each.name for each in known) or "none"
        raise NotFoundError(f"the library {library!r} has no item {item!r}", resource=item, hint=f"there are: {names}")

    def _record(self, about: Any) -> Library:
        backings = about.get("storage_backings") or [{}]
        store = backings[0].get("datastore_id")
        known = {thing._moId: read["name"] for thing, read in self._connection.collect(vim.Datastore, ["name"])}
        return Library(
            name=about["name"],
            kind=str(about.get("type") or "").lower(),
            id=about["id"],
            datastore=known.get(store, store),
            description=about.get("description") or "",
        )


__all__ = ["ITEM", "LibraryOperations"]
