"""Migrates a VM to another host; its handle goes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron.handles.following import finish
from novacron.specs import MigrationSpec

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle
    from novacron.jobs import Job
    from novacron.records.migration import MigrationCheck, MigrationReport
    from novacron.specs.keywords import MigrationFields


def check(vm: VMHandle, to: HostHandle | str, options: MigrationFields) -> MigrationCheck:
    """Run the pre-checks of a migration."""
    result: MigrationCheck = vm.host.invoke(
        "migration_check", vm=vm.id, to=vm.host.other(to).destination(), spec=MigrationSpec.parse(options)
    )
    return result


def migrate(vm: VMHandle, to: HostHandle | str, options: MigrationFields, *, wait: bool) -> VMHandle | Job[VMHandle]:
    """Migrate a VM. Afterwards its handle is bound to the destination and has the report."""
    spec, destination = MigrationSpec.parse(options), vm.host.other(to)

    def moved(report: MigrationReport) -> VMHandle:
        vm.host, vm.record, vm.last_migration = destination, report.vm, report
        return vm

    arguments: dict[str, Any] = {"vm": vm.id, "to": destination.destination(), "spec": spec}
    return finish(vm.host, "vm_migrate", moved, wait=wait, timeout=spec.deadline + 60, **arguments)


__all__ = ["check", "migrate"]
