"""A host's templates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Unpack, overload

from novacron.handles.collection import Collection
from novacron.handles.following import finish
from novacron.records.templates import Template

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle
    from novacron.jobs import Job
    from novacron.records.vm import Deleted
    from novacron.specs.keywords import TemplateOptions, VMOptions

# The collection has a method named list, so annotations below it need another name.
_Templates: TypeAlias = list[Template]


class TemplateCollection(Collection[Template]):
    """A host's templates."""

    _title = "templates"

    def __init__(self, host: HostHandle) -> None:
        self._host = host

    def list(self) -> list[Template]:
        """Return the latest version of each template, sorted by name."""
        result: list[Template] = self._host.invoke("template_list")
        return result

    def _all(self) -> Sequence[Template]:
        return self.list()

    def _find(self, template: str) -> Template:
        result: Template = self._host.invoke("template_get", template=template, version=None)
        return result

    def versions(self, template: str) -> _Templates:
        """Return a template's versions, oldest first."""
        result: _Templates = self._host.invoke("template_versions", template=template)
        return result

    @overload
    def create(
        self, vm: VMHandle | str, name: str, *, wait: Literal[True] = ..., **fields: Unpack[TemplateOptions]
    ) -> Template: ...
    @overload
    def create(
        self, vm: VMHandle | str, name: str, *, wait: Literal[False], **fields: Unpack[TemplateOptions]
    ) -> Job[Template]: ...
    def create(
        self, vm: VMHandle | str, name: str, *, wait: bool = True, **fields: Unpack[TemplateOptions]
    ) -> Template | Job[Template]:
        """Create a template, or its next version, from a stopped VM. `fields` are those of `TemplateSpec`."""
        from novacron.specs import TemplateSpec

        spec = TemplateSpec.parse({"name": name} | fields)
        return finish(self._host, "template_create", _same, wait=wait, vm=getattr(vm, "id", vm), spec=spec)

    def update(self, template: str, *, description: str | None = None, tags: Iterable[str] | None = None) -> Template:
        """Change the given fields of a template's latest version."""
        wanted = None if tags is None else frozenset(tags)
        result: Template = self._host.invoke("template_update", template=template, description=description, tags=wanted)
        return result

    def delete(self, template: str, version: int | None = None) -> Deleted:
        """Delete a version, or all of them."""
        result: Deleted = self._host.invoke("template_delete", template=template, version=version)
        return result

    @overload
    def deploy(
        self,
        template: str,
        name: str,
        *,
        version: int | None = None,
        linked: bool = True,
        wait: Literal[True] = ...,
        **fields: Unpack[VMOptions],
    ) -> VMHandle: ...
    @overload
    def deploy(
        self,
        template: str,
        name: str,
        *,
        version: int | None = None,
        linked: bool = True,
        wait: Literal[False],
        **fields: Unpack[VMOptions],
    ) -> Job[VMHandle]: ...
    def deploy(
        self,
        template: str,
        name: str,
        *,
        version: int | None = None,
        linked: bool = True,
        wait: bool = True,
        **fields: Unpack[VMOptions],
    ) -> VMHandle | Job[VMHandle]:
        """Create a VM from a template. `fields` of `VMSpec` replace those of the template. Returns the VM's handle."""
        from novacron.handles.vm import VMHandle
        from novacron.specs import VMSpec

        spec = VMSpec.parse({"name": name} | fields)
        wrap: Callable[[Any], VMHandle] = lambda record: VMHandle(self._host, record)  # noqa: E731
        return finish(
            self._host, "template_deploy", wrap, wait=wait, template=template, spec=spec, version=version, linked=linked
        )


def _same(record: Template) -> Template:
    return record


__all__ = ["TemplateCollection"]
