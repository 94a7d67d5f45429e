"""The handle of a VM."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from novacron.display import html_card
from novacron.errors import InvalidValueError
from novacron.handles.addresses import Address, addresses_of
from novacron.handles.changes import ChangePlan, When, configuration_of, plan_update
from novacron.handles.devices import VMDevices
from novacron.handles.disks import DiskCollection
from novacron.handles.files import new_file
from novacron.handles.following import finish
from novacron.handles.guest import GuestHandle
from novacron.handles.metrics import VMMetricsHandle
from novacron.handles.nics import NICCollection
from novacron.handles.resources import ResourcesHandle
from novacron.handles.snapshots import SnapshotCollection
from novacron.handles.ssh import SSHHandle
from novacron.handles.waiting import wait_for
from novacron.records.appliances import Appliance
from novacron.records.diagnosis import Finding
from novacron.records.guest import ConsoleEndpoint, GuestInfo, Screenshot
from novacron.records.metrics import VMRates, VMUsage
from novacron.records.migration import MigrationCheck
from novacron.records.vm import VM, Deleted, NativeDefinition, Status, VMConfiguration
from novacron.text import printable_line
from novacron.units import parse_duration

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.hookspecs.console import Console
    from novacron.jobs import Job
    from novacron.specs.keywords import MigrationFields, VMUpdateFields


class VMHandle:
    """A VM bound to its host, holding its latest record. Methods do I/O and return the handle; attributes never do.

    Example:
        >>> import novacron
        >>> host = novacron.connect("sim://handles")
        >>> vm = host.vms.create(name="web1", memory="1GiB")
        >>> vm.start().status, vm.suspend().status, vm.stop().status
        ('running', 'suspended', 'stopped')
        >>> vm.delete().name
        'web1'
    """

    _repr_html_ = html_card  # for notebooks

    def __init__(self, host: HostHandle, record: VM) -> None:
        self.host = host
        self.record: VM = record
        self.last_migration: Any = None

    def __repr__(self) -> str:
        return printable_line(f"<VM {self.name} on {self.record.host} {self.status}>")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VMHandle) and (self.id, self.host.name) == (other.id, other.host.name)

    def __hash__(self) -> int:
        return hash((self.id, self.host.name))

    def __dir__(self) -> Iterable[str]:
        return [*sorted(n for n in vars(type(self)) if not n.startswith("_")), "host", "record"]

    @property
    def id(self) -> str:
        """The VM's UUID."""
        return self.record.id

    @property
    def name(self) -> str:
        """The VM's name."""
        return self.record.name

    @property
    def status(self) -> Status:
        """The status in the current record; `refresh()` updates it."""
        return self.record.status

    @property
    def tags(self) -> frozenset[str] | None:
        """The tags in the current record. None means that they were not read; a listing reads them with `detail="full"`."""
        return self.record.tags

    def answer(self, question: str, answer: str) -> VMHandle:
        """Answer a question of the hypervisor that the VM waits for; `host.vms.questions()` lists the questions with their choices.

        Args:
            question: id of the question.
            answer: key or text of one of its choices.
        Returns:
            This handle, with the VM's new record.
        Raises:
            InvalidStateError: the VM does not wait for this question.
            InvalidSpecError: the question has no such choice.
        """
        return self._updated(self.host.invoke("question_answer", vm=self.id, question=question, answer=answer))

    @property
    def disks(self) -> DiskCollection:
        """The VM's disks."""
        return DiskCollection(self)

    @property
    def nics(self) -> NICCollection:
        """The VM's NICs."""
        return NICCollection(self)

    @property
    def host_devices(self) -> VMDevices:
        """The devices of the host that the VM has for itself."""
        return VMDevices(self)

    @property
    def guest(self) -> GuestHandle:
        """The guest operating system, through its agent."""
        return GuestHandle(self)

    @property
    def ssh(self) -> SSHHandle:
        """SSH to the guest: `target()`, `run()`, `upload()`, `download()`."""
        return SSHHandle(self)

    @property
    def snapshots(self) -> SnapshotCollection:
        """The VM's snapshots."""
        return SnapshotCollection(self)

    @property
    def resources(self) -> ResourcesHandle:
        """The VM's CPU, memory and I/O settings."""
        return ResourcesHandle(self)

    def _do(self, operation: str, timeout: float | None = None, **arguments: Any) -> VMHandle:
        self.record = self.host.invoke(operation, timeout, vm=self.id, **arguments)
        return self

    def _updated(self, record: VM) -> VMHandle:
        self.record = record
        return self

    def refresh(self) -> VMHandle:
        """Read the record again. Raises VMNotFoundError if the VM no longer exists."""
        return self._do("vm_get")

    def start(self) -> VMHandle:
        """Start the VM. A saved VM resumes with its saved memory."""
        return self._do("vm_start")

    @overload
    def shutdown(
        self, *, timeout: float | str | timedelta = 60, otherwise: Literal["fail", "stop"] = "fail", wait: Literal[True] = ...
    ) -> VMHandle: ...
    @overload
    def shutdown(
        self, *, timeout: float | str | timedelta = 60, otherwise: Literal["fail", "stop"] = "fail", wait: Literal[False]
    ) -> Job[VMHandle]: ...
    def shutdown(
        self, *, timeout: float | str | timedelta = 60, otherwise: Literal["fail", "stop"] = "fail", wait: bool = True
    ) -> VMHandle | Job[VMHandle]:
        """Ask the guest to shut down. After `timeout` raise OperationTimeoutError, or power it off if `otherwise="stop"`."""
        seconds = parse_duration(timeout)
        return finish(
            self.host,
            "vm_shutdown",
            self._updated,
            wait=wait,
            timeout=seconds + 30,
            vm=self.id,
            seconds=seconds,
            otherwise=otherwise,
        )

    def stop(self) -> VMHandle:
        """Power off the VM at once."""
        return self._do("vm_stop")

    def reboot(self) -> VMHandle:
        """Ask the guest to reboot."""
        return self._do("vm_reboot")

    def reset(self) -> VMHandle:
        """Reset the VM, as a hardware reset button does."""
        return self._do("vm_reset")

    def suspend(self) -> VMHandle:
        """Suspend the VM and keep its memory."""
        return self._do("vm_suspend")

    def resume(self) -> VMHandle:
        """Resume the suspended VM."""
        return self._do("vm_resume")

    @overload
    def save(self, *, wait: Literal[True] = ...) -> VMHandle: ...
    @overload
    def save(self, *, wait: Literal[False]) -> Job[VMHandle]: ...
    def save(self, *, wait: bool = True) -> VMHandle | Job[VMHandle]:
        """Write the VM's memory to disk and power it off."""
        return finish(self.host, "vm_save", self._updated, wait=wait, vm=self.id)

    @overload
    def restore(self, *, wait: Literal[True] = ...) -> VMHandle: ...
    @overload
    def restore(self, *, wait: Literal[False]) -> Job[VMHandle]: ...
    def restore(self, *, wait: bool = True) -> VMHandle | Job[VMHandle]:
        """Resume the VM from its saved memory."""
        return finish(self.host, "vm_restore", self._updated, wait=wait, vm=self.id)

    def delete(self, *, keep_disks: bool = False, force: bool = False) -> Deleted:
        """Delete the VM with everything that was created for it. `force` stops a running VM first."""
        result: Deleted = self.host.invoke("vm_delete", vm=self.id, keep_disks=keep_disks, force=force)
        return result

    def rename(self, name: str) -> VMHandle:
        """Rename the VM."""
        return self._do("vm_rename", name=name)

    @overload
    def clone(self, name: str, *, linked: bool = False, instant: bool = False, wait: Literal[True] = ...) -> VMHandle: ...
    @overload
    def clone(self, name: str, *, linked: bool = False, instant: bool = False, wait: Literal[False]) -> Job[VMHandle]: ...
    def clone(self, name: str, *, linked: bool = False, instant: bool = False, wait: bool = True) -> VMHandle | Job[VMHandle]:
        """Create a stopped copy of the stopped VM, or with `instant` a running copy of the running VM. Returns the copy's handle."""
        wrap: Callable[[Any], VMHandle] = lambda record: VMHandle(self.host, record)  # noqa: E731
        if instant:
            if linked:
                raise InvalidValueError(
                    "a clone that is linked or instant, not both", hint="an instant one shares the disks anyway"
                )
            return finish(self.host, "vm_clone_instant", wrap, wait=wait, vm=self.id, name=name)
        return finish(self.host, "vm_clone", wrap, wait=wait, vm=self.id, name=name, linked=linked)

    @overload
    def migrate_storage(self, pool: str, *disks: str, wait: Literal[True] = ...) -> VMHandle: ...
    @overload
    def migrate_storage(self, pool: str, *disks: str, wait: Literal[False]) -> Job[VMHandle]: ...
    def migrate_storage(self, pool: str, *disks: str, wait: bool = True) -> VMHandle | Job[VMHandle]:
        """Migrate disks to another storage pool; all disks if none is named. A running VM keeps running."""
        return finish(self.host, "vm_migrate_storage", self._updated, wait=wait, vm=self.id, pool=pool, disks=disks)

    def update(self, **changes: Unpack[VMUpdateFields]) -> VMHandle:
        """Change the given fields only; see `VMUpdate`. Hardware fields apply at the next start.

        Raises:
            InvalidSpecError: a field is unknown, or the host or its driver does not support its value.
            InvalidStateError: a field can't be changed while the VM runs.
        """
        from novacron.specs import VMUpdate

        return self._do("vm_update", changes=VMUpdate.parse(changes))

    def plan_update(self, *, when: When = "now", **changes: Unpack[VMUpdateFields]) -> ChangePlan:
        """Return what a change would do: old and new values, and when each applies. `apply()` of the result does it.

        Args:
            when: "now" changes the running VM where it can, and its definition; "live" the running VM only; "next_start" the
                definition only.
            changes: fields of `VMUpdate`.

        Raises:
            InvalidSpecError: a field is unknown, can't be changed, or has an invalid value.
        """
        return plan_update(self, changes, when)

    def configuration(self) -> VMConfiguration:
        """Return the values of the fields of `VMUpdate` for the next start, and the fields for which the running VM differs.

        Example:
            >>> import novacron
            >>> vm = novacron.connect("sim://configurations").vms.create(name="web1", display={"type": "vnc"})
            >>> vm.configuration().fields["display"]
            {'type': 'vnc'}
        """
        return configuration_of(self)

    def autostart(self, enabled: bool = True) -> VMHandle:
        """Start the VM together with its host, or not."""
        return self.update(autostart=enabled)

    def export(self) -> NativeDefinition:
        """Return the hypervisor's native definition."""
        result: NativeDefinition = self.host.invoke("vm_export", vm=self.id)
        return result

    def export_appliance(self, file: str | Path) -> Appliance:
        """Write the stopped VM to a new OVA file, which tools of all hypervisors can read.

        Args:
            file: path of the new file on this machine.
        Raises:
            AlreadyExistsError: the file exists.
            InvalidStateError: the VM is not stopped.
        On failure the file is deleted.
        """
        with new_file(file) as target:
            result: Appliance = self.host.invoke("appliance_export", vm=self.id, target=target)
        return result

    def migration_check(self, to: HostHandle | str, **options: Unpack[MigrationFields]) -> MigrationCheck:
        """Run all pre-checks of a migration. Nothing is changed."""
        from novacron.handles import migration

        return migration.check(self, to, options)

    @overload
    def migrate(self, to: HostHandle | str, *, wait: Literal[True] = ..., **options: Unpack[MigrationFields]) -> VMHandle: ...
    @overload
    def migrate(self, to: HostHandle | str, *, wait: Literal[False], **options: Unpack[MigrationFields]) -> Job[VMHandle]: ...
    def migrate(self, to: HostHandle | str, *, wait: bool = True, **options: Unpack[MigrationFields]) -> VMHandle | Job[VMHandle]:
        """Migrate the VM to another host. Afterwards this handle is the VM on that host, and `last_migration` is the report.

        Args:
            to: the destination: a connected host, or the name of a host in the fleet.
            wait: False returns a Job whose result is this handle.
            options: fields of `MigrationSpec`: live, storage, bandwidth, max_downtime, deadline, ...

        Raises:
            MigrationCheckError: a pre-check failed; `failures` lists all of them.
            MigrationError: the migration failed. The error says where the VM is; with outcome "unknown" it names both hosts.
        """
        from novacron.handles import migration

        return migration.migrate(self, to, options, wait=wait)

    def addresses(self, version: int | None = None) -> list[Address]:
        """Return the IP addresses of the VM's NICs with their source: guest agent, DHCP leases, the host's neighbour table, VMware Tools.

        Example:
            >>> import novacron
            >>> vm = novacron.connect("sim://addresses").vms.create(name="web1", nics=[{"network": "default"}], start=True)
            >>> {address.version for address in vm.addresses()} <= {4, 6}
            True
        """
        return addresses_of(self.refresh(), version=version)

    def diagnose(self) -> list[Finding]:
        """Check the VM: its status, files, process, guest agent, addresses and SSH server. `novacron doctor VM` prints the result.

        Nothing is changed. A check that fails is a finding, no exception.

        Returns:
            One record per check. Warnings and problems have a hint that says how to repair them.

        Raises:
            VMNotFoundError: the VM no longer exists.

        Example:
            >>> import novacron
            >>> vm = novacron.connect("sim://diagnosed-vms").vms.create(name="web1", guest_agent=False, start=True)
            >>> [finding.check for finding in vm.diagnose() if finding.status != "ok"]
            ['guest agent', 'address']
        """
        from novacron.handles.diagnosis import diagnose_vm

        return diagnose_vm(self)

    @overload
    def wait_for(self, condition: Status, *, timeout: float | str = ...) -> Status: ...
    @overload
    def wait_for(self, condition: Literal["agent"], *, timeout: float | str = ...) -> GuestInfo: ...
    @overload
    def wait_for(self, condition: Literal["ip"], *, timeout: float | str = ...) -> list[Address]: ...
    @overload
    def wait_for(self, condition: Literal["ssh", "cloud-init"], *, timeout: float | str = ...) -> str: ...
    @overload
    def wait_for(self, condition: str, *, timeout: float | str = ...) -> Status | GuestInfo | list[Address] | str: ...
    def wait_for(self, condition: str, *, timeout: float | str = "5m") -> Status | GuestInfo | list[Address] | str:
        """Wait until the VM has a status, or its guest is ready.

        Args:
            condition: a status such as "running"; or "agent", "ip", "ssh" or "cloud-init".
            timeout: longest time to wait, in seconds or as text such as "5m".

        Returns:
            The status; or the agent's information, the addresses, the banner of the SSH server, or what cloud-init reports.

        Raises:
            InvalidSpecError: The condition is unknown.
            OperationTimeoutError: The condition did not hold within `timeout`; the message says what was seen last.

        Example:
            >>> import novacron
            >>> novacron.connect("sim://waiting").vms.create(name="web1", start=True).wait_for("running", timeout="5s")
            'running'
        """
        return wait_for(self, condition, timeout=timeout)

    def locked(self, timeout: float | str = "1m") -> AbstractContextManager[None]:
        """Hold the VM's lock during a `with` block, so that several operations are not interleaved with those of others.

        Operations of the block run as usual. Changes that other threads request wait until the block ends. Changes of other processes that
        use the same state directory or PostgreSQL database wait too, except for long operations such as a migration. Reads never wait.

        Args:
            timeout: longest time to wait for the lock, in seconds or as text such as "30s".

        Returns:
            A context manager.

        Raises:
            BusyError: another operation held the lock for all of that time; the message names it.

        Limits: code of the block that runs in threads started by hand counts as other code. A job that the block started with `wait=False`
        keeps the lock until it ends.

        Example:
            >>> import novacron
            >>> vm = novacron.connect("sim://locked").vms.create(name="web1")
            >>> with vm.locked():
            ...     vm.update(vcpus=2).start().status
            'running'
        """
        return self.host.dispatcher.locked(self.id, parse_duration(timeout))

    @property
    def metrics(self) -> VMMetricsHandle:
        """The metrics: `vm.metrics()` measures now, `vm.metrics.history("cpu")` returns what was stored."""
        return VMMetricsHandle(self)

    def rates(self, over: float | str = 1.0) -> VMRates:
        """Measure the VM twice and return its rates per second.

        Args:
            over: time between the two measurements, in seconds or as text such as "5s".
        Example:
            >>> import novacron
            >>> vm = novacron.connect("sim://rates").vms.create(name="web1", vcpus=2, start=True)
            >>> 0 < vm.rates(over=0.05).cpus <= 2
            True
        """
        seconds = parse_duration(over)
        before = self.metrics()
        time.sleep(seconds)
        return self.metrics().since(before)

    def history(self, over: float | str | timedelta = "1h") -> list[VMUsage]:
        """Return the hypervisor's stored metrics of the VM for the last `over`: one record per interval, oldest first.

        Example:
            >>> import novacron
            >>> vm = novacron.connect("sim://history").vms.create(name="web1", start=True)
            >>> vm.history(over="10m")  # it has run for less than one interval
            []
        """
        result: list[VMUsage] = self.host.invoke("metrics_history", vm=self.id, seconds=parse_duration(over))
        return result

    def console(self, *, force: bool = False) -> Console:
        """Open the serial console: `read(timeout)`, `write(data)`, `close()`. `force` disconnects another client."""
        result: Console = self.host.invoke("console_open", vm=self.id, force=force)
        return result

    def screenshot(self) -> Screenshot:
        """Take a screenshot of the first display."""
        result: Screenshot = self.host.invoke("console_screenshot", vm=self.id)
        return result

    def send_keys(self, *keys: str) -> None:
        """Press keys of the keyboard: `vm.send_keys("ctrl-alt-delete")`. `novacron.keys.combinations_of` types a text.

        Raises:
            InvalidSpecError: no such key; none is pressed.
            InvalidStateError: the VM does not run.
        """
        self._do("console_send_keys", keys=keys)

    def display(self) -> ConsoleEndpoint:
        """Return the address of the graphical display."""
        result: ConsoleEndpoint = self.host.invoke("console_endpoint", vm=self.id)
        return result


__all__ = ["VMHandle"]
