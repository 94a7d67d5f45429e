"""Reads properties of vSphere's objects in bulk, through the server's property collector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from novacron.errors import DriverError
from novacron_vmware.errors import translated
from novacron_vmware.gone import Read
from novacron_vmware.sdk import vim, vmodl
from novacron_vmware.session import Session

PAGE = 500
"""Objects in one answer of the property collector."""
MOST = 1_000_000
"""Objects in one answer with all its pages. A vCenter has some 100,000 at most."""
PropertyCollector: Any = vmodl.query.PropertyCollector
FOLDERS, HOSTS = ("vmFolder", "hostFolder", "datastoreFolder", "networkFolder"), ("hostFolder",)
WAYS: dict[Any, tuple[tuple[str, ...], tuple[tuple[Any, str], ...]]] = {
    vim.Datacenter: ((), ()),
    vim.StoragePod: (("datastoreFolder",), ()),
    vim.Folder: (FOLDERS, ()),
    vim.Datastore: (("datastoreFolder",), ()),
    vim.Network: (("networkFolder",), ()),
    vim.DistributedVirtualSwitch: (("networkFolder",), ()),
    vim.ComputeResource: (HOSTS, ()),
    vim.HostSystem: (HOSTS, ((vim.ComputeResource, "host"),)),
    vim.ResourcePool: (HOSTS, ((vim.ComputeResource, "resourcePool"), (vim.ResourcePool, "resourcePool"))),
}
"""Where objects of a kind are: the folders of a datacenter, and the properties that lead on from there."""


def way_down(kinds: Sequence[Any]) -> list[Any] | None:
    """Return the property collector's walk from a folder, a datacenter or a cluster to all objects of these kinds below it.

    Returns:
        The walk; None for kinds that it does not lead to, such as VMs: these are in folders, in vApps and in vApps of vApps.
    """
    ways = []
    for kind in kinds:
        place = next((each for each in WAYS if issubclass(kind, each)), None)
        if place is None:
            return None
        ways.append(WAYS[place])
    steps = [(vim.Folder, "childEntity")]
    steps += [(vim.Datacenter, folder) for folder in dict.fromkeys(folder for folders, _ in ways for folder in folders)]
    steps += dict.fromkeys(step for _, more in ways for step in more)
    names = [f"{kind.__name__}.{path}" for kind, path in steps]
    again = [PropertyCollector.SelectionSpec(name=name) for name in names]
    return [
        PropertyCollector.TraversalSpec(name=name, type=kind, path=path, skip=False, selectSet=again)
        for name, (kind, path) in zip(names, steps, strict=True)
    ]


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
        wanted = PropertyCollector.PropertySpec(type=type(thing), pathSet=list(paths))
        with translated():
            answers = self.retrieve([PropertyCollector.ObjectSpec(obj=thing)], [wanted])
        return answers[0][1] if answers else Read()

    def read_all(self, things: Sequence[Any], kind: Any, paths: Sequence[str]) -> list[tuple[Any, dict[str, Any]]]:
        """Read exactly these properties of many objects, in one call for a page of them. Objects that are gone are left out."""
        if not things:
            return []
        start = [PropertyCollector.ObjectSpec(obj=thing) for thing in things]
        with translated():
            return self.retrieve(start, [PropertyCollector.PropertySpec(type=kind, pathSet=list(paths))], skip_missing=True)

    def collect_kinds(self, kinds: Mapping[Any, Sequence[str]], root: Any = None) -> list[tuple[Any, dict[str, Any]]]:
        """Read properties of all objects of several kinds below `root`, as `collect` does for one kind."""
        start = root or self.root
        properties = [PropertyCollector.PropertySpec(type=kind, pathSet=list(paths)) for kind, paths in kinds.items()]
        with translated():
            if (down := way_down(tuple(kinds))) is not None:
                return self._below(start, down, properties, tuple(kinds))
            view = self.content.viewManager.CreateContainerView(start, list(kinds), True)
            try:
                walk = PropertyCollector.TraversalSpec(type=vim.view.ContainerView, path="view", skip=False)
                return self.retrieve([PropertyCollector.ObjectSpec(obj=view, skip=True, selectSet=[walk])], properties)
            finally:
                view.Destroy()

    def _below(
        self, start: Any, down: list[Any], properties: list[Any], kinds: tuple[Any, ...]
    ) -> list[tuple[Any, dict[str, Any]]]:
        """Read all objects of these kinds below `start` in one call, where a view takes three.

        The start itself is read too. Without a session it is the only object in the answer, and says so.
        """
        if not isinstance(start, kinds):
            properties = [*properties, PropertyCollector.PropertySpec(type=type(start), pathSet=["name"])]
        found = self.retrieve([PropertyCollector.ObjectSpec(obj=start, skip=False, selectSet=down)], properties)
        return [(thing, read) for thing, read in found if thing != start and isinstance(thing, kinds)]

    def retrieve(
        self, start: list[Any], properties: list[Any], *, skip_missing: bool = False
    ) -> list[tuple[Any, dict[str, Any]]]:
        """Read in pages. Without a session the collector answers too, with every property missing: then log in and read again.

        Args:
            start: ObjectSpecs, from which the collector walks.
            properties: PropertySpecs.
            skip_missing: leave out objects of `start` that are gone; otherwise they are a fault.
        """
        collector = self.content.propertyCollector
        wanted = PropertyCollector.FilterSpec(objectSet=start, propSet=properties, reportMissingObjectsInResults=skip_missing)
        logins, answers, seen = self.session.logins, list[tuple[Any, dict[str, Any]]](), 0
        page = collector.RetrievePropertiesEx([wanted], PropertyCollector.RetrieveOptions(maxObjects=PAGE))
        while page:
            if any(isinstance(gap.fault, vim.fault.NotAuthenticated) for item in page.objects for gap in item.missingSet or ()):
                self.session.log_in_again(logins)
                return self.retrieve(start, properties, skip_missing=skip_missing)
            answers += [(item.obj, Read((p.name, p.val) for p in item.propSet)) for item in page.objects if not _is_gone(item)]
            seen += len(page.objects)
            if page.token and (not page.objects or seen > MOST):
                raise DriverError(f"the server's answer does not end: {seen} objects so far", hint="is this a vCenter?")
            page = collector.ContinueRetrievePropertiesEx(page.token) if page.token else None
        return answers


def _is_gone(item: Any) -> bool:
    """Whether an object was deleted while the server collected its properties."""
    faults = [gap.fault for gap in item.missingSet or ()]
    return any(isinstance(fault, vmodl.fault.ManagedObjectNotFound) and fault.obj in (None, item.obj) for fault in faults)


__all__ = ["PAGE", "PropertyReader"]
