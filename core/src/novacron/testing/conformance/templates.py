"""Clones, and templates with their versions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from novacron.errors import AlreadyExistsError, InvalidStateError, TemplateNotFoundError
from novacron.handles.host import HostHandle
from novacron.handles.vm import VMHandle
from novacron.testing.conformance.case import Conformance, needs

TEMPLATES = ("template_create", "template_get", "template_list", "template_versions", "template_delete")


class TestTemplates(Conformance):
    """VMs made from VMs."""

    @pytest.fixture
    def template(self, host: HostHandle, prefix: str) -> Iterator[str]:
        """The name of a template that is deleted after the test."""
        name = f"{prefix}-template"
        yield name
        for left in host.vms.list():
            if left.name.startswith(prefix):
                left.delete(force=True)
        try:
            host.templates.delete(name)
        except TemplateNotFoundError:
            pass

    @needs("vm_clone")
    @pytest.mark.parametrize("linked", [False, True], ids=["whole", "linked"])
    def test_a_clone_is_the_same_with_another_identity(
        self, host: HostHandle, vm_with_disk: VMHandle, prefix: str, linked: bool
    ) -> None:
        """CPUs, memory and disks; other UUID, and it runs beside the first."""
        first = vm_with_disk.refresh().record
        copy = vm_with_disk.clone(f"{prefix}-copy", linked=linked)
        record = copy.record
        assert (record.status, record.vcpus, record.memory_bytes) == ("stopped", first.vcpus, first.memory_bytes)
        assert [d.size_bytes for d in record.disks or ()] == [d.size_bytes for d in first.disks or ()]
        assert not {d.source for d in record.disks or () if d.source} & {d.source for d in first.disks or ()}
        assert record.id != first.id
        assert copy.start().status == vm_with_disk.start().status == "running"
        copy.delete(force=True)
        assert host.vms[first.id].status == "running"

    @needs("vm_clone")
    def test_a_clone_to_a_taken_name_is_refused(self, host: HostHandle, vm: VMHandle) -> None:
        """Also to its own."""
        with pytest.raises(AlreadyExistsError):
            vm.clone(vm.name)
        assert host.vms.list(name=vm.name).total == 1

    @needs(*TEMPLATES)
    def test_a_template_has_versions(self, host: HostHandle, vm_with_disk: VMHandle, template: str) -> None:
        """Made again it is the next one; the VM stays, and a template is no VM."""
        first = host.templates.create(vm_with_disk, template, description="the first", seal=False)
        second = host.templates.create(vm_with_disk, template, seal=False)
        assert (first.version, second.version, first.description) == (1, 2, "the first")
        assert [t.version for t in host.templates.versions(template)] == [1, 2]
        assert [t.version for t in host.templates.list() if t.name == template] == [2]
        assert template not in host.vms
        assert vm_with_disk.refresh().status == "stopped"
        host.templates.delete(template, 2)
        assert host.templates[template].version == 1
        host.templates.delete(template)
        with pytest.raises(TemplateNotFoundError):
            host.templates[template]

    @needs(*TEMPLATES, "template_deploy")
    @pytest.mark.parametrize("linked", [False, True], ids=["whole", "linked"])
    def test_a_vm_is_deployed(self, host: HostHandle, vm_with_disk: VMHandle, template: str, prefix: str, linked: bool) -> None:
        """What is asked for takes the template's place; a linked VM keeps its template alive."""
        host.templates.create(vm_with_disk, template, seal=False)
        vm = host.templates.deploy(template, f"{prefix}-deployed", linked=linked, vcpus=2, description="deployed", start=True)
        assert (vm.status, vm.record.vcpus, vm.record.description) == ("running", 2, "deployed")
        assert vm.record.memory_bytes == vm_with_disk.record.memory_bytes
        if linked and vm_with_disk.record.disks:
            with pytest.raises(InvalidStateError):
                host.templates.delete(template)
        vm.delete(force=True)
        host.templates.delete(template)

    @needs(*TEMPLATES, "template_deploy")
    def test_what_can_t_be_deployed_leaves_nothing(
        self, host: HostHandle, vm_with_disk: VMHandle, template: str, prefix: str
    ) -> None:
        """An unknown template or version, and a taken name."""
        host.templates.create(vm_with_disk, template, seal=False)
        before = {v.name for v in host.vms.list()}
        with pytest.raises(TemplateNotFoundError):
            host.templates.deploy(f"{template}-none", f"{prefix}-x")
        with pytest.raises(TemplateNotFoundError):
            host.templates.deploy(template, f"{prefix}-x", version=9)
        with pytest.raises(AlreadyExistsError):
            host.templates.deploy(template, vm_with_disk.name, linked=False)
        assert {v.name for v in host.vms.list()} == before


__all__ = ["TestTemplates"]
