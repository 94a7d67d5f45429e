"""Networks and DHCP leases."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from ipaddress import ip_interface
from typing import TYPE_CHECKING, Any

import libvirt
from lxml import etree

from novacron.errors import AlreadyExistsError, InvalidSpecError, InvalidStateError, SpecProblem
from novacron.plugins import hookimpl
from novacron.records.networks import DHCPLease, Network
from novacron.records.vm import Deleted
from novacron.specs.nics import INTERFACE_NAME
from novacron.specs.wording import pattern_words
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.inventory.lists import still_there
from novacron_kvm.xml.networks import LIVE, change, dhcp_host, dhcp_range, dns_host, fields, network_element, portgroup
from novacron_kvm.xml.parsing import parse, serialise, text_of

if TYPE_CHECKING:
    from novacron.specs.networks import NetworkSpec

BOTH = libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE | libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG


STOP_FIRST = "stop them, or move their NICs to another network, first"


class KVMNetworks:
    """Makes, changes and deletes networks; lists leases."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def network_list(self) -> list[Network]:
        """List all networks."""
        with translated():
            return sorted(still_there(self._connection.read.listAllNetworks(0), self._record), key=lambda n: n.name)

    @hookimpl
    def network_get(self, network: str) -> Network:
        """Return one."""
        with translated(resource=network):
            return self._record(self._connection.read.networkLookupByName(network))

    @hookimpl
    def network_create(self, spec: NetworkSpec) -> Network:
        """Define and start a network; forget it again when it does not start."""
        _refuse_bad_interfaces(spec)
        with self._connection.dedicated() as conn, translated(resource=spec.name):
            if spec.name in conn.listNetworks() + conn.listDefinedNetworks():
                raise AlreadyExistsError(f"a network {spec.name!r} is already there", resource=spec.name)
            self._refuse_clash(conn, spec)
            made = conn.networkDefineXMLFlags(serialise(network_element(spec)), libvirt.VIR_NETWORK_DEFINE_VALIDATE)
            try:
                made.setAutostart(int(spec.autostart))
                made.create()
            except libvirt.libvirtError:
                made.undefine()
                raise
            return self._record(made)

    @hookimpl
    def network_update(self, network: str, spec: NetworkSpec) -> Network:
        """Change what is given: in use what libvirt changes so, the rest only while it is stopped."""
        _refuse_bad_interfaces(spec)
        with self._connection.dedicated() as conn, translated(resource=network):
            found = conn.networkLookupByName(network)
            if spec.name != network:
                problem = SpecProblem("name", spec.name, network)
                raise InvalidSpecError("a network keeps its name", problems=[problem], resource=network)
            before = found.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE)
            given = {field for field in spec.model_fields_set - {"name", "autostart"} if _changes(before, spec, field)}
            stopped_only = sorted(given - set(LIVE))
            if stopped_only and found.isActive():
                raise InvalidStateError(
                    f"can't change {', '.join(stopped_only)} of the network {network!r}: it is active",
                    resource=network,
                    hint="stop it first",
                )
            if given & {"cidr", "bridge"}:
                self._refuse_clash(conn, spec)
            if found.isActive():
                self._update_live(found, spec, given)
            else:
                root = parse(before)
                change(root, spec, given)
                found = conn.networkDefineXMLFlags(serialise(root), libvirt.VIR_NETWORK_DEFINE_VALIDATE)
            if "autostart" in spec.model_fields_set:
                found.setAutostart(int(spec.autostart))
            return self._record(found)

    @hookimpl
    def network_start(self, network: str) -> Network:
        """Make a network usable; an active one stays so."""
        with self._connection.dedicated() as conn, translated(resource=network):
            found = conn.networkLookupByName(network)
            if not found.isActive():
                found.create()
            return self._record(found)

    @hookimpl
    def network_stop(self, network: str) -> Network:
        """Take a network out of use; an inactive one stays so."""
        with self._connection.dedicated() as conn, translated(resource=network):
            found = conn.networkLookupByName(network)
            if found.isActive():
                self._refuse_used(conn, network, "stop")
                found.destroy()
            return self._record(found)

    @hookimpl
    def network_delete(self, network: str) -> Deleted:
        """Stop and forget a network that no VM uses."""
        with self._connection.dedicated() as conn, translated(resource=network):
            found = conn.networkLookupByName(network)
            identity = found.UUIDString()
            self._refuse_used(conn, network, "delete", stopped=True)
            if found.isActive():
                found.destroy()
            if found.isPersistent():
                found.undefine()
        return Deleted(name=network, id=identity, removed=(f"definition of {network}",))

    @hookimpl
    def lease_list(self, network: str) -> list[DHCPLease]:
        """List the leases that libvirt's own DHCP server gave."""
        with translated(resource=network):
            leases = self._connection.read.networkLookupByName(network).DHCPLeases()
        found = [
            DHCPLease(
                network=network,
                mac=lease["mac"],
                address=lease["ipaddr"],
                hostname=lease.get("hostname"),
                expires_at=datetime.fromtimestamp(lease["expirytime"], UTC).isoformat() if lease.get("expirytime") else None,
            )
            for lease in leases
        ]
        return sorted(found, key=lambda lease: ip_interface(lease.address).packed)

    def _update_live(self, found: Any, spec: NetworkSpec, given: set[str]) -> None:
        """Take out the old entries of each section and put in the new; entries that stay are left alone."""
        sections = {
            "dhcp_start": (
                libvirt.VIR_NETWORK_SECTION_IP_DHCP_RANGE,
                "ip/dhcp/range",
                [dhcp_range(spec)] if spec.dhcp_start else [],
            ),
            "dhcp_hosts": (libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST, "ip/dhcp/host", [dhcp_host(h) for h in spec.dhcp_hosts]),
            "dns_hosts": (libvirt.VIR_NETWORK_SECTION_DNS_HOST, "dns/host", [dns_host(h) for h in spec.dns_hosts]),
            "portgroups": (libvirt.VIR_NETWORK_SECTION_PORTGROUP, "portgroup", [portgroup(g) for g in spec.portgroups]),
        }
        if "dhcp_end" in given:
            given = given | {"dhcp_start"}
        for field in [f for f in sections if f in given]:
            section, path, wanted = sections[field]
            old = {etree.tostring(e, method="c14n"): e for e in parse(found.XMLDesc(0)).iterfind(path)}
            new = {etree.tostring(e, method="c14n"): e for e in wanted}
            steps = [(libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE, old[key]) for key in old.keys() - new.keys()]
            steps += [(libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, new[key]) for key in new.keys() - old.keys()]
            for command, element in steps:
                found.update(command, section, -1, etree.tostring(element, encoding="unicode"), BOTH)

    def _refuse_clash(self, conn: Any, spec: NetworkSpec) -> None:
        """Refuse what libvirt would find out only when the network starts."""
        for other in conn.listAllNetworks(0):
            root = parse(other.XMLDesc(0))
            if other.name() == spec.name:
                continue  # itself
            if spec.bridge and spec.type != "bridged" and text_of(root, "bridge/@name") == spec.bridge:
                raise AlreadyExistsError(
                    f"the bridge {spec.bridge!r} is the network {other.name()!r}'s",
                    resource=spec.name,
                    hint="give another bridge",
                )
            for cidr in self._record(other).cidrs:
                theirs = ip_interface(cidr).network
                if spec.cidr and theirs.version == spec.cidr.version and theirs.overlaps(spec.cidr.network):
                    raise AlreadyExistsError(
                        f"the address range {spec.cidr} overlaps that of the network {other.name()!r}, {cidr}",
                        resource=spec.name,
                        hint="give another range",
                    )

    def _refuse_used(self, conn: Any, network: str, verb: str, *, stopped: bool = False) -> None:
        """Raise an error if NICs of VMs are on a network.

        Args:
            conn: the connection.
            network: the network.
            verb: what can't be done.
            stopped: whether stopped VMs count, and the next start of running ones: without the network they could not start.
        """
        users = []
        for domain in conn.listAllDomains(0 if stopped else libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            try:
                definitions = [domain.XMLDesc(0)]
                if stopped and domain.isActive() and domain.isPersistent():
                    definitions.append(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
            except libvirt.libvirtError:
                continue  # it is gone
            sources = (each for text in definitions for each in parse(text).iterfind("devices/interface/source"))
            if any(source.get("network") == network for source in sources):
                users.append(domain.name())
        if users:
            raise InvalidStateError(
                f"can't {verb} the network {network!r}: {', '.join(sorted(users)[:5])} {'is' if len(users) == 1 else 'are'} on it",
                resource=network,
                hint="move their NICs to another network first" if stopped else STOP_FIRST,
            )

    def _record(self, network: Any) -> Network:
        return Network(
            name=network.name(),
            host=self._connection.name,
            active=bool(network.isActive()),
            id=network.UUIDString(),
            autostart=bool(network.autostart()) if network.isPersistent() else False,
            **fields(parse(network.XMLDesc(0))),
        )


def _changes(before: str, spec: NetworkSpec, field: str) -> bool:
    """Whether setting a field makes another definition of what is there."""
    old, new = parse(before), parse(before)
    change(new, spec, {field})
    return bool(etree.tostring(old, method="c14n") != etree.tostring(new, method="c14n"))


def _refuse_bad_interfaces(spec: NetworkSpec) -> None:
    """Refuse a bridge or device by a name that Linux gives no network interface. On other hypervisors they are switches with any name."""
    given = [(field, getattr(spec, field)) for field in ("bridge", "device")]
    words = pattern_words(INTERFACE_NAME)
    if bad := [SpecProblem(field, name, words) for field, name in given if name and not re.fullmatch(INTERFACE_NAME, name)]:
        raise InvalidSpecError(f"a host has no such interface for the network {spec.name!r}", problems=bad, resource=spec.name)


__all__ = ["KVMNetworks"]
