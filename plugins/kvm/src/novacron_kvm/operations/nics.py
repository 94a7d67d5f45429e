"""A VM's NICs: attaching, detaching, changing, plugging and unplugging the cable."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import libvirt

from novacron.errors import AlreadyExistsError, DeviceNotFoundError, DriverError, InvalidSpecError, InvalidStateError, SpecProblem
from novacron.plugins import hookimpl
from novacron.records.nics import NIC, NICAddress
from novacron.records.vm import VM
from novacron_kvm.connection import KVMConnection
from novacron_kvm.domains.addresses import list_addresses
from novacron_kvm.domains.devices import plug, unplug, update
from novacron_kvm.domains.nics import macs_in_use, refuse_unusable_network
from novacron_kvm.domains.states import refuse_saved
from novacron_kvm.errors import translated
from novacron_kvm.inventory.records import vm_record
from novacron_kvm.xml.devices.nic import FIXED, PLACE, RATES, as_defined, change_nic, nic_element, set_link, spec_place
from novacron_kvm.xml.parsing import parse, text_of
from novacron_kvm.xml.reading import nic as nic_record

if TYPE_CHECKING:
    from novacron.specs.nics import NICSpec, NICUpdate


FILTERED = ("network", "bridge", "ethernet")
"""The types of NICs that libvirt filters. It ignores the filter of any other."""


class KVMNICs:
    """Changes the NICs of VMs, at once when they run, and persistently."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def nic_attach(self, vm: str, spec: NICSpec) -> NIC:
        """Plug in a NIC."""
        with self._connection.dedicated() as conn, translated(resource=vm):
            domain = self._connection.domain(vm, conn)
            refuse_saved(domain, "attach a NIC to")
            refuse_unusable_network(conn, spec)
            taken = macs_in_use(conn)
            if spec.mac and spec.mac.lower() in taken:
                raise AlreadyExistsError(
                    f"the MAC address {spec.mac} is a NIC's of {taken[spec.mac.lower()]!r}",
                    resource=domain.name(),
                    hint="leave mac out for a free one",
                )
            mac = (spec.mac or self._connection.macs.new(taken)).lower()
            plug(domain, nic_element(spec.model_copy(update={"mac": mac})))
            return self._record(domain, mac)

    @hookimpl
    def nic_detach(self, vm: str, nic: str) -> VM:
        """Unplug a NIC."""
        with self._connection.dedicated() as conn, translated(resource=vm):
            domain = self._connection.domain(vm, conn)
            refuse_saved(domain, "detach a NIC from")
            self._record(domain, nic)
            unplug(domain, lambda root: _element(root, nic), f"the NIC {nic}")
            return vm_record(self._connection, domain)

    @hookimpl
    def nic_update(self, vm: str, nic: str, spec: NICUpdate) -> NIC:
        """Change what is given; what a running VM's NIC can't change is refused, and nothing has changed then."""
        with self._connection.dedicated() as conn, translated(resource=vm):
            domain = self._connection.domain(vm, conn)
            refuse_saved(domain, "change a NIC of")
            old = self._record(domain, nic)
            if spec.mac and spec.mac.lower() != old.mac:
                problem = SpecProblem("mac", spec.mac, f"{old.mac}, or nothing")
                raise InvalidSpecError("a NIC keeps its MAC address", problems=[problem], resource=domain.name())
            kind = spec_place(spec)[0] if any(getattr(spec, field) for field in PLACE) else old.type
            refuse_unusable_network(
                conn,
                spec if spec.network or kind != "network" else spec.model_copy(update={"network": old.network}),
                kind=kind,
                model=spec.model if "model" in spec.model_fields_set else old.model or "",
            )
            if spec.filter and kind not in FILTERED:
                problem = SpecProblem("filter", spec.filter, f"no filter: libvirt filters no NICs of type {kind}")
                raise InvalidSpecError(
                    f"can't filter the NIC {nic} of {domain.name()!r}", problems=[problem], resource=domain.name()
                )
            fixed = [name for name in sorted(FIXED | {"mtu"}) if name in spec.model_fields_set and _differs(spec, old, name)]
            if domain.isActive() and fixed:
                raise InvalidStateError(
                    f"can't change {', '.join(fixed)} of a NIC of {domain.name()!r}: it is running",
                    resource=domain.name(),
                    hint="stop the VM first, or attach another NIC",
                )
            self._change(conn, domain, nic, lambda element: change_nic(element, spec))
            return self._as_asked(domain, nic, spec)

    @hookimpl
    def address_list(self, vm: str, source: str | None) -> list[NICAddress]:
        """Ask the guest agent, then libvirt's DHCP servers, then the host's neighbour table."""
        return list_addresses(self._connection, vm, source)

    @hookimpl
    def nic_link_set(self, vm: str, nic: str, up: bool) -> NIC:
        """Plug or unplug the cable."""
        from novacron.specs.nics import NICUpdate

        with self._connection.dedicated() as conn, translated(resource=vm):
            domain = self._connection.domain(vm, conn)
            refuse_saved(domain, "change a NIC of")
            self._record(domain, nic)
            self._change(conn, domain, nic, lambda element: set_link(element, up=up))
            return self._as_asked(domain, nic, NICUpdate(link_up=up))

    def _change(self, conn: Any, domain: Any, nic: str, change: Callable[[Any], None]) -> None:
        """Change a NIC in both definitions of a VM. libvirt is told the network that a running NIC is on, not what the network chose."""

        def changed(element: Any) -> None:
            as_defined(element, _inherited(conn, element))
            change(element)

        update(domain, lambda root: _element(root, nic), changed)

    def _as_asked(self, domain: Any, nic: str, spec: NICUpdate) -> NIC:
        """Return a NIC's record after a change. Raises DriverError when libvirt accepted the change and something else is there."""
        record = self._record(domain, nic)
        wrong = [name for name in sorted(spec.model_fields_set - {"mac"}) if _differs(spec, record, name)]
        if wrong:
            raise DriverError(
                f"libvirt accepted the change of the NIC {nic} of {domain.name()!r}, but {', '.join(wrong)} is not as asked",
                resource=domain.name(),
                hint="look at the NIC and at the VM's definition (`novacron vm export`)",
            )
        return record

    def _record(self, domain: Any, mac: str) -> NIC:
        root = parse(domain.XMLDesc(0))
        element = _element(root, mac)
        if element is None:
            there = ", ".join(n.mac for n in map(nic_record, root.iterfind("devices/interface")))
            raise DeviceNotFoundError(
                f"{domain.name()!r} has no NIC {mac!r}", resource=domain.name(), hint=f"it has: {there or 'none'}"
            )
        return nic_record(element)


def _differs(spec: NICUpdate, record: NIC, field: str) -> bool:
    """Whether a NIC is something else than a field asks for. libvirt counts rates in KiB and does not report every field."""
    asked, there = getattr(spec, field), getattr(record, field, None)
    if field in PLACE:
        if not asked:
            return False
        kind, _, name = spec_place(spec)
        if kind == "network" and record.network == name:
            return False  # a running NIC has the type of what its network chose: a bridge, or a device of the host
        return record.type != kind or (name is not None and record.network != name)
    if field in RATES.values():
        return (max(1, asked // 1024) * 1024 if asked else 0) != (there or 0)
    if field in ("queues", "boot_order"):
        return hasattr(record, field) and asked != there
    return bool((asked or None) != (there or None))


def _inherited(conn: Any, interface: Any) -> Any:
    """Return the element whose limits and VLANs a running NIC has taken over: its port group, else its network; None without one."""
    source = interface.find("source")
    if source is None or not source.get("network"):
        return None
    try:
        network = parse(conn.networkLookupByName(source.get("network")).XMLDesc(0))
    except libvirt.libvirtError:
        return None  # somebody removed it under the VM
    wanted = source.get("portgroup")
    groups = network.findall("portgroup")
    return next((g for g in groups if (g.get("name") == wanted if wanted else g.get("default") == "yes")), network)


def _element(root: Any, mac: str) -> Any:
    return next(
        (e for e in root.iterfind("devices/interface") if (text_of(e, "mac/@address") or "").lower() == mac.lower()), None
    )


__all__ = ["KVMNICs"]
