"""Traffic filters: what a NIC lets in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron.errors import (
    AlreadyExistsError,
    DriverError,
    InvalidSpecError,
    InvalidStateError,
    SpecProblem,
    UnsupportedOperationError,
)
from novacron.plugins import hookimpl
from novacron.records.filters import TrafficFilter
from novacron.records.vm import Deleted
from novacron_kvm.connection import KVMConnection
from novacron_kvm.definitions import validation
from novacron_kvm.errors import translated
from novacron_kvm.inventory.lists import still_there
from novacron_kvm.xml.parsing import parse, serialise

if TYPE_CHECKING:
    from novacron.specs.filters import TrafficFilterSpec


class KVMFilters:
    """Makes, changes and deletes traffic filters."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def filter_list(self) -> list[TrafficFilter]:
        """List all filters, libvirt's own too."""
        with translated():
            return sorted(still_there(self._connection.read.listAllNWFilters(0), self._record), key=lambda f: f.name)

    @hookimpl
    def filter_get(self, filter: str) -> TrafficFilter:
        """Return one."""
        with translated(resource=filter):
            return self._record(self._connection.read.nwfilterLookupByName(filter))

    @hookimpl
    def filter_create(self, spec: TrafficFilterSpec) -> TrafficFilter:
        """Define a filter."""
        with self._connection.dedicated() as conn, translated(resource=spec.name):
            if spec.name in conn.listNWFilters():
                raise AlreadyExistsError(f"a traffic filter {spec.name!r} is already there", resource=spec.name)
            return self._defined(conn, _definition(conn, spec, None), None)

    @hookimpl
    def filter_update(self, filter: str, spec: TrafficFilterSpec) -> TrafficFilter:
        """Put other rules in place; libvirt applies them to running VMs."""
        with self._connection.dedicated() as conn, translated(resource=filter):
            found = conn.nwfilterLookupByName(filter)
            if spec.name != filter:
                problem = SpecProblem("name", spec.name, filter)
                raise InvalidSpecError("a traffic filter keeps its name", problems=[problem], resource=filter)
            return self._defined(conn, _definition(conn, spec, found.UUIDString()), found.XMLDesc(0))

    @hookimpl
    def filter_delete(self, filter: str) -> Deleted:
        """Delete a filter that no NIC has."""
        with self._connection.dedicated() as conn, translated(resource=filter):
            found = conn.nwfilterLookupByName(filter)
            identity = found.UUIDString()
            for domain in conn.listAllDomains(0):
                text = domain.XMLDesc(0)
                if filter in text and any(e.get("filter") == filter for e in parse(text).iterfind("devices/interface/filterref")):
                    raise InvalidStateError(
                        f"can't delete the traffic filter {filter!r}: a NIC of {domain.name()!r} uses it",
                        resource=filter,
                        hint="change that NIC first",
                    )
            found.undefine()
            return Deleted(name=filter, id=identity)

    def _defined(self, conn: Any, text: str, before: str | None) -> TrafficFilter:
        """Define a filter and compare its rules with what libvirt then has; a difference is undone and raises DriverError.

        libvirt keeps a rule whose match it does not know as a rule for every packet.
        """
        from novacron_kvm.xml.filters import outline

        made = _define(conn, text)
        asked, there = outline(parse(text)), outline(parse(made.XMLDesc(0)))
        if asked == there:
            return self._record(made)
        if before is None:
            made.undefine()
        else:
            _define(conn, before)
        lost = ", ".join(" ".join(map(str, rule[:3])) for rule in asked if rule not in there) or "another number of rules"
        raise DriverError(
            f"libvirt did not take the rules of the traffic filter {made.name()!r} as given: {lost}",
            resource=made.name(),
            hint="nothing has changed; check the protocol and the addresses of these rules",
        )

    def _record(self, found: Any) -> TrafficFilter:
        from novacron_kvm.xml.filters import rules

        return TrafficFilter(
            name=found.name(), host=self._connection.name, id=found.UUIDString(), **rules(parse(found.XMLDesc(0)))
        )


def _define(conn: Any, text: str) -> Any:
    flag = validation(conn, "filter")
    return conn.nwfilterDefineXMLFlags(text, flag) if flag else conn.nwfilterDefineXML(text)


def _definition(conn: Any, spec: TrafficFilterSpec, identity: str | None) -> str:
    """Return the definition of a filter, its own rules or the user's XML under our name and identity."""
    from lxml import etree

    from novacron_kvm.xml.filters import ANTI_SPOOFING, filter_xml

    if not spec.native:
        if spec.anti_spoofing and ANTI_SPOOFING not in conn.listNWFilters():
            raise UnsupportedOperationError(
                f"the host lacks libvirt's filter {ANTI_SPOOFING!r}",
                resource=spec.name,
                hint="install libvirt-daemon-config-nwfilter there",
            )
        return filter_xml(spec, identity)
    root = parse(spec.native)
    if root.tag != "filter":
        raise InvalidSpecError(
            "invalid traffic filter", problems=[SpecProblem("native", f"<{root.tag}>", "a <filter> of libvirt")]
        )
    root.set("name", spec.name)
    for old in root.findall("uuid"):
        root.remove(old)
    if identity:
        uuid = etree.Element("uuid")
        uuid.text = identity
        root.insert(0, uuid)
    return serialise(root)


__all__ = ["KVMFilters"]
