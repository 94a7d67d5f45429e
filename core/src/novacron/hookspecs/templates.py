"""Templates: read-only VMs from which new VMs are deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.hookspecs.operation import operation
from novacron.jobs import Job
from novacron.records.templates import Template
from novacron.records.vm import VM, Deleted

if TYPE_CHECKING:
    from novacron.specs import TemplateSpec, VMSpec


@operation(kind="job", locks="vm", statuses="stopped")
def template_create(vm: str, spec: TemplateSpec, job: Job[Template]) -> Template:
    """Create a template from a stopped VM, which is kept. An existing template gets a new version.

    Args:
        vm: UUID or name of the VM.
        spec: Name, description, tags, and whether the template is sealed.
        job: Reports the bytes copied.
    Returns:
        The record of the new version.
    Raises:
        VMNotFoundError: the host has no such VM.
        ResourceAllocationError: a storage pool has too little space.

    When: stopped.
    On failure nothing of the template remains.
    """
    raise NotImplementedError


@operation(kind="read")
def template_list() -> list[Template]:
    """List the latest version of each template, sorted by name.

    Returns:
        One record per template.
    """
    raise NotImplementedError


@operation(kind="read")
def template_get(template: str, version: int | None) -> Template:
    """Return a template.

    Args:
        template: Name of the template.
        version: Number of the version; None for the latest.
    Returns:
        The record of the version.
    Raises:
        TemplateNotFoundError: the host has no such template or version.
    """
    raise NotImplementedError


@operation(kind="read")
def template_versions(template: str) -> list[Template]:
    """List the versions of a template, oldest first.

    Args:
        template: Name of the template.
    Returns:
        One record per version.
    Raises:
        TemplateNotFoundError: the host has no such template.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="template")
def template_update(template: str, description: str | None, tags: frozenset[str] | None) -> Template:
    """Change the description or the tags of a template.

    Args:
        template: Name of the template.
        description: The new description; None leaves it unchanged.
        tags: All new tags; None leaves them unchanged.
    Returns:
        The changed record.
    Raises:
        TemplateNotFoundError: the host has no such template.
    """
    raise NotImplementedError


@operation(kind="change", locks="template")
def template_delete(template: str, version: int | None) -> Deleted:
    """Delete one version of a template, or all of them.

    Args:
        template: Name of the template.
        version: Number of the version; None for all.
    Returns:
        What was deleted.
    Raises:
        TemplateNotFoundError: the host has no such template or version.
        InvalidStateError: a linked VM uses it.
    """
    raise NotImplementedError


@operation(kind="job")
def template_deploy(template: str, spec: VMSpec, version: int | None, linked: bool, job: Job[VM]) -> VM:
    """Create a VM from a template.

    Args:
        template: Name of the template.
        spec: Name of the VM, and the properties that differ from the template's.
        version: Number of the version; None for the latest.
        linked: Use the template's disks as backing files instead of copying them.
        job: Reports the bytes copied.
    Returns:
        The record of the new VM.
    Raises:
        TemplateNotFoundError: the host has no such template or version.
        AlreadyExistsError: the host has a VM of that name.
        ResourceAllocationError: a storage pool has too little space.

    On failure nothing of the VM remains.
    """
    raise NotImplementedError
