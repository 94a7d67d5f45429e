"""Customization specifications: what a guest is given at its first start. Linux, Windows and cloud-init; applied to a VM or at a clone."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from typing import Any, BinaryIO

from novacron.errors import AlreadyExistsError, InvalidSpecError, NotFoundError, NovaCronError, SpecProblem
from novacron.jobs import Job
from novacron.records.vm import Deleted
from novacron_vmware.errors import translated
from novacron_vmware.lifecycle.checks import refuse_taken
from novacron_vmware.lifecycle.cloning import clone, new_addresses
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.records import Customization, VMDetails
from novacron_vmware.native.vms import details_of
from novacron_vmware.records import apply_tags, read_vm
from novacron_vmware.sdk import vim

Spec = vim.vm.customization
LARGEST = 512 * 1024
"""Characters of metadata and of user data at most."""


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
        linux = Spec.LinuxPrep(hostName=_naming(hostname), domain=domain, timeZone=time_zone or None, hwClockUTC=True)
        spec = Spec.Specification(
            identity=linux,
            globalIPSettings=Spec.GlobalIPSettings(dnsServerList=list(dns), dnsSuffixList=[domain]),
            nicSettingMap=[Spec.AdapterMapping(adapter=_settings(address, gateway))],
            options=Spec.LinuxOptions(),
        )
        return self._create(name, description, "Linux", spec)

    @vsphere.operation(kind="change")
    def customization_create_windows(
        self,
        name: str,
        hostname: str = "",
        owner: str = "NovaCron",
        organization: str = "NovaCron",
        admin_password: str | None = None,
        workgroup: str = "WORKGROUP",
        domain: str = "",
        domain_user: str = "",
        domain_password: str | None = None,
        address: str = "",
        gateway: str = "",
        dns: tuple[str, ...] = (),
        time_zone: int = 85,
        run_once: tuple[str, ...] = (),
        description: str = "",
    ) -> Customization:
        """Create a specification for Windows guests, which Sysprep applies. Passwords are given as names of secrets.

        Args:
            name: its name.
            hostname: the guest's computer name, at most 15 characters; that of the VM by default.
            owner: the registered owner.
            organization: the registered organization.
            admin_password: the name of the secret that is the administrator's password.
            workgroup: the workgroup that the guest joins, if no domain is given.
            domain: the domain that the guest joins.
            domain_user: the user who may join guests to the domain.
            domain_password: the name of the secret that is that user's password.
            address: its address with the length of the prefix, "10.0.0.5/24"; DHCP by default.
            gateway: its router.
            dns: its name servers; can be repeated.
            time_zone: the index of the time zone as Microsoft counts them; 85 is London.
            run_once: a command for the first log-in; can be repeated.
            description: what it is for.
        """
        if len(hostname) > 15:
            raise InvalidSpecError("invalid name", problems=[SpecProblem("hostname", hostname, "at most 15 characters")])
        if domain and not (domain_user and domain_password):
            problem = SpecProblem("domain_user", domain_user, "a user and the name of the secret that is its password")
            raise InvalidSpecError("a domain needs a user", problems=[problem])
        identification = Spec.Identification(joinWorkgroup=workgroup)
        if domain and domain_password:
            identification = Spec.Identification(
                joinDomain=domain, domainAdmin=domain_user, domainAdminPassword=self._password(domain_password)
            )
        identity = Spec.Sysprep(
            guiUnattended=Spec.GuiUnattended(
                password=self._password(admin_password) if admin_password else None,
                timeZone=time_zone,
                autoLogon=False,
                autoLogonCount=1,
            ),
            userData=Spec.UserData(fullName=owner, orgName=organization, computerName=_naming(hostname), productId=""),
            guiRunOnce=Spec.GuiRunOnce(commandList=list(run_once)) if run_once else None,
            identification=identification,
        )
        settings = _settings(address, gateway)
        settings.dnsServerList = list(dns)
        spec = Spec.Specification(
            identity=identity,
            globalIPSettings=Spec.GlobalIPSettings(),
            nicSettingMap=[Spec.AdapterMapping(adapter=settings)],
            options=Spec.WinOptions(changeSID=True, deleteAccounts=False, reboot="reboot"),
        )
        return self._create(name, description, "Windows", spec)

    @vsphere.operation(kind="change")
    def customization_create_cloudinit(
        self, name: str, metadata: BinaryIO, userdata: BinaryIO, description: str = ""
    ) -> Customization:
        """Create a specification for guests with cloud-init, which has also to be allowed in the guest's VMware Tools.

        Args:
            name: its name.
            metadata: a file with cloud-init's metadata in YAML or JSON: instance-id, local-hostname, network.
            userdata: a file with cloud-init's user data, such as #cloud-config.
            description: what it is for.
        """
        self._require_version("7.0.3", "specifications for cloud-init")
        texts = {}
        for field, file in (("metadata", metadata), ("userdata", userdata)):
            try:
                texts[field] = file.read(LARGEST + 1).decode()
            except UnicodeDecodeError as error:
                raise InvalidSpecError("invalid file", problems=[SpecProblem(field, "no text", "text in UTF-8")]) from error
            if len(texts[field]) > LARGEST:
                raise InvalidSpecError("invalid file", problems=[SpecProblem(field, "too long", f"at most {LARGEST} bytes")])
        spec = Spec.Specification(
            identity=Spec.CloudinitPrep(metadata=texts["metadata"], userdata=texts["userdata"]),
            globalIPSettings=Spec.GlobalIPSettings(),
            options=Spec.LinuxOptions(),
        )
        return self._create(name, description, "Linux", spec)

    @vsphere.operation(kind="job", locks="vm")
    def vm_customize(self, vm: str, specification: str, job: Job[VMDetails]) -> VMDetails:
        """Apply a customization specification to a stopped VM. The guest changes at its next start.

        NICs that the specification has no settings for use DHCP.

        Args:
            vm: its name, path or id.
            specification: the name of the specification.
        """
        thing = self._connection.inventory.find(vm)
        fitted = self._fitted(specification, thing)
        self._run(vm, lambda: thing.CustomizeVM_Task(fitted), job)
        return details_of(self._connection, thing)

    @vsphere.operation(kind="job", locks="vm")
    def vm_clone_customized(
        self, vm: str, name: str, specification: str, job: Job[VMDetails], linked: bool = False, start: bool = False
    ) -> VMDetails:
        """Clone a VM and customize the copy. Its guest changes at its first start.

        Args:
            vm: the VM that is copied.
            name: the copy's name.
            specification: the name of the customization specification.
            linked: share the disks of a snapshot, which is taken when there is none.
            start: start the copy.
        """
        connection = self._connection
        thing = connection.inventory.find(vm)
        refuse_taken(connection, name, None)
        fitted = self._fitted(specification, thing)
        read = connection.read(thing, ["config.hardware.device"])
        config = vim.vm.ConfigSpec(deviceChange=new_addresses(read.get("config.hardware.device") or ()))
        made = clone(connection, thing, vm, name, linked=linked, job=job, config=config, customization=fitted)
        try:
            job.raise_if_cancelled()
            apply_tags(connection, made, name, read_vm(connection, thing).tags or ())
            if start:
                self._run(name, lambda: made.PowerOnVM_Task(None))
            return details_of(connection, made)
        except BaseException:
            with suppress(NovaCronError):
                self._run(name, made.PowerOffVM_Task)
            self._run(name, made.Destroy_Task)
            raise

    @vsphere.operation(kind="change", destroys=True)
    def customization_delete(self, name: str) -> Deleted:
        """Delete a specification."""
        self._named(name)
        with translated(name):
            self._specifications().DeleteCustomizationSpec(name)
        return Deleted(name=name)

    def _create(self, name: str, description: str, kind: str, spec: Any) -> Customization:
        if any(each.name == name for each in self.customization_list()):
            raise AlreadyExistsError(f"a specification {name!r} is already there", resource=name, hint="give another name")
        info = vim.CustomizationSpecInfo(name=name, description=description, type=kind)
        with translated(name):
            self._specifications().CreateCustomizationSpec(vim.CustomizationSpecItem(info=info, spec=spec))
        return self._named(name)

    def _password(self, secret: str) -> Any:
        """Return the value of a secret as the API has passwords; the server encrypts it."""
        return Spec.Password(value=self._connection.secrets.get(secret), plainText=True)

    def _fitted(self, specification: str, thing: Any) -> Any:
        """Return a specification with settings for each NIC of a VM, which vSphere wants; cloud-init has its own."""
        self._named(specification)
        with translated(specification):
            spec = self._specifications().GetCustomizationSpec(specification).spec
        if isinstance(spec.identity, Spec.CloudinitPrep):
            return spec
        devices = self._connection.read(thing, ["config.hardware.device"]).get("config.hardware.device") or ()
        cards = sum(isinstance(device, vim.vm.device.VirtualEthernetCard) for device in devices)
        for _ in range(cards - len(spec.nicSettingMap)):
            spec.nicSettingMap.append(Spec.AdapterMapping(adapter=_settings("", "")))
        return spec

    def _specifications(self) -> Any:
        return self._manager("customizationSpecManager", "customization specifications")

    def _named(self, name: str) -> Customization:
        known = self.customization_list()
        for each in known:
            if each.name == name:
                return each
        names = ", ".join(each.name for each in known) or "none"
        raise NotFoundError(f"no customization specification {name!r}", resource=name, hint=f"there are: {names}")


def _naming(hostname: str) -> Any:
    return Spec.FixedName(name=hostname) if hostname else Spec.VirtualMachineNameGenerator()


def _settings(address: str, gateway: str) -> Any:
    return _fixed(address, gateway) if address else Spec.IPSettings(ip=Spec.DhcpIpGenerator())


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
