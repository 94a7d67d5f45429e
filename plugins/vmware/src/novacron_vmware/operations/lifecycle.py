"""Listing, creating, changing and deleting VMs. A summary costs one call for what changed since the last one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidSpecError, InvalidStateError, OperationTimeoutError, SpecProblem, UnsupportedOperationError
from novacron.jobs import Job
from novacron.plugins import hookimpl
from novacron.records.questions import Question
from novacron.records.vm import VM, Deleted, NativeDefinition, VMConfiguration
from novacron.specs import VMQuery
from novacron_vmware.autostart import autostarting, set_autostart
from novacron_vmware.errors import translated
from novacron_vmware.lifecycle import definition as definitions
from novacron_vmware.lifecycle.checks import check, megabytes, no_autostart, refuse_taken
from novacron_vmware.lifecycle.cloning import clone, new_addresses
from novacron_vmware.lifecycle.creation import (
    detach_kept_disks,
    finish,
    new_config,
    placement_of,
    refuse_lost_disks,
    remember_kept_disks,
    undo,
)
from novacron_vmware.lifecycle.hardware import Hardware, configuration, fitting_cores, problems_of_update
from novacron_vmware.names import plain_name
from novacron_vmware.placement import find_placement
from novacron_vmware.reconfiguring import reconfigure_vm
from novacron_vmware.records import (
    ATTACHED,
    FACTS_PATH,
    FULL,
    apply_tags,
    facts_of,
    facts_option,
    find_vm,
    full_record,
    summary_record,
    summary_within,
)
from novacron_vmware.sdk import vim
from novacron_vmware.storage.disk_users import disk_files, refuse_users
from novacron_vmware.undoing import undone_on_failure
from novacron_vmware.vm_operations import VMOperations

if TYPE_CHECKING:
    from novacron.specs.vm import VMSpec, VMUpdate

BUSY = ("queued", "running")
"""States of a task that has not ended."""


class VMwareLifecycle(VMOperations):
    """Lists, creates, changes and deletes VMs."""

    @hookimpl
    def vm_list(self, query: VMQuery) -> list[VM]:
        """Read all VMs, templates left out; the first time for a pattern of names, those alone that fit it."""
        connection, folders = self._connection, dict[Any, str | None]()

        def summary(read: dict[str, Any]) -> VM:
            parent = read.get("parentVApp") or read.get("parent")
            if parent not in folders:
                folders[parent] = connection.inventory.folder(read)
            return summary_record(connection.name, read, nodes.get(read.get("runtime.host")), folders[parent])

        if query.detail == "summary" and query.name and (few := connection.inventory.like(query.name)) is not None:
            found, known = few
            return [summary_within(connection, read, known) for _, read in found]
        if query.detail == "summary":
            listed, nodes = connection.inventory.vms(), connection.inventory.nodes()
            return [summary(read) for _, read in listed]
        connection.inventory.refresh()
        nodes = connection.inventory.nodes()
        found = connection.collect(vim.VirtualMachine, FULL)
        found = [(thing, read) for thing, read in found if "name" in read and not read.get("config.template")]
        started, tags = autostarting(connection), connection.tags.of([thing for thing, _ in found])
        groups = connection.group_names()
        return [
            full_record(connection, thing, read, summary(read), started, tags.get(thing, frozenset()), groups)
            for thing, read in found
        ]

    @hookimpl
    def vm_get(self, vm: str) -> VM:
        """Read one VM."""
        return find_vm(self._connection, vm)[1]

    @hookimpl
    def vm_settle(self, vm: str, seconds: float) -> VM:
        """Wait until none of the VM's tasks is queued or running; a task continues after its client has died."""
        thing, deadline = self._find(vm), time.monotonic() + seconds
        while self._busy(thing):
            if time.monotonic() > deadline:
                raise OperationTimeoutError(f"{vm!r} is still busy after {seconds:g} s", resource=vm)
            time.sleep(0.2)
        return self._read(self._find(vm))

    def _busy(self, thing: object) -> bool:
        tasks = self._connection.read(thing, ["recentTask"]).get("recentTask") or ()
        return any(self._connection.read(task, ["info.state"]).get("info.state") in BUSY for task in tasks)

    @hookimpl
    def vm_create(self, spec: VMSpec, job: Job[VM]) -> VM:
        """Create it with its disks and NICs, and start it if asked; destroyed again when a step fails."""
        connection = self._connection
        check(spec, connection)
        refuse_taken(connection, spec.name, str(spec.id) if spec.id else None)
        place = placement_of(connection, spec, memory=spec.memory)
        config = new_config(connection, spec, place)
        job.report("creating", 0.0)
        with translated(spec.name):
            made = connection.wait(
                place.folder.CreateVM_Task(config, place.pool, place.node), resource=spec.name, job=job, part=(0.0, 0.3)
            )
            return finish(connection, made, spec, place, job)

    @hookimpl
    def vm_delete(self, vm: str, keep_disks: bool, force: bool) -> Deleted:
        """Delete a VM with its files. Disks that existed before it are kept, and all disks if asked.

        A VM is not deleted if another VM uses one of its disks, such as a linked clone, or a VM that was registered from its .vmx file.
        """
        thing, record = self._changing(vm, "delete")
        if record.status not in ("stopped", "unknown") and not force:
            raise InvalidStateError(
                f"can't delete {record.name!r}: it is {record.status}",
                resource=record.name,
                hint="stop it first, or give force=True (--force)",
            )
        connection = self._connection
        with translated(record.name):
            keeps = refuse_lost_disks(connection, thing, record.name, everything=keep_disks)
            if record.status not in ("stopped", "unknown"):
                connection.wait(thing.PowerOffVM_Task(), resource=record.name)
            kept = detach_kept_disks(connection, thing, record.name, everything=keep_disks) if keeps else set()
            sources = [d.source for d in record.disks or () if d.source and d.device == "disk"]
            connection.wait(thing.Destroy_Task(), resource=record.name)
        return Deleted(
            name=record.name, id=record.id, removed=tuple(s for s in sources if s not in kept), kept=tuple(sorted(kept))
        )

    @hookimpl
    def vm_clone(self, vm: str, name: str, linked: bool, job: Job[VM]) -> VM:
        """Copy a VM. A linked clone shares the disks of a snapshot, which is taken when there is none.

        A running VM is copied as it is on its disks, like after a power failure; its memory is not part of the copy.
        """
        thing, record = self._changing(vm, "clone", "running", "suspended", "stopped")
        refuse_taken(self._connection, name, None)
        config = vim.vm.ConfigSpec(deviceChange=new_addresses(self._devices(thing)))
        made = clone(self._connection, thing, record.name, name, linked=linked, job=job, config=config)
        with undone_on_failure(name, f"the VM {name!r}", lambda: self._connection.wait(made.Destroy_Task(), resource=name)):
            job.raise_if_cancelled()
            apply_tags(self._connection, made, name, record.tags or ())
            return self._read(made)

    @hookimpl
    def vm_clone_instant(self, vm: str, name: str, job: Job[VM]) -> VM:
        """Let vCenter fork a running VM. An ESXi alone can't. Its tags and metadata are copied."""
        thing, record = self._changing(vm, "clone", "running")
        connection = self._connection
        if connection.is_esxi:
            raise UnsupportedOperationError(
                "only a vCenter makes instant clones",
                resource=record.name,
                outcome="not_sent",
                hint="connect to the vCenter, or stop the VM and clone it",
            )
        refuse_taken(connection, name, None)
        read = connection.read(thing, ["resourcePool", "parent", FACTS_PATH])
        kept = {key: value for key, value in facts_of(read).items() if key in ("tags", "metadata")}
        wanted = vim.vm.InstantCloneSpec(
            name=name,
            location=vim.vm.RelocateSpec(pool=read.get("resourcePool"), folder=read["parent"]),
            config=[facts_option(kept)],
        )
        with translated(record.name):
            made = connection.wait(thing.InstantClone_Task(wanted), resource=record.name, job=job)
        with undone_on_failure(name, f"the VM {name!r}", lambda: undo(connection, made, name)):
            job.raise_if_cancelled()
            apply_tags(connection, made, name, record.tags or ())
            return self._read(made)

    @hookimpl
    def vm_rename(self, vm: str, name: str) -> VM:
        """Rename a stopped VM; its files keep their names until its disks move."""
        thing, record = self._changing(vm, "rename", "stopped")
        refuse_taken(self._connection, name, None)
        with translated(record.name):
            self._connection.wait(thing.Rename_Task(name), resource=record.name)
        return self._read(thing)

    @hookimpl
    def vm_update(self, vm: str, changes: VMUpdate) -> VM:
        """Change only what is given; a running VM's CPUs and memory by hot add, where it was made for that."""
        thing, record = self._changing(vm, "update")
        if changes.autostart is not None and not self._connection.is_esxi:
            raise InvalidSpecError(
                f"a vCenter can't change {record.name!r} so", resource=record.name, problems=[no_autostart(changes.autostart)]
            )
        if record.status != "stopped":
            self._check_hot_add(thing, record, changes)
        ours: set[str] | None = None

        def wanted(read: dict[str, Any]) -> Any:
            nonlocal ours
            config = self._config(thing, record, changes)
            if changes.tags is not None or changes.metadata is not None:
                facts = facts_of(read)
                if ours is not None:  # another client was quicker: what is attached already is still ours
                    facts[ATTACHED] = sorted(ours | set(facts.get(ATTACHED, ())))
                facts = self._changed_facts(thing, record, changes, facts)
                if changes.tags is not None:
                    ours = set(facts[ATTACHED])
                config["extraConfig"] = [*config.get("extraConfig", ()), facts_option(facts)]
            return vim.vm.ConfigSpec(**config) if config else None

        with translated(record.name):
            if changes.model_fields_set - {"autostart"}:
                try:
                    reconfigure_vm(self._connection, thing, record.name, [FACTS_PATH], wanted)
                except BaseException:
                    if ours is not None:
                        self._connection.tags.attach(thing, record.tags or (), record.name, ours=ours)
                    raise
            if changes.autostart is not None:
                set_autostart(self._connection, thing, enabled=changes.autostart)
        return self._read(thing)

    def _config(self, thing: Any, record: VM, changes: VMUpdate) -> dict[str, Any]:
        """Return the fields of a ConfigSpec that changes a VM, as its devices are now."""
        config = self._hardware(thing, record, changes)
        if changes.vcpus is not None and changes.vcpus != record.vcpus:
            config["numCPUs"] = changes.vcpus
            if record.status == "stopped" and changes.topology is None:
                config |= fitting_cores(self._connection.read(thing, ["config"])["config"], changes.vcpus)
        if changes.memory is not None and changes.memory != record.memory_bytes:
            largest = max(
                int(r.get("summary.hardware.memorySize", 0))
                for _, r in self._connection.collect(vim.HostSystem, ["summary.hardware.memorySize"])
            )
            if changes.memory > largest:
                problem = SpecProblem("memory", str(changes.memory), f"at most what a node has, {largest} bytes")
                raise InvalidSpecError(f"no node can run {record.name!r}", resource=record.name, problems=[problem])
            config["memoryMB"] = megabytes(changes.memory, record.name)
        if changes.description is not None:
            config["annotation"] = changes.description
        return config

    def _changed_facts(self, thing: Any, record: VM, changes: VMUpdate, facts: dict[str, Any]) -> dict[str, Any]:
        """Return NovaCron's facts about a VM after a change. Its tags that are vSphere's are attached and detached."""
        merged = {**facts.get("metadata", {}), **(changes.metadata or {})}
        tags = facts.get("tags", [])
        if changes.tags is not None:
            rest, attached = self._connection.tags.attach(thing, changes.tags, record.name, ours=facts.get(ATTACHED, ()))
            tags, facts[ATTACHED] = sorted(rest), sorted(attached)
        return facts | {"tags": tags, "metadata": {key: value for key, value in merged.items() if value is not None}}

    def _hardware(self, thing: Any, record: VM, changes: VMUpdate) -> dict[str, Any]:
        """Return the part of a ConfigSpec that changes a VM's hardware."""
        given = changes.hardware
        if not given:
            return {}
        if record.status != "stopped":
            raise InvalidStateError(
                f"can't change {', '.join(given)} of {record.name!r}: it is {record.status}",
                resource=record.name,
                hint="stop it first: vSphere keeps one configuration, and changes this part of a stopped VM only",
            )
        vcpus = changes.vcpus or record.vcpus
        if changes.topology is not None:
            config = self._connection.read(thing, ["config"])["config"]
            given = given | {"topology": changes.topology.upon(configuration(config)["topology"], vcpus)}
        if problems := list(problems_of_update(given, vcpus)):
            raise InvalidSpecError(f"vSphere can't change {record.name!r} so", resource=record.name, problems=problems)
        hardware = Hardware(self._devices(thing))
        hardware.take(given, record.name)
        return hardware.as_config()

    @hookimpl
    def vm_configuration(self, vm: str) -> VMConfiguration:
        """Read the configuration. vSphere has one, which is also the running VM's."""
        thing = self._find(vm)
        record, config = self._read(thing), self._connection.read(thing, ["config"])["config"]
        known = VMConfiguration.of_record(record)
        return known.replace(fields=known.fields | configuration(config) | {"autostart": bool(record.autostart)})

    def _check_hot_add(self, thing: Any, record: VM, changes: VMUpdate) -> None:
        read = self._connection.read(thing, ["config.cpuHotAddEnabled", "config.memoryHotAddEnabled"])
        for what, now, wanted, able in (
            ("vcpus", record.vcpus, changes.vcpus, read.get("config.cpuHotAddEnabled")),
            ("memory", record.memory_bytes, changes.memory, read.get("config.memoryHotAddEnabled")),
        ):
            if wanted is not None and wanted != now and (wanted < now or not able or record.status != "running"):
                raise InvalidStateError(
                    f"can't give the {record.status} {record.name!r} {what} {wanted}: "
                    + ("less than now" if able else "no hot add"),
                    resource=record.name,
                    hint=f"stop it first, or create it with {what}_max",
                )

    @hookimpl
    def question_list(self) -> list[Question]:
        """List the questions that VMs wait on; a listing has read them."""
        return sorted(self._questions(), key=lambda question: (question.name, question.vm))

    def _questions(self) -> Iterator[Question]:
        waiting = [thing for thing, read in self._connection.inventory.vms() if read.get("runtime.question") is not None]
        paths = ["name", "config.instanceUuid", "runtime.question"]
        for _, read in self._connection.read_all(waiting, vim.VirtualMachine, paths):
            if (asked := read.get("runtime.question")) is not None:
                choices = {choice.key: choice.label or choice.summary or choice.key for choice in asked.choice.choiceInfo or ()}
                default = asked.choice.defaultIndex
                yield Question(
                    vm=read.get("config.instanceUuid", ""),
                    name=plain_name(read["name"]),
                    host=self._connection.name,
                    id=asked.id,
                    text=asked.text.strip(),
                    choices=choices,
                    default=list(choices)[default] if default is not None and 0 <= default < len(choices) else None,
                )

    @hookimpl
    def question_answer(self, vm: str, question: str, answer: str) -> VM:
        """Answer it; vSphere wants the choice's key."""
        thing, record = self._changing(vm, "answer a question of")
        pending = [each for each in self._questions() if each.vm == record.id]
        asked = next((each for each in pending if each.id == question), None)
        if asked is None:
            ids = ", ".join(each.id for each in pending) or "none"
            raise InvalidStateError(
                f"{record.name!r} does not wait on the question {question!r}", resource=record.name, hint=f"it waits on: {ids}"
            )
        keys = [key for key, text in asked.choices.items() if answer in (key, text)]
        if len(keys) != 1:
            allowed = "one of " + ", ".join(f"{key} ({text})" for key, text in asked.choices.items())
            problem = SpecProblem("answer", answer, allowed)
            raise InvalidSpecError(
                f"the question of {record.name!r} has no such answer", resource=record.name, problems=[problem]
            )
        with translated(record.name):
            thing.AnswerVM(asked.id, keys[0])
        return self._read(thing)

    @hookimpl
    def vm_export(self, vm: str) -> NativeDefinition:
        """Return its configuration as vSphere's API writes it: XML of a ConfigSpec, its disks by their files."""
        thing = self._find(vm)
        read = self._connection.read(thing, ["config"])
        return NativeDefinition(
            vm=read["config"].instanceUuid,
            format=definitions.FORMAT,
            text=definitions.written(read["config"], self._connection.api_version),
        )

    @hookimpl
    def vm_import(self, definition: str) -> VM:
        """Make a VM of what `vm_export` wrote; its disks must be there, and no other VM may use them.

        Deleting the VM keeps these disks. A datastore path of a .vmx registers the VM that it is of.
        """
        connection = self._connection
        if definition.strip().startswith("[") and definition.strip().endswith(".vmx"):
            return self._registered(definition.strip())
        config = definitions.parsed(definition)
        refuse_taken(connection, config.name, config.instanceUuid)
        place = find_placement(connection, config.name)
        with translated(config.name):
            disks = disk_files(config)
            for path in sorted(disks):
                refuse_users(connection, path, config.name, place.datacenter)
            made = connection.wait(place.folder.CreateVM_Task(config, place.pool, None), resource=config.name)
            try:
                remember_kept_disks(connection, made, config.name, disks)
                return self._read(made)
            except BaseException:
                made.UnregisterVM()  # destroying it would delete the disks
                raise

    def _registered(self, path: str) -> VM:
        """Take a VM that is on a datastore into the inventory, under the name of its file."""
        name = path.rpartition("/")[2].rpartition("]")[2].strip().removesuffix(".vmx")
        refuse_taken(self._connection, name, None)
        place = find_placement(self._connection, name)
        with translated(name):
            task = place.folder.RegisterVM_Task(path, name, False, place.pool, None)
            return self._read(self._connection.wait(task, resource=name))


__all__ = ["VMwareLifecycle"]
