"""Migration of VMs between hosts."""

from __future__ import annotations

import pytest

from novacron.errors import MigrationCheckError, VMNotFoundError
from novacron.handles.host import HostHandle
from novacron.handles.vm import VMHandle
from novacron.testing.conformance.case import Conformance, Create, needs
from novacron.testing.target import Target

BOTH = ("migration_check", "vm_migrate")


class TestMigration(Conformance):
    """After each migration exactly one host has the VM."""

    @pytest.fixture
    def other(self, target: Target) -> HostHandle:
        """The destination host."""
        if target.other is None:
            pytest.skip("the target has no other host")
        return target.other

    @needs(*BOTH)
    def test_a_running_vm_runs_there(self, host: HostHandle, other: HostHandle, create: Create) -> None:
        """The VM is unchanged at the destination. The handle is the VM there, and the report names both hosts."""
        vm = create(tags={"moving"}, metadata={"owner": "ann"}, description="it moves", start=True)
        before = vm.refresh().record
        assert vm.migration_check(other).ok
        vm.migrate(other)
        try:
            assert (vm.host, vm.status, vm.id) == (other, "running", before.id)
            now = other.vms[before.id].record
            assert (now.tags, now.metadata, now.description) == (before.tags, before.metadata, before.description)
            assert (now.vcpus, now.memory_bytes) == (before.vcpus, before.memory_bytes)
            assert (vm.last_migration.source, vm.last_migration.destination) == (host.name, other.name)
            with pytest.raises(VMNotFoundError):
                host.vms[before.id]
        finally:
            other.vms[before.id].delete(force=True)

    @needs(*BOTH)
    def test_it_comes_back(self, host: HostHandle, other: HostHandle, create: Create) -> None:
        """A VM that is migrated back is at its first host, unchanged."""
        vm = create(start=True)
        vm.migrate(other)
        vm.migrate(host)
        assert host.vms[vm.id].status == "running"
        assert vm.id not in other.vms

    @needs(*BOTH)
    def test_a_stopped_vm_moves_too(self, host: HostHandle, other: HostHandle, vm: VMHandle) -> None:
        """A stopped VM stays stopped, and starts at the destination."""
        vm.migrate(other, live=False)
        try:
            assert other.vms[vm.id].status == "stopped"
            assert vm.id not in host.vms
            assert vm.start().status == "running"
        finally:
            other.vms[vm.id].delete(force=True)

    @needs(*BOTH)
    def test_what_stands_against_it_is_said_before(self, host: HostHandle, other: HostHandle, create: Create) -> None:
        """A VM of that name is there already: the check changes nothing, the migration is refused, both VMs stay."""
        vm = create(start=True)
        taken = other.vms.create(name=vm.name, memory="64MiB")
        try:
            assert not vm.migration_check(other).ok
            with pytest.raises(MigrationCheckError) as caught:
                vm.migrate(other)
            assert caught.value.failures
            assert host.vms[vm.id].status == "running"
            assert other.vms[vm.name].id == taken.id
        finally:
            taken.delete()


__all__ = ["TestMigration"]
