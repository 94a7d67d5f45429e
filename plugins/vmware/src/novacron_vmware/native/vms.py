"""What vSphere alone knows of a VM: consolidation, hardware version, settings, extra configuration, VMware Tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from novacron.errors import InvalidSpecError, InvalidStateError, SpecProblem
from novacron.jobs import Job
from novacron_vmware.errors import translated
from novacron_vmware.names import plain_name
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.records import Setting, VMDetails
from novacron_vmware.records import FACTS
from novacron_vmware.sdk import vim

if TYPE_CHECKING:
    from novacron_vmware.connection import VMwareConnection

PROPERTIES = ["name", "config.version", "config.guestFullName", "config.extraConfig", "guest.toolsRunningStatus"]
PROPERTIES += ["guest.toolsVersionStatus2", "guest.toolsVersion", "runtime.consolidationNeeded", "runtime.powerState"]
PROPERTIES += ["runtime.connectionState", "runtime.faultToleranceState", "config.files", "config.keyId", "config.bootOptions"]
PROPERTIES += ["config.latencySensitivity", "config.cpuHotAddEnabled", "config.memoryHotAddEnabled"]


class VSphereVMs(NativeOperations):
    """VMs: consolidation, hardware version, settings, extra configuration, VMware Tools."""

    @vsphere.operation(kind="read")
    def vm_details(self, vm: str) -> VMDetails:
        """Show what vSphere alone knows of a VM."""
        return details_of(self._connection, self._vm(vm))

    @vsphere.operation(kind="job", locks="vm", idempotent=True)
    def vm_consolidate(self, vm: str, job: Job[VMDetails]) -> VMDetails:
        """Merge disks that deleted snapshots have left behind."""
        thing = self._vm(vm)
        self._run(vm, thing.ConsolidateVMDisks_Task, job)
        return self.vm_details(vm)

    @vsphere.operation(kind="job", locks="vm")
    def vm_upgrade(self, vm: str, job: Job[VMDetails], version: str | None = None) -> VMDetails:
        """Upgrade a stopped VM's virtual hardware. There is no way back.

        Args:
            vm: its name, path or id.
            version: such as "vmx-19"; the newest by default.
        """
        thing = self._vm(vm)
        if self._connection.read(thing, ["runtime.powerState"]).get("runtime.powerState") != "poweredOff":
            raise InvalidStateError(f"can't upgrade {vm!r} while it runs", resource=vm, hint="stop it first")
        self._run(vm, lambda: thing.UpgradeVM_Task(version), job)
        return self.vm_details(vm)

    @vsphere.operation(kind="read")
    def vm_extra_list(self, vm: str) -> list[Setting]:
        """List a VM's extra configuration. NovaCron's own entry is left out."""
        options = self._connection.read(self._vm(vm), ["config.extraConfig"]).get("config.extraConfig") or ()
        found = [Setting(name=each.key, value=each.value) for each in options if each.key != FACTS]
        return sorted(found, key=lambda each: each.name)

    @vsphere.operation(kind="change", locks="vm", idempotent=True)
    def vm_extra_set(self, vm: str, settings: dict[str, str]) -> list[Setting]:
        """Set entries of a VM's extra configuration; an empty value removes the entry.

        Args:
            vm: its name, path or id.
            settings: KEY=VALUE, one or more.
        """
        if FACTS in settings:
            problem = SpecProblem("settings", FACTS, "another key: this one holds NovaCron's tags and metadata")
            raise InvalidSpecError("that entry is NovaCron's", resource=vm, problems=[problem])
        options = [vim.option.OptionValue(key=key, value=value) for key, value in settings.items()]
        thing = self._vm(vm)
        self._run(vm, lambda: thing.ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=options)))
        return [each for each in self.vm_extra_list(vm) if each.name in settings]

    @vsphere.operation(kind="change", locks="vm", idempotent=True)
    def vm_tools_mount(self, vm: str) -> VMDetails:
        """Put the installer of VMware Tools into a running VM's CD drive."""
        with translated(vm):
            self._vm(vm).MountToolsInstaller()
        return self.vm_details(vm)

    @vsphere.operation(kind="change", locks="vm", idempotent=True)
    def vm_tools_unmount(self, vm: str) -> VMDetails:
        """Take the installer of VMware Tools out of a VM's CD drive."""
        with translated(vm):
            self._vm(vm).UnmountToolsInstaller()
        return self.vm_details(vm)

    @vsphere.operation(kind="job", locks="vm", idempotent=True)
    def vm_tools_upgrade(self, vm: str, job: Job[VMDetails]) -> VMDetails:
        """Upgrade VMware Tools in a running guest that has some. Guests with open-vm-tools upgrade them by their packages."""
        thing = self._vm(vm)
        self._run(vm, lambda: thing.UpgradeTools_Task(None), job)
        return self.vm_details(vm)

    @vsphere.operation(kind="change", locks="vm", idempotent=True)
    def vm_settings(
        self,
        vm: str,
        latency_sensitivity: Literal["low", "normal", "high"] | None = None,
        cpu_hot_add: bool | None = None,
        memory_hot_add: bool | None = None,
        cores_per_numa_node: int | None = None,
        secure_boot: bool | None = None,
        boot_delay: float | None = None,
        enter_setup: bool | None = None,
    ) -> VMDetails:
        """Change settings of a VM that vSphere alone has. What is not given stays. Most need the VM to be stopped.

        Args:
            vm: its name, path or id.
            latency_sensitivity: "high" gives the VM its CPUs alone; it needs full reservations.
            cpu_hot_add: allow to add CPUs while it runs.
            memory_hot_add: allow to add memory while it runs.
            cores_per_numa_node: the cores of a virtual NUMA node; 0 lets vSphere decide.
            secure_boot: start only signed systems; with the firmware uefi.
            boot_delay: seconds before the system starts.
            enter_setup: enter the firmware's setup at the next start, once.
        """
        boot = vim.vm.BootOptions(
            efiSecureBootEnabled=secure_boot,
            bootDelay=None if boot_delay is None else int(boot_delay * 1000),
            enterBIOSSetup=enter_setup,
        )
        spec = vim.vm.ConfigSpec(cpuHotAddEnabled=cpu_hot_add, memoryHotAddEnabled=memory_hot_add)
        if any(each is not None for each in (secure_boot, boot_delay, enter_setup)):
            spec.bootOptions = boot
        if latency_sensitivity is not None:
            spec.latencySensitivity = vim.LatencySensitivity(level=latency_sensitivity)
        if cores_per_numa_node is not None:
            value = str(cores_per_numa_node) if cores_per_numa_node else ""
            spec.extraConfig = [vim.option.OptionValue(key="numa.vcpu.maxPerVirtualNode", value=value)]
        thing = self._vm(vm)
        self._run(vm, lambda: thing.ReconfigVM_Task(spec))
        return self.vm_details(vm)

    def _vm(self, text: str) -> Any:
        return self._connection.inventory.find(text)


def details_of(connection: VMwareConnection, thing: Any) -> VMDetails:
    """Read what vSphere alone knows of a VM."""
    read = connection.read(thing, PROPERTIES)
    boot, latency = read.get("config.bootOptions"), read.get("config.latencySensitivity")
    return VMDetails(
        name=plain_name(read["name"]),
        hardware=read.get("config.version") or "",
        tools=str(read.get("guest.toolsRunningStatus") or ""),
        tools_status=str(read.get("guest.toolsVersionStatus2") or ""),
        tools_version=read.get("guest.toolsVersion") or None,
        needs_consolidation=bool(read.get("runtime.consolidationNeeded")),
        guest=read.get("config.guestFullName") or "",
        connection=str(read.get("runtime.connectionState") or ""),
        file=getattr(read.get("config.files"), "vmPathName", None) or "",
        encrypted=read.get("config.keyId") is not None,
        fault_tolerance=str(read.get("runtime.faultToleranceState") or "notConfigured"),
        latency_sensitivity=str(getattr(latency, "level", None) or "normal"),
        cpu_hot_add=bool(read.get("config.cpuHotAddEnabled")),
        memory_hot_add=bool(read.get("config.memoryHotAddEnabled")),
        secure_boot=bool(getattr(boot, "efiSecureBootEnabled", None)),
        boot_delay_ms=int(getattr(boot, "bootDelay", None) or 0),
        enter_setup=bool(getattr(boot, "enterBIOSSetup", None)),
        cores_per_numa_node=_cores_per_node(read),
        extra={each.key: str(each.value) for each in read.get("config.extraConfig") or ()},
    )


def _cores_per_node(read: dict[str, Any]) -> int | None:
    """Return how many cores a virtual NUMA node has, where it is set; vSphere decides otherwise."""
    found = [each.value for each in read.get("config.extraConfig") or () if each.key == "numa.vcpu.maxPerVirtualNode"]
    return int(found[0]) if found and str(found[0]).isdigit() else None


__all__ = ["VSphereVMs", "details_of"]
