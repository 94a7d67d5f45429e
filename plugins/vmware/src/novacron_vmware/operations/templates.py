"""Templates: vSphere's own, with versions. Version 2 of "debian" is the vSphere template "debian-v2"; the facts in it say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidSpecError, SpecProblem, TemplateNotFoundError
from novacron.jobs import Job
from novacron.plugins import hookimpl
from novacron.records.templates import Template
from novacron.records.vm import VM, Deleted
from novacron_vmware.devices import Device, card, disk_records
from novacron_vmware.errors import translated
from novacron_vmware.lifecycle import cloning, creation
from novacron_vmware.lifecycle.checks import check, refuse_taken
from novacron_vmware.names import plain_name
from novacron_vmware.placement import backing, find_placement
from novacron_vmware.records import FACTS_PATH, facts_of, facts_option
from novacron_vmware.sdk import vim
from novacron_vmware.storage.disk_users import refuse_shared
from novacron_vmware.vm_operations import VMOperations

if TYPE_CHECKING:
    from novacron.specs.templates import TemplateSpec
    from novacron.specs.vm import VMSpec

PATHS = ["name", "config.template", "config.annotation", "config.createDate", "config.hardware.device", FACTS_PATH]


class VMwareTemplates(VMOperations):
    """Makes, lists, deploys and deletes templates."""

    @hookimpl
    def template_create(self, vm: str, spec: TemplateSpec, job: Job[Template]) -> Template:
        """Copy a stopped VM into a template, with a snapshot in it that linked VMs begin at."""
        if spec.seal and "seal" in spec.model_fields_set:
            problem = SpecProblem(
                "seal", "true", "false: vSphere seals no guest; cloud-init gives a deployed VM its own identity"
            )
            raise InvalidSpecError(f"can't make a template of {vm!r}", problems=[problem], resource=vm)
        thing, record = self._changing(vm, "make a template of", "stopped")
        connection = self._connection
        version = 1 + max((t.version for t, _ in self._all() if t.name == spec.name), default=0)
        name = spec.name if version == 1 else f"{spec.name}-v{version}"
        refuse_taken(connection, name, None)
        facts = {"template": {"name": spec.name, "version": version}, "tags": sorted(spec.tags)}
        made = cloning.clone(
            connection,
            thing,
            record.name,
            name,
            linked=False,
            job=job,
            facts=facts,
            config=vim.vm.ConfigSpec(annotation=spec.description or None),
        )
        try:
            with translated(name):
                if spec.description:
                    self._reconfigure(made, name, annotation=spec.description)
                connection.wait(made.CreateSnapshot_Task(cloning.BASE, "linked VMs begin here", False, False), resource=name)
                made.MarkAsTemplate()
            job.raise_if_cancelled()
            return self.template_get(spec.name, version)
        except BaseException:
            connection.wait(made.Destroy_Task(), resource=name)
            raise

    @hookimpl
    def template_list(self) -> list[Template]:
        """List the latest versions, those that NovaCron did not make as version 1."""
        latest: dict[str, Template] = {}
        for each, _ in self._all():
            if each.version >= latest.get(each.name, each).version:
                latest[each.name] = each
        return [latest[name] for name in sorted(latest)]

    @hookimpl
    def template_get(self, template: str, version: int | None) -> Template:
        """Return one version."""
        return self._version(template, version)[0]

    @hookimpl
    def template_versions(self, template: str) -> list[Template]:
        """List all versions."""
        self._version(template, None)
        return sorted((each for each, _ in self._all() if each.name == template), key=lambda each: each.version)

    @hookimpl
    def template_update(self, template: str, description: str | None, tags: frozenset[str] | None) -> Template:
        """Change the latest version's description or tags; for tags it is a VM for a moment, as vSphere wants it."""
        found, thing = self._version(template, None)
        with translated(template):
            if description is not None:
                self._reconfigure(thing, template, annotation=description)
            if tags is not None:
                facts = facts_of(self._connection.read(thing, [FACTS_PATH])) | {"tags": sorted(tags)}
                place = find_placement(self._connection, template)
                thing.MarkAsVirtualMachine(place.pool, place.node)
                try:
                    self._reconfigure(thing, template, extraConfig=[facts_option(facts)])
                finally:
                    thing.MarkAsTemplate()
        return self.template_get(template, found.version)

    @hookimpl
    def template_delete(self, template: str, version: int | None) -> Deleted:
        """Delete a version, or all, with their disks. Refused while linked VMs share these."""
        self._version(template, version)
        going = [(each, thing) for each, thing in self._all() if each.name == template and version in (None, each.version)]
        with translated(template):
            for each, thing in going:
                label = f"{template} (version {each.version})"
                refuse_shared(self._connection, thing, label, "delete", each.disks, "delete the linked VMs first")
        with translated(template):
            for _, thing in going:
                self._connection.wait(thing.Destroy_Task(), resource=template)
        return Deleted(name=template, removed=tuple(disk for each, _ in going for disk in each.disks))

    @hookimpl
    def template_deploy(self, template: str, spec: VMSpec, version: int | None, linked: bool, job: Job[VM]) -> VM:
        """Copy a template into a VM. What `spec` gives takes the place of the template's; its disks are added.

        The new VM has an identity of its own for cloud-init; without cloud-init in the guest its host name and keys are the template's.
        """
        check(spec, self._connection)
        found, thing = self._version(template, version)
        connection = self._connection
        refuse_taken(connection, spec.name, str(spec.id) if spec.id else None)
        memory = spec.memory if "memory" in spec.model_fields_set else 0
        place = creation.placement_of(connection, spec, memory=memory)
        given = spec.model_fields_set
        kept = facts_of(connection.read(thing, [FACTS_PATH]))
        facts = {"tags": sorted(spec.tags if "tags" in given else kept.get("tags", ())), "metadata": spec.metadata}
        config = vim.vm.ConfigSpec(
            numCPUs=spec.vcpus if "vcpus" in given else None,
            memoryMB=spec.memory // 2**20 if "memory" in given else None,
            instanceUuid=str(spec.id) if spec.id else None,
            extraConfig=list(creation.seed(spec, self._connection.secrets)),
        )
        made = cloning.clone(
            connection, thing, found.name, spec.name, linked=linked, job=job, config=config, place=place, facts=facts
        )
        try:
            self._apply(made, spec)
        except BaseException:
            creation.undo(connection, made, spec.name)
            raise
        return creation.finish(connection, made, spec, place, job, made_with=0)

    def _apply(self, made: Any, spec: VMSpec) -> None:
        """Set what a clone's configuration can't: description, firmware, NICs."""
        config: dict[str, Any] = {}
        if "description" in spec.model_fields_set:
            config["annotation"] = spec.description
        if spec.nics:
            datacenter = self._connection.datacenter_thing(made)
            devices = self._connection.read(made, ["config.hardware.device"])["config.hardware.device"]
            Change = Device.VirtualDeviceSpec
            old = [Change(operation="remove", device=d) for d in devices if isinstance(d, Device.VirtualEthernetCard)]
            new = [
                Change(operation="add", device=card(nic, backing(self._connection, str(nic.network), datacenter), -10 - number))
                for number, nic in enumerate(spec.nics)
            ]
            config["deviceChange"] = old + new
        if config:
            with translated(spec.name):
                self._reconfigure(made, spec.name, **config)

    def _all(self) -> list[tuple[Template, Any]]:
        found = self._connection.inventory.vms(templates=True)
        read = self._connection.read_all([thing for thing, _ in found], vim.VirtualMachine, PATHS) if found else []
        return [(self._record(each), thing) for thing, each in read if each.get("config.template")]

    def _version(self, template: str, version: int | None) -> tuple[Template, Any]:
        everything = self._all()
        versions = sorted((each for each in everything if each[0].name == template), key=lambda each: each[0].version)
        for each, thing in reversed(versions):
            if version in (None, each.version):
                return each, thing
        what = f"version {version} of the template {template!r}" if versions else f"template {template!r}"
        names = ", ".join(sorted({each.name for each, _ in everything}))
        raise TemplateNotFoundError(f"no {what}", resource=template, hint=f"there are: {names or 'none'}")

    def _record(self, read: dict[str, Any]) -> Template:
        facts = facts_of(read)
        about, created = facts.get("template", {}), read.get("config.createDate")
        return Template(
            name=about.get("name", plain_name(read["name"])),
            host=self._connection.name,
            version=int(about.get("version", 1)),
            description=read.get("config.annotation") or "",
            created_at=created.isoformat() if created else None,
            disks=tuple(
                str(d.source) for d in disk_records(read.get("config.hardware.device") or ()) if d.device == "disk" and d.source
            ),
            tags=frozenset(facts.get("tags", ())),
        )


__all__ = ["VMwareTemplates"]
