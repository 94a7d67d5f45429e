"""Reads properties of vSphere's objects in bulk, through the server's property collector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from novacron_vmware.errors import translated
from novacron_vmware.sdk import vim, vmodl
from novacron_vmware.session import Session

PAGE = 500
"""Objects in one answer of the property collector."""


class PropertyReader:
    """Reads properties within one session. Safe for many threads.

    Attributes:
        session: the logged-in session.
        content: vSphere's ServiceContent, read once.
        root: the datacenter or folder below which `collect` looks by default.
    """

    def __init__(self, session: Session, content: Any) -> None:
        self.session, self.content, self.root = session, content, content.rootFolder

    @property
    def is_esxi(self) -> bool:
        """Whether the server is a single ESXi, not a vCenter."""
        return bool(self.content.about.apiType == "HostAgent")

    def collect(self, kind: Any, paths: Sequence[str], root: Any = None) -> list[tuple[Any, dict[str, Any]]]:
        """Read exactly these properties of all objects of a kind below `root`: a few calls, however many objects there are."""
        return self.collect_kinds({kind: paths}, root)

    def read(self, thing: Any, paths: Sequence[str]) -> dict[str, Any]:
        """Read exactly these properties of one object, in one call."""
        with translated():
            answers = self._retrieve([vmodl.query.PropertyCollector.ObjectSpec(obj=thing)], type(thing), paths)
        return answers[0][1] if answers else {}

    def read_all(self, things: Sequence[Any], kind: Any, paths: Sequence[str]) -> list[tuple[Any, dict[str, Any]]]:
        """Read exactly these properties of many objects, in one call for a page of them."""
        if not things:
            return []
        with translated():
            return self._retrieve([vmodl.query.PropertyCollector.ObjectSpec(obj=thing) for thing in things], kind, paths)

    def collect_kinds(self, kinds: Mapping[Any, Sequence[str]], root: Any = None) -> list[tuple[Any, dict[str, Any]]]:
        """Read properties of all objects of several kinds below `root`, as `collect` does for one kind."""
        Filter = vmodl.query.PropertyCollector
        with translated():
            view = self.content.viewManager.CreateContainerView(root or self.root, list(kinds), True)
            try:
                walk = Filter.TraversalSpec(type=vim.view.ContainerView, path="view", skip=False)
                start = Filter.ObjectSpec(obj=view, skip=True, selectSet=[walk])
                return self.retrieve(
                    [start], [Filter.PropertySpec(type=kind, pathSet=list(paths)) for kind, paths in kinds.items()]
                )
            finally:
                view.Destroy()

    def _retrieve(self, start: list[Any], kind: Any, paths: Sequence[str]) -> list[tuple[Any, dict[str, Any]]]:
        return self.retrieve(start, [vmodl.query.PropertyCollector.PropertySpec(type=kind, pathSet=list(paths))])

    def retrieve(self, start: list[Any], properties: list[Any]) -> list[tuple[Any, dict[str, Any]]]:
        """Read in pages. Without a session the collector answers too, with every property missing: then log in and read again.

        Args:
            start: ObjectSpecs, from which the collector walks.
            properties: PropertySpecs.
        """
        Filter, collector = vmodl.query.PropertyCollector, self.content.propertyCollector
        wanted = Filter.FilterSpec(objectSet=start, propSet=properties)
        logins, answers = self.session.logins, list[tuple[Any, dict[str, Any]]]()
        page = collector.RetrievePropertiesEx([wanted], Filter.RetrieveOptions(maxObjects=PAGE))
        while page:
            if any(isinstance(gap.fault, vim.fault.NotAuthenticated) for item in page.objects for gap in item.missingSet or ()):
                self.session.log_in_again(logins)
                return self.retrieve(start, properties)
            answers += [(item.obj, {p.name: p.val for p in item.propSet}) for item in page.objects]
            page = collector.ContinueRetrievePropertiesEx(page.token) if page.token else None
        return answers


__all__ = ["PAGE", "PropertyReader"]
