"""Customization specifications: what a guest is given at its first start."""

from __future__ import annotations

import ipaddress
from typing import Any

from novacron.errors import AlreadyExistsError, InvalidSpecError, NotFoundError, SpecProblem
from novacron.records.vm import Deleted
from novacron_vmware.errors import translated
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.records import Customization
from novacron_vmware.sdk import vim

Spec = vim.vm.customization


class VSphereCustomization(NativeOperations):
    """Customization specifications for guests: list, create, delete."""

    @vsphere.operation(kind="read")
    def customization_list(self) -> list[Customization]:
        """List the specifications."""
        infos = self._connection.read(self._specifications(), ["info"]).get("info") or []
        return sorted(map(_record, infos), key=lambda each: each.name)

    @vsphere.operation(kind="change")
    def customization_create(
        self,
        name: str,
        hostname: str = "",
        domain: str = "localdomain",
        address: str = "",
        gateway: str = "",
        dns: tuple[str, ...] = (),
        time_zone: str = "",
        description: str = "",
    ) -> Customization:
        """Create a specification for Linux guests.

        Args:
            name: its name.
            hostname: the guest's host name; that of the VM by default.
            domain: its domain.
            address: its address with the length of the prefix, "10.0.0.5/24"; DHCP by default.
            gateway: its router.
            dns: its name servers; can be repeated.
            time_zone: such as "Europe/Berlin".
            description: what it is for.
        """
        if any(each.name == name for each in self.customization_list()):
            raise AlreadyExistsError(f"a specification {name!r} is already there", resource=name, hint="give another name")
        naming = Spec.FixedName(name=hostname) if hostname else Spec.VirtualMachineNameGenerator()
        linux = Spec.LinuxPrep(hostName=naming, domain=domain, timeZone=time_zone or None, hwClockUTC=True)
        settings = Spec.IPSettings(ip=Spec.DhcpIpGenerator()) if not address else _fixed(address, gateway)
        spec = Spec.Specification(
            identity=linux,
            globalIPSettings=Spec.GlobalIPSettings(dnsServerList=list(dns), dnsSuffixList=[domain]),
            nicSettingMap=[Spec.AdapterMapping(adapter=settings)],
            options=Spec.LinuxOptions(),
        )
        info = vim.CustomizationSpecInfo(name=name, description=description, type="Linux")
        with translated(name):
            self._specifications().CreateCustomizationSpec(vim.CustomizationSpecItem(info=info, spec=spec))
        return self._named(name)

    @vsphere.operation(kind="change", destroys=True)
    def customization_delete(self, name: str) -> Deleted:
        """Delete a specification."""
        self._named(name)
        with translated(name):
            self._specifications().DeleteCustomizationSpec(name)
        return Deleted(name=name)

    def _specifications(self) -> Any:
        return self._manager("customizationSpecManager", "customization specifications")

    def _named(self, name: str) -> Customization:
        known = self.customization_list()
        for each in known:
            if each.name == name:
                return each
        names = ", ".join(each.name for each in known) or "none"
        raise NotFoundError(f"no customization specification {name!r}", resource=name, hint=f"there are: {names}")


def _fixed(address: str, gateway: str) -> Any:
    """Return settings of a NIC with a fixed address. Raises InvalidSpecError."""
    try:
        interface = ipaddress.IPv4Interface(address)
        router = ipaddress.IPv4Address(gateway) if gateway else None
    except ValueError as error:
        problem = SpecProblem("address", f"{address} {gateway}".strip(), "10.0.0.5/24, and a router's address")
        raise InvalidSpecError("invalid address", problems=[problem]) from error
    if "/" not in address:
        raise InvalidSpecError(
            "invalid address", problems=[SpecProblem("address", address, "with the prefix's length: 10.0.0.5/24")]
        )
    return Spec.IPSettings(
        ip=Spec.FixedIp(ipAddress=str(interface.ip)),
        subnetMask=str(interface.netmask),
        gateway=[str(router)] if router else None,
    )


def _record(info: Any) -> Customization:
    return Customization(
        name=info.name,
        kind=info.type,
        description=info.description or "",
        version=info.changeVersion or "",
        changed_at=info.lastUpdateTime.isoformat() if info.lastUpdateTime else None,
    )


__all__ = ["VSphereCustomization"]
