"""A VM's NICs: attaching, detaching, changing, plugging and unplugging the cable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron.errors import AlreadyExistsError, DeviceNotFoundError, InvalidSpecError, InvalidStateError, SpecProblem
from novacron.macs import new_mac
from novacron.plugins import hookimpl
from novacron.records.nics import NIC
from novacron.records.vm import VM
from novacron_kvm.connection import KVMConnection
from novacron_kvm.domains.devices import plug, refuse_saved, unplug, update
from novacron_kvm.domains.nics import macs_in_use, refuse_unusable_network
from novacron_kvm.errors import translated
from novacron_kvm.inventory.records import vm_record
from novacron_kvm.xml.parsing import parse, text_of
from novacron_kvm.xml.reading import nic as nic_record

if TYPE_CHECKING:
    from novacron.specs.nics import NICSpec


class KVMNICs:
    """Changes the NICs of VMs, at once when they run, and persistently."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def nic_attach(self, vm: str, spec: NICSpec) -> NIC:
        """Plug in a NIC."""
        from novacron_kvm.xml.devices.nic import nic_element

        with self._connection.dedicated() as conn, translated("nic_attach", vm):
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
            mac = (spec.mac or new_mac(taken)).lower()
            plug(domain, nic_element(spec.model_copy(update={"mac": mac})))
            return self._record(domain, mac)

    @hookimpl
    def nic_detach(self, vm: str, nic: str) -> VM:
        """Unplug a NIC."""
        with self._connection.dedicated() as conn, translated("nic_detach", vm):
            domain = self._connection.domain(vm, conn)
            refuse_saved(domain, "detach a NIC from")
            self._record(domain, nic)
            unplug(domain, lambda root: _element(root, nic), f"the NIC {nic}")
            return vm_record(self._connection, domain)

    @hookimpl
    def nic_update(self, vm: str, nic: str, spec: NICSpec) -> NIC:
        """Change what is given; what a running VM's NIC can't change is refused, and nothing has changed then."""
        from novacron_kvm.xml.devices.nic import change_nic

        with self._connection.dedicated() as conn, translated("nic_update", vm):
            domain = self._connection.domain(vm, conn)
            refuse_saved(domain, "change a NIC of")
            old = self._record(domain, nic)
            if spec.mac and spec.mac.lower() != old.mac:
                problem = SpecProblem("mac", spec.mac, f"{old.mac}, or nothing")
                raise InvalidSpecError("a NIC keeps its MAC address", problems=[problem], resource=domain.name())
            refuse_unusable_network(conn, spec)
            if domain.isActive() and "mtu" in spec.model_fields_set and spec.mtu != old.mtu:
                raise InvalidStateError(
                    f"can't change the MTU of a NIC of {domain.name()!r}: it is running",
                    resource=domain.name(),
                    hint="stop it first, or attach another NIC",
                )
            update(domain, lambda root: _element(root, nic), lambda element: change_nic(element, spec))
            return self._record(domain, nic)

    @hookimpl
    def nic_link_set(self, vm: str, nic: str, up: bool) -> NIC:
        """Plug or unplug the cable."""
        from novacron_kvm.xml.devices.nic import set_link

        with self._connection.dedicated() as conn, translated("nic_link_set", vm):
            domain = self._connection.domain(vm, conn)
            refuse_saved(domain, "change a NIC of")
            self._record(domain, nic)
            update(domain, lambda root: _element(root, nic), lambda element: set_link(element, up=up))
            return self._record(domain, nic)

    def _record(self, domain: Any, mac: str) -> NIC:
        root = parse(domain.XMLDesc(0))
        element = _element(root, mac)
        if element is None:
            there = ", ".join(n.mac for n in map(nic_record, root.iterfind("devices/interface")))
            raise DeviceNotFoundError(
                f"{domain.name()!r} has no NIC {mac!r}", resource=domain.name(), hint=f"it has: {there or 'none'}"
            )
        return nic_record(element)


def _element(root: Any, mac: str) -> Any:
    return next(
        (e for e in root.iterfind("devices/interface") if (text_of(e, "mac/@address") or "").lower() == mac.lower()), None
    )


__all__ = ["KVMNICs"]
