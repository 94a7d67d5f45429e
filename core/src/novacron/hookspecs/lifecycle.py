"""The life of a VM: create, find, change, clone, export, import, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from novacron.hookspecs.operation import operation
from novacron.jobs import Job
from novacron.records.questions import Question
from novacron.records.vm import VM, Deleted, NativeDefinition

if TYPE_CHECKING:
    from novacron.specs import VMQuery, VMSpec, VMUpdate


@operation(kind="job", mandatory=True, locks="spec")
def vm_create(spec: VMSpec, job: Job[VM]) -> VM:
    """Create a VM with its disks, and start it when `spec.start`.

    Returns the full record. On failure nothing of it remains: no definition, volume, NVRAM or seed.
    Raises AlreadyExistsError (name or UUID), InvalidSpecError (what this host can't do), ImageNotFoundError,
    NetworkNotFoundError, StoragePoolNotFoundError, ResourceAllocationError (no space).
    """
    raise NotImplementedError


@operation(kind="read", mandatory=True)
def vm_get(vm: str) -> VM:
    """Return the full record of one VM by UUID or name; a UUID wins. Raises VMNotFoundError."""
    raise NotImplementedError


@operation(kind="read", mandatory=True)
def vm_list(query: VMQuery) -> Sequence[VM]:
    """Return the VMs of the host, in any order.

    A driver may use `query` to read less, but may return more than it asks for: the dispatcher filters, sorts and pages.
    The number of calls to the hypervisor must not grow with the number of VMs when `query.detail` is "summary".
    """
    raise NotImplementedError


@operation(kind="read", timeout=3600)
def vm_settle(vm: str, seconds: float) -> VM:
    """Wait until the host does nothing more with the VM that anybody asked for, and return its record.

    After a client has died in an operation, its effect can be looked for once this has returned.
    Raises VMNotFoundError, also when it has left the host meanwhile; OperationTimeoutError: still busy after `seconds`.
    """
    raise NotImplementedError


@operation(kind="change", mandatory=True, locks="vm", timeout=300)
def vm_delete(vm: str, keep_disks: bool, force: bool) -> Deleted:
    """Delete a VM with everything that was made for it: volumes, snapshots, saved memory, NVRAM, TPM state, seed.

    Volumes that NovaCron did not make for it are kept and named in `Deleted.kept`. `force` stops a running one first, otherwise
    InvalidStateError. `keep_disks` keeps all its volumes.
    """
    raise NotImplementedError


@operation(kind="job", locks="vm", statuses="stopped")
def vm_clone(vm: str, name: str, linked: bool, job: Job[VM]) -> VM:
    """Make a stopped copy with new UUID and MAC addresses; `linked` shares the disks' content with the original."""
    raise NotImplementedError


@operation(kind="job", locks="vm", statuses="running")
def vm_clone_instant(vm: str, name: str, job: Job[VM]) -> VM:
    """Make a running copy of a running VM: it goes on from the same memory and disks, with new UUID and MAC addresses.

    The guest in it is the same until it takes another identity: its host name, addresses and keys are the original's.
    On failure the original runs and nothing of the copy remains.
    """
    raise NotImplementedError


@operation(kind="change", locks="vm", statuses="stopped")
def vm_rename(vm: str, name: str) -> VM:
    """Give a VM another name. When: stopped, or as `capabilities` says. Raises AlreadyExistsError."""
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm")
def vm_update(vm: str, changes: VMUpdate) -> VM:
    """Change only what `changes` names (description, tags, metadata, vcpus, memory, autostart); all else stays as it is."""
    raise NotImplementedError


@operation(kind="read")
def question_list() -> list[Question]:
    """Return the questions that VMs of the host wait on, sorted by the VM's name. The VM goes on when its question is answered."""
    raise NotImplementedError


@operation(kind="change", locks="vm")
def question_answer(vm: str, question: str, answer: str) -> VM:
    """Answer a question that a VM waits on.

    `question` is its id, `answer` the key or the text of one of its choices.
    Raises InvalidStateError: the VM does not wait on that question; InvalidSpecError: no such choice.
    """
    raise NotImplementedError


@operation(kind="read")
def vm_export(vm: str) -> NativeDefinition:
    """Return the definition in the hypervisor's own language, without secrets."""
    raise NotImplementedError


@operation(kind="change")
def vm_import(definition: str, validate: bool) -> VM:
    """Define a VM from the hypervisor's own language.

    The files that the definition names were not made for this VM by this host. Deleting the VM does not delete them.

    Args:
        validate: check the definition against the hypervisor's schema. False is for definitions of other tools that break the schema and
            that the hypervisor accepts all the same. Drivers without a schema ignore it.
    Raises:
        InvalidSpecError: the definition is invalid.
        AlreadyExistsError: the host has a VM of that name or UUID.
    """
    raise NotImplementedError
