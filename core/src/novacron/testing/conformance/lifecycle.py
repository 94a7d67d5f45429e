"""Create, change, clone, export and delete VMs."""

from __future__ import annotations

import uuid

import pytest

from novacron.errors import AlreadyExistsError, VMNotFoundError
from novacron.handles.host import HostHandle
from novacron.handles.vm import VMHandle
from novacron.records.host import Capabilities
from novacron.testing.conformance.case import MORE_ARGUMENTS, Conformance, Create, needs, skip_unless_offered
from novacron.testing.target import Target

OF_ONE_VM = [
    "vm_get",
    "vm_start",
    "vm_stop",
    "vm_delete",
    "vm_shutdown",
    "vm_reboot",
    "vm_reset",
    "vm_suspend",
    "vm_resume",
    "vm_save",
    "vm_restore",
    "vm_configuration",
    "vm_export",
    "snapshot_list",
    "metrics_vm",
    "metrics_history",
    "resources_get",
]


class TestLifecycle(Conformance):
    """VMs are created, changed, cloned and deleted."""

    def test_created_vm_is_as_asked_and_stopped(self, host: HostHandle, create: Create, target: Target, prefix: str) -> None:
        """The returned record has what the spec asked for; UUID and name find the same VM."""
        spec = target.new_vm(prefix)
        vm = create(prefix, description="a VM of the conformance suite")
        record = vm.record
        assert (record.name, record.host, record.status) == (prefix, host.name, "stopped")
        assert str(uuid.UUID(record.id)) == record.id, "the id is a UUID in its usual form"
        assert (record.vcpus, record.memory_bytes) == (spec.vcpus, spec.memory)
        assert record.persistent
        assert record.description == "a VM of the conformance suite"
        assert record.disks is not None
        assert len(record.disks) >= len(spec.disks)
        assert record.nics is not None
        assert len(record.nics) == len(spec.nics)
        assert host.vms[prefix].record == host.vms[record.id].record == record

    def test_vm_gets_the_asked_uuid(self, create: Create) -> None:
        """A UUID in the spec is kept."""
        asked = uuid.uuid4()
        assert create(id=asked).id == str(asked)

    def test_vm_is_started_when_asked(self, host: HostHandle, create: Create) -> None:
        """`start=True` creates it running."""
        vm = create(start=True)
        assert vm.status == "running"
        assert host.vms[vm.id].status == "running"

    @pytest.mark.parametrize("operation", OF_ONE_VM)
    @pytest.mark.parametrize("named_by", ["name", "uuid"])
    def test_unknown_vm_is_not_found(self, host: HostHandle, capabilities: Capabilities, operation: str, named_by: str) -> None:
        """Every operation on a VM that is not there raises VMNotFoundError."""
        skip_unless_offered(capabilities, operation)
        unknown = "conform-nobody" if named_by == "name" else str(uuid.uuid4())
        with pytest.raises(VMNotFoundError) as caught:
            host.invoke(operation, vm=unknown, **MORE_ARGUMENTS.get(operation, {}))
        assert caught.value.hint

    @pytest.mark.parametrize(
        "shape",
        ["{}", "_{}", "0{}", "{}.with.dots", "{}+plus", "{}_", "{}-", "UPPER-{}", "{:x<128}"],
        ids=lambda value: str(value),
    )
    def test_every_valid_name_works(self, host: HostHandle, create: Create, prefix: str, shape: str) -> None:
        """Names may begin and end with any valid character, and have the full length."""
        name = shape.format(prefix)
        vm = create(name)
        assert vm.name == name
        assert host.vms[name].id == vm.id
        assert vm.start().name == name
        vm.delete(force=True)
        assert name not in host.vms

    def test_a_name_like_a_uuid_does_not_hide_the_vm_with_that_uuid(self, host: HostHandle, create: Create) -> None:
        """A UUID wins over a name, or such a name is refused."""
        first = create()
        try:
            second = create(first.id)
        except AlreadyExistsError:
            return
        assert host.vms[first.id].id == first.id
        assert host.vms[second.id].name == first.id

    def test_taken_name_is_refused_and_the_first_stays(self, host: HostHandle, create: Create, vm: VMHandle) -> None:
        """A taken name raises AlreadyExistsError, and the VM of that name is unchanged, running or not."""
        vm.start()
        with pytest.raises(AlreadyExistsError) as caught:
            create(vm.name)
        assert caught.value.outcome != "unknown"
        assert host.vms[vm.name].id == vm.id
        assert host.vms[vm.name].status == "running"
        assert host.vms.list(name=vm.name).total == 1

    def test_taken_uuid_is_refused(self, host: HostHandle, create: Create, vm: VMHandle, prefix: str) -> None:
        """Two VMs never have one UUID."""
        with pytest.raises(AlreadyExistsError):
            create(f"{prefix}-other", id=vm.id)
        assert f"{prefix}-other" not in host.vms
        assert host.vms[vm.id].name == vm.name

    def test_deleted_vm_is_gone(self, host: HostHandle, vm: VMHandle) -> None:
        """The result names the VM. Neither name, UUID nor listing finds it; deleting it again raises VMNotFoundError."""
        gone = vm.delete()
        assert (gone.name, gone.id) == (vm.name, vm.id)
        assert vm.name not in host.vms
        assert vm.id not in host.vms
        assert vm.name not in {v.name for v in host.vms.list()}
        with pytest.raises(VMNotFoundError):
            vm.delete()

    def test_force_deletes_a_running_vm(self, host: HostHandle, running: VMHandle) -> None:
        """A running VM is stopped before it is deleted."""
        running.delete(force=True)
        assert running.name not in host.vms

    def test_a_name_is_free_again_after_deleting(self, create: Create, vm: VMHandle) -> None:
        """The name of a deleted VM can be used again, for a VM with another UUID."""
        vm.delete()
        assert create(vm.name).id != vm.id

    @needs("vm_update")
    def test_update_changes_only_what_is_named(self, host: HostHandle, create: Create) -> None:
        """Description, tags and metadata change one by one; the rest of the record is unchanged."""
        vm = create(description="before", tags={"one"}, metadata={"owner": "ann", "cost": "7"})
        before = vm.record
        assert vm.update(description="after").record == before.replace(description="after")
        assert vm.update(tags={"two", "three"}).tags == frozenset({"two", "three"})
        vm.update(metadata={"owner": "bob", "cost": None, "site": "x"})
        assert vm.record.metadata == {"owner": "bob", "site": "x"}
        assert vm.record == before.replace(description="after", tags=frozenset({"two", "three"}), metadata=vm.record.metadata)
        assert host.vms[vm.id].record == vm.record

    @needs("vm_update")
    def test_facts_survive_start_and_stop(self, create: Create) -> None:
        """Tags, metadata and description travel with the VM."""
        vm = create(description="d", tags={"t"}, metadata={"k": "v"})
        for record in (vm.start().refresh().record, vm.stop().refresh().record):
            assert (record.description, record.tags, record.metadata) == ("d", frozenset({"t"}), {"k": "v"})

    @needs("vm_update")
    def test_size_of_a_stopped_vm_changes(self, host: HostHandle, vm: VMHandle) -> None:
        """The VM has the vCPUs and memory that were asked for, and starts with them."""
        memory = vm.record.memory_bytes * 2
        record = vm.update(vcpus=2, memory=memory).record
        assert (record.vcpus, record.memory_bytes) == (2, memory)
        assert vm.start().refresh().record.vcpus == 2

    @needs("vm_configuration", "vm_update")
    def test_the_configuration_has_what_was_changed(self, vm: VMHandle) -> None:
        """Its fields are those of `VMUpdate`, and a planned change that is done leaves nothing to change."""
        from novacron.specs import VMUpdate

        before = vm.configuration()
        assert set(before.fields) <= set(VMUpdate.model_fields)
        vm.plan_update(description="changed", watchdog="reset").apply()
        assert (vm.configuration().fields["description"], vm.configuration().fields["watchdog"]) == ("changed", "reset")
        assert not len(vm.plan_update(description="changed", watchdog="reset"))
        vm.plan_update(watchdog=None, description="").apply()
        assert vm.configuration() == before

    @needs("vm_rename")
    def test_renamed_vm_keeps_its_uuid(self, host: HostHandle, vm: VMHandle, prefix: str) -> None:
        """The old name is free, the new one finds the same VM."""
        old, new = vm.name, f"{prefix}-renamed"
        assert vm.rename(new).name == new
        assert host.vms[new].id == vm.id
        assert old not in host.vms

    @needs("vm_rename")
    def test_renaming_to_a_taken_name_is_refused(self, host: HostHandle, create: Create) -> None:
        """Both VMs keep their names."""
        one, two = create(), create()
        with pytest.raises(AlreadyExistsError):
            two.rename(one.name)
        assert {host.vms[one.id].name, host.vms[two.id].name} == {one.name, two.name}

    @needs("vm_clone")
    def test_clone_is_another_vm_of_the_same_size(self, host: HostHandle, vm: VMHandle, prefix: str) -> None:
        """It has a new UUID, new MAC addresses and its own disks, and is stopped."""
        copy = vm.clone(f"{prefix}-copy")
        assert copy.id != vm.id
        assert (copy.status, copy.record.vcpus, copy.record.memory_bytes) == ("stopped", vm.record.vcpus, vm.record.memory_bytes)
        assert not {n.mac for n in copy.record.nics or ()} & {n.mac for n in vm.record.nics or ()}
        ours = {d.source for d in vm.record.disks or () if d.source and not d.read_only}
        assert not {d.source for d in copy.record.disks or ()} & ours
        with pytest.raises(AlreadyExistsError):
            vm.clone(copy.name)

    @needs("vm_clone_instant")
    def test_instant_clone_runs_beside_its_original(self, host: HostHandle, running: VMHandle, prefix: str) -> None:
        """Both run; the copy has a new UUID, new MAC addresses and disks of its own. A taken name is refused."""
        copy = running.clone(f"{prefix}-copy", instant=True)
        assert (copy.status, running.refresh().status) == ("running", "running")
        assert copy.id != running.id
        assert (copy.record.vcpus, copy.record.memory_bytes) == (running.record.vcpus, running.record.memory_bytes)
        assert not {n.mac for n in copy.record.nics or ()} & {n.mac for n in running.record.nics or ()}
        ours = {d.source for d in running.record.disks or () if d.source and not d.read_only}
        assert not {d.source for d in copy.record.disks or ()} & ours
        with pytest.raises(AlreadyExistsError):
            running.clone(copy.name, instant=True)

    @needs("vm_preview", "vm_export")
    def test_previewed_definition_is_the_one_that_is_created(self, host: HostHandle, target: Target, prefix: str) -> None:
        """Nothing is created by a preview, and it names the disks that the VM gets. A name that is taken is refused."""
        spec = target.new_vm(prefix)
        preview = host.vms.preview(spec)
        assert prefix not in host.vms
        assert host.vms.preview(spec).format == preview.format
        vm = host.vms.create(spec)
        try:
            assert vm.export().format == preview.format
            assert [d.source for d in vm.record.disks or () if d.source and d.source not in preview.text] == []
            with pytest.raises(AlreadyExistsError):
                host.vms.preview(spec)
        finally:
            vm.delete()

    @needs("vm_export", "vm_import")
    def test_exported_definition_brings_the_vm_back(self, host: HostHandle, create: Create, vm: VMHandle) -> None:
        """Export, delete with disks kept, import: the same VM."""
        before, definition = vm.record, vm.export()
        with pytest.raises(AlreadyExistsError):
            host.vms.import_definition(definition.text)
        vm.delete(keep_disks=True)
        after = host.vms.import_definition(definition.text)
        assert (after.id, after.name, after.record.memory_bytes) == (before.id, before.name, before.memory_bytes)
        assert after.record.disks == before.disks


__all__ = ["TestLifecycle"]
