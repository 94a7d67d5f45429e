"""Templates: sealed VMs to deploy from."""

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
    """Make a template from a stopped VM, which stays; an existing name gets a new version."""
    raise NotImplementedError


@operation(kind="read")
def template_list() -> list[Template]:
    """List the latest version of each template, sorted by name."""
    raise NotImplementedError


@operation(kind="read")
def template_get(template: str, version: int | None) -> Template:
    """Return a template, its latest version unless told. Raises TemplateNotFoundError."""
    raise NotImplementedError


@operation(kind="read")
def template_versions(template: str) -> list[Template]:
    """List a template's versions, oldest first."""
    raise NotImplementedError


@operation(kind="change", idempotent=True)
def template_update(template: str, description: str | None, tags: frozenset[str] | None) -> Template:
    """Change a template's description or tags."""
    raise NotImplementedError


@operation(kind="change")
def template_delete(template: str, version: int | None) -> Deleted:
    """Delete a version, or all. Raises InvalidStateError while linked VMs exist."""
    raise NotImplementedError


@operation(kind="job")
def template_deploy(template: str, spec: VMSpec, version: int | None, linked: bool, job: Job[VM]) -> VM:
    """Create a VM from a template, sharing its content when `linked`."""
    raise NotImplementedError
