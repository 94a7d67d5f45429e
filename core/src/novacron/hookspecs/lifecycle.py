"""The life cycle of a VM: create, find, change, clone, export, import, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from novacron.hookspecs.operation import operation
from novacron.jobs import Job
from novacron.records.questions import Question
from novacron.records.vm import VM, Deleted, NativeDefinition, VMConfiguration

if TYPE_CHECKING:
    from novacron.specs import VMQuery, VMSpec, VMUpdate


@operation(kind="job", mandatory=True, locks="spec")
def vm_create(spec: VMSpec, job: Job[VM]) -> VM:
    """Create a VM with its disks, and start it if `spec.start` is true.

    Args:
        spec: The VM.
        job: Reports the progress of disk copies.
    Returns:
        The full record.
    Raises:
        AlreadyExistsError: the host has a VM of that name or UUID.
        DiskLockedError: another VM has the file of a disk, or an image is a disk that a VM can write to.
        InvalidStateError: a volume or a template needs the content of a disk.
        InvalidSpecError: the host does not support a field or value of the spec.
        ImageNotFoundError: an image, ISO or kernel does not exist.
        NetworkNotFoundError: a network does not exist.
        StoragePoolNotFoundError: a storage pool does not exist.
        ResourceAllocationError: there is too little space or memory.

    On failure nothing of the VM remains: no definition, volume, NVRAM or seed image.
    """
    raise NotImplementedError


@operation(kind="read")
def vm_preview(spec: VMSpec) -> NativeDefinition:
    """Return the definition that `vm_create` would write for a spec, and create nothing.

    The spec is checked as `vm_create` checks it. What the hypervisor chooses when it stores a VM, such as its UUID, is not part of the
    definition.

    Args:
        spec: The VM.
    Returns:
        The definition and its format. Its `vm` is the name in the spec.
    Raises:
        AlreadyExistsError: the host has a VM of that name or UUID.
        InvalidSpecError: the host does not support a field or value of the spec.
        ImageNotFoundError: an image, ISO or kernel does not exist.
        NetworkNotFoundError: a network does not exist.
        StoragePoolNotFoundError: a storage pool does not exist.
    """
    raise NotImplementedError


@operation(kind="read", mandatory=True)
def vm_get(vm: str) -> VM:
    """Return the full record of one VM.

    Args:
        vm: UUID or name. If one VM's name is another VM's UUID, the UUID is used.
    Returns:
        The record with disks, NICs and facts.
    Raises:
        VMNotFoundError: the host has no such VM.
    """
    raise NotImplementedError


@operation(kind="read", mandatory=True)
def vm_list(query: VMQuery) -> Sequence[VM]:
    """Return the VMs of the host, in any order.

    The dispatcher filters, sorts and pages. A driver may use `query` to read less, and may return more than the query selects.
    If `query.detail` is "summary", the number of calls to the hypervisor must not grow with the number of VMs.

    Args:
        query: Filters and the level of detail.
    Returns:
        One record per VM.
    """
    raise NotImplementedError


@operation(kind="read", timeout=3600)
def vm_settle(vm: str, seconds: float) -> VM:
    """Wait until the hypervisor has finished all running operations on a VM.

    A client may die during an operation. After this call, its effect can be read from the state.

    Args:
        vm: UUID or name of the VM.
        seconds: Longest time to wait, in seconds.
    Returns:
        The record of the VM.
    Raises:
        VMNotFoundError: the host has no such VM, or it left the host meanwhile.
        OperationTimeoutError: an operation still runs after `seconds`.
    """
    raise NotImplementedError


@operation(kind="change", mandatory=True, locks="vm", timeout=300)
def vm_delete(vm: str, keep_disks: bool, force: bool) -> Deleted:
    """Delete a VM with everything that was created for it: volumes, snapshots, saved memory, NVRAM, TPM state, seed image.

    Volumes that NovaCron did not create for this VM are kept and listed in `Deleted.kept`, as are volumes that another VM needs. If a host
    of the fleet does not answer, volumes that it can see are kept too: a VM there may need them. `Deleted.hint` then names that host.

    Args:
        vm: UUID or name of the VM.
        keep_disks: Keep all volumes.
        force: Stop the VM first if it runs.
    Returns:
        What was deleted and what was kept.
    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM runs and `force` is False.
    """
    raise NotImplementedError


@operation(kind="job", locks="vm", statuses="stopped")
def vm_clone(vm: str, name: str, linked: bool, job: Job[VM]) -> VM:
    """Create a stopped copy of a VM, with a new UUID and new MAC addresses.

    Args:
        vm: UUID or name of the original.
        name: Name of the copy.
        linked: Use the original's disks as backing files instead of copying them.
        job: Reports the bytes copied.
    Returns:
        The record of the copy.
    Raises:
        VMNotFoundError: the host has no such VM.
        AlreadyExistsError: the host has a VM of that name.
        ResourceAllocationError: a storage pool has too little space.

    When: stopped.
    On failure nothing of the copy remains.
    """
    raise NotImplementedError


@operation(kind="job", locks="vm", statuses="running")
def vm_clone_instant(vm: str, name: str, job: Job[VM]) -> VM:
    """Create a running copy of a running VM with the same memory and disks, and with a new UUID and new MAC addresses.

    The guest in the copy keeps the original's host name, IP addresses and keys until it is changed.

    Args:
        vm: UUID or name of the original.
        name: Name of the copy.
        job: The running job.
    Returns:
        The record of the copy.
    Raises:
        VMNotFoundError: the host has no such VM.
        AlreadyExistsError: the host has a VM of that name.

    When: running.
    On failure the original still runs and nothing of the copy remains.
    """
    raise NotImplementedError


@operation(kind="change", locks="vm", statuses="stopped")
def vm_rename(vm: str, name: str) -> VM:
    """Rename a VM. `host_capabilities` says if a driver can also rename a running VM.

    Args:
        vm: UUID or name of the VM.
        name: The new name.
    Returns:
        The record with the new name.
    Raises:
        VMNotFoundError: the host has no such VM.
        AlreadyExistsError: the host has a VM of that name.

    When: stopped.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm")
def vm_update(vm: str, changes: VMUpdate) -> VM:
    """Change some properties of a VM. All others stay unchanged.

    `vcpus`, `memory`, `description`, `tags`, `metadata` and `autostart` apply at once. Hardware fields (`VMUpdate.hardware`) change the
    definition and apply when the VM is started the next time. If one field can't be changed, none is.

    Args:
        vm: UUID or name of the VM.
        changes: The properties to change.
    Returns:
        The changed record.
    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidSpecError: the host does not support a value.
        InvalidStateError: a property can't be changed while the VM runs.
    """
    raise NotImplementedError


@operation(kind="read")
def vm_configuration(vm: str) -> VMConfiguration:
    """Return the values of the fields of `VMUpdate` that the VM has when it is started the next time.

    Args:
        vm: UUID or name of the VM.
    Returns:
        The values, and the fields for which the running VM differs.
    Raises:
        VMNotFoundError: the host has no such VM.
    """
    raise NotImplementedError


@operation(kind="read")
def question_list() -> list[Question]:
    """List the questions of the hypervisor that VMs wait for, sorted by the VM's name. An answered VM continues.

    Returns:
        One record per question.
    """
    raise NotImplementedError


@operation(kind="change", locks="vm")
def question_answer(vm: str, question: str, answer: str) -> VM:
    """Answer a question that a VM waits for.

    Args:
        vm: UUID or name of the VM.
        question: Id of the question.
        answer: Key or text of one of its choices.
    Returns:
        The record of the VM.
    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM does not wait for this question.
        InvalidSpecError: the question has no such choice.
    """
    raise NotImplementedError


@operation(kind="read")
def vm_export(vm: str) -> NativeDefinition:
    """Return the hypervisor's native definition of a VM, without secrets.

    Args:
        vm: UUID or name of the VM.
    Returns:
        The definition and its format.
    Raises:
        VMNotFoundError: the host has no such VM.
    """
    raise NotImplementedError


@operation(kind="change")
def vm_import(definition: str, validate: bool) -> VM:
    """Define a VM from the hypervisor's native definition.

    Deleting the VM later does not delete the files that the definition names, because they were not created for this VM.

    Args:
        definition: The native definition.
        validate: Check the definition against the hypervisor's schema. Use False for definitions of other tools that violate the schema
            and that the hypervisor accepts. Drivers without a schema ignore this argument.
    Returns:
        The record of the VM.
    Raises:
        InvalidSpecError: the definition is invalid.
        AlreadyExistsError: the host has a VM of that name or UUID.
        DiskLockedError: another VM uses a disk of the definition, which both VMs would write to.
    """
    raise NotImplementedError
