"""NICs of VMs: attach, change, detach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron.drivers.sim.area import Area, simulated
from novacron.drivers.sim.state.hardware import settings
from novacron.drivers.sim.state.machine import SimVM
from novacron.drivers.sim.state.nics import addressed, changed_nic, make_nic
from novacron.errors import (
    AlreadyExistsError,
    DeviceNotFoundError,
    InvalidSpecError,
    SpecProblem,
    UnsupportedOperationError,
)
from novacron.records.nics import NIC, NICAddress
from novacron.records.vm import VM

if TYPE_CHECKING:
    from novacron.specs.nics import NICSpec, NICUpdate

_STATES = ("running", "suspended", "stopped", "crashed")


class SimNICs(Area):
    """A VM's NICs."""

    @simulated
    def nic_attach(self, vm: str, spec: NICSpec) -> NIC:
        """Attach a NIC."""
        with self.world.lock:
            sim_vm = self.changing(vm, "attach a NIC to", *_STATES)
            nic = make_nic(self.world, spec)
            if any(each.mac == nic.mac for each in sim_vm.nics):
                raise AlreadyExistsError(f"{sim_vm.name!r} has a NIC {nic.mac!r} already", resource=sim_vm.name)
            sim_vm.nics += (nic,)
            return self._changed(sim_vm, nic, "attached", spec)

    @simulated
    def nic_detach(self, vm: str, nic: str) -> VM:
        """Detach a NIC."""
        with self.world.lock:
            sim_vm = self.changing(vm, "detach a NIC from", "running", "stopped", "crashed")
            going = self._find(sim_vm, nic)
            sim_vm.nics = tuple(each for each in sim_vm.nics if each is not going)
            sim_vm.filters.pop(going.mac, None)
            sim_vm.options.pop(going.mac, None)
            self.world.forget_leases((going,))
            self.world.tell("vm.device", sim_vm, reason="detached", device=going.mac)
            return self.record(sim_vm)

    @simulated
    def nic_update(self, vm: str, nic: str, spec: NICUpdate) -> NIC:
        """Change the given fields. The MAC address stays the same."""
        with self.world.lock:
            sim_vm = self.changing(vm, "change a NIC of", *_STATES)
            old = self._find(sim_vm, nic)
            if spec.mac and spec.mac.lower() != old.mac:
                problem = SpecProblem("mac", spec.mac, f"{old.mac}, or nothing")
                raise InvalidSpecError("a NIC keeps its MAC address", problems=[problem], resource=sim_vm.name)
            new = changed_nic(self.world, old, spec)
            if new.network != old.network:
                self.world.forget_leases((old,))
            sim_vm.nics = tuple(new if each is old else each for each in sim_vm.nics)
            return self._changed(sim_vm, new, "changed", spec)

    @simulated
    def address_list(self, vm: str, source: str | None) -> list[NICAddress]:
        """List the addresses that the networks of the NICs lease."""
        with self.world.lock:
            sim_vm = self.world.find(vm)
            if source not in (None, "lease"):
                raise UnsupportedOperationError(f"there is no source {source!r} of addresses", hint="the source here is 'lease'")
            nics = addressed(self.world, sim_vm) if sim_vm.status == "running" else ()
            listed = [
                NICAddress.usable(vm=sim_vm.id, mac=nic.mac, address=address, source="lease")
                for nic in nics
                for address in nic.addresses
            ]
            return [each for each in listed if each]

    @simulated
    def nic_link_set(self, vm: str, nic: str, up: bool) -> NIC:
        """Connect or disconnect the virtual cable."""
        with self.world.lock:
            sim_vm = self.changing(vm, "change a NIC of", *_STATES)
            old = self._find(sim_vm, nic)
            new: NIC = old.replace(link_up=up)
            sim_vm.nics = tuple(new if each is old else each for each in sim_vm.nics)
            return self._changed(sim_vm, new, "changed", None)

    def _find(self, vm: SimVM, mac: str) -> NIC:
        found = next((nic for nic in vm.nics if nic.mac == mac.lower()), None)
        if found is None:
            raise DeviceNotFoundError(
                f"{vm.name!r} has no NIC {mac!r}", resource=vm.name, hint=f"it has: {', '.join(n.mac for n in vm.nics) or 'none'}"
            )
        return found

    def _changed(self, vm: SimVM, nic: NIC, reason: str, spec: NICSpec | None) -> NIC:
        if spec is not None and "filter" in spec.model_fields_set:
            vm.filters.pop(nic.mac, None)
            if spec.filter:
                vm.filters[nic.mac] = spec.filter
        if spec is not None and settings(spec):
            vm.options[nic.mac] = {**vm.options.get(nic.mac, {}), **settings(spec)}
        data: dict[str, Any] = {"device": nic.mac}
        self.world.tell("vm.device", vm, reason=reason, **data)
        return nic


__all__ = ["SimNICs"]
