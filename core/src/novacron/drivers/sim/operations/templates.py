"""Templates: versioned copies of VMs."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from novacron.drivers.sim.area import Area, simulated
from novacron.drivers.sim.operations.lifecycle import add_made, check_spec
from novacron.drivers.sim.state.broadcast import now
from novacron.drivers.sim.state.copying import copied_vm
from novacron.drivers.sim.state.disks import make_disk, remove_volume
from novacron.drivers.sim.state.hardware import settings
from novacron.drivers.sim.state.machine import SimVM
from novacron.drivers.sim.state.nics import make_nic
from novacron.errors import InvalidStateError, TemplateNotFoundError
from novacron.jobs import Job
from novacron.records.templates import Template
from novacron.records.vm import VM, Deleted

if TYPE_CHECKING:
    from novacron.specs.templates import TemplateSpec
    from novacron.specs.vm import VMSpec

SECRETS = ("/etc/machine-id", "/etc/ssh/ssh_host_", "/var/lib/dhcp/")
"""Files of a guest that a sealed template has not: they must differ between VMs."""


class SimTemplate:
    """One version of a template. `vm` is the VM to deploy; its volumes belong to the template."""

    __slots__ = ("created_at", "description", "name", "tags", "version", "vm")

    def __init__(self, name: str, version: int, vm: SimVM, description: str, tags: frozenset[str]) -> None:
        self.name, self.version, self.vm, self.description, self.tags = name, version, vm, description, tags
        self.created_at = now()

    def record(self, host: str) -> Template:
        """Return the record."""
        return Template(
            name=self.name,
            host=host,
            version=self.version,
            description=self.description,
            created_at=self.created_at,
            disks=tuple(disk.target for disk in self.vm.disks),
            tags=self.tags,
        )

    def places(self) -> frozenset[tuple[str, str]]:
        """Return its volumes."""
        return self.vm.made


class SimTemplates(Area):
    """Creates, lists, changes, deletes and deploys templates."""

    @simulated
    def template_create(self, vm: str, spec: TemplateSpec, job: Job[Template]) -> Template:
        """Copy a stopped VM."""
        with ExitStack() as undo:
            with self.world.lock:
                source = self.changing(vm, "make a template of", "stopped")
                versions = self.world.templates.get(spec.name, [])
                number = versions[-1].version + 1 if versions else 1
                job.report("copying disks", 0.0)
                copy = copied_vm(self.world, source, f"template-{spec.name}-v{number}", linked=False, undo=undo)
                if spec.seal:
                    copy.files = {path: data for path, data in copy.files.items() if not path.startswith(SECRETS)}
            self.checkpoint("template_create", source.name, source.id, job=job)
            job.raise_if_cancelled()
            with self.world.lock:
                undo.pop_all()
                made = SimTemplate(spec.name, number, copy, spec.description, spec.tags)
                self.world.templates.setdefault(spec.name, []).append(made)
                job.report("done", 1.0)
                return made.record(self.connection.name)

    @simulated
    def template_list(self) -> list[Template]:
        """List the latest versions."""
        with self.world.lock:
            return [versions[-1].record(self.connection.name) for _, versions in sorted(self.world.templates.items())]

    @simulated
    def template_get(self, template: str, version: int | None) -> Template:
        """Return one version."""
        with self.world.lock:
            return self._find(template, version).record(self.connection.name)

    @simulated
    def template_versions(self, template: str) -> list[Template]:
        """List all versions."""
        with self.world.lock:
            self._find(template, None)
            return [each.record(self.connection.name) for each in self.world.templates[template]]

    @simulated
    def template_update(self, template: str, description: str | None, tags: frozenset[str] | None) -> Template:
        """Change the latest version's description or tags."""
        with self.world.lock:
            sim_template = self._find(template, None)
            sim_template.description = sim_template.description if description is None else description
            sim_template.tags = sim_template.tags if tags is None else tags
            return sim_template.record(self.connection.name)

    @simulated
    def template_delete(self, template: str, version: int | None) -> Deleted:
        """Delete a version, or all of them, with their volumes."""
        with self.world.lock:
            self._find(template, version)
            versions = self.world.templates[template]
            going = [each for each in versions if version in (None, each.version)]
            for each in going:
                users = [
                    user for place in each.places() for user in self.world.users(place) if user != f"the template {template!r}"
                ]
                if users:
                    raise InvalidStateError(
                        f"can't delete version {each.version} of the template {template!r}: {', '.join(users)} shares its content",
                        resource=template,
                        hint="delete the linked VMs first",
                    )
            removed = []
            for each in going:
                versions.remove(each)
                removed += [path for place in sorted(each.places()) if (path := remove_volume(self.world, place))]
            if not versions:
                del self.world.templates[template]
            return Deleted(name=template, removed=tuple(removed))

    @simulated
    def template_deploy(self, template: str, spec: VMSpec, version: int | None, linked: bool, job: Job[VM]) -> VM:
        """Copy the template's VM. The given fields of `spec` replace the template's; its disks are added."""
        self.refuse_unknown_secrets(*(disk.encryption for disk in spec.disks))
        with ExitStack() as undo:
            with self.world.lock:
                sim_template = self._find(template, version)
                check_spec(self.world, spec)
                job.report("copying disks", 0.0)
                vm = copied_vm(self.world, sim_template.vm, spec.name, linked=linked, undo=undo)
                self._apply(vm, spec, undo)
            self.checkpoint("template_deploy", template, job=job)
            job.raise_if_cancelled()
            with self.world.lock:
                add_made(self.world, vm, undo, started=spec.start)
                job.report("done", 1.0)
                return self.record(vm)

    def _apply(self, vm: SimVM, spec: VMSpec, undo: ExitStack) -> None:
        given = spec.model_fields_set
        vm.id = str(spec.id or vm.id)
        for field in given & {"vcpus", "memory", "tags", "description", "firmware", "arch", "machine", "autostart"}:
            setattr(vm, field, getattr(spec, field))
        vm.vcpus_max = max(spec.vcpus_max or 0, vm.vcpus)
        vm.memory_max = max(spec.memory_max or 0, vm.memory)
        vm.metadata |= spec.metadata
        vm.native |= dict(spec.native) | ({"tpm": spec.tpm} if "tpm" in given else {})
        vm.hardware |= settings(spec)
        vm.agent = spec.guest_agent if "guest_agent" in given else vm.agent
        vm.max_memory = spec.max_memory or vm.max_memory
        vm.iothreads = tuple(range(1, spec.iothreads + 1)) if "iothreads" in given else vm.iothreads
        if spec.nics:
            for old in vm.nics:
                vm.options.pop(old.mac, None)
            vm.nics = tuple(make_nic(self.world, nic) for nic in spec.nics)
            vm.filters = {nic.mac: asked.filter for nic, asked in zip(vm.nics, spec.nics, strict=True) if asked.filter}
            vm.options |= {nic.mac: settings(asked) for nic, asked in zip(vm.nics, spec.nics, strict=True) if settings(asked)}
        for asked in spec.disks:
            disk, place = make_disk(self.world, spec.name, asked, {each.target for each in vm.disks}, undo)
            vm.disks += (disk,)
            vm.options |= {disk.target: settings(asked)} if settings(asked) else {}
            vm.made |= {place} if place else set()

    def _find(self, template: str, version: int | None) -> SimTemplate:
        versions: list[SimTemplate] = self.world.templates.get(template, [])
        found = next((each for each in reversed(versions) if version in (None, each.version)), None)
        if found is None:
            what = f"version {version} of the template {template!r}" if versions else f"template {template!r}"
            raise TemplateNotFoundError(
                f"no {what}", resource=template, hint=f"there are: {', '.join(sorted(self.world.templates)) or 'none'}"
            )
        return found


__all__ = ["SECRETS", "SimTemplate", "SimTemplates"]
