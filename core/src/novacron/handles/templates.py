"""A host's templates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from novacron.handles.collection import Collection
from novacron.handles.following import finish
from novacron.records.templates import Template

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle

# The collection has a method named list, so annotations below it need another name.
_Templates: TypeAlias = list[Template]


class TemplateCollection(Collection[Template]):
    """A host's templates."""

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

    def create(self, vm: VMHandle | str, name: str, *, wait: bool = True, **fields: Any) -> Any:
        """Make a template, or its next version, from a stopped VM; `fields` of `TemplateSpec`."""
        from novacron.specs import TemplateSpec

        spec = TemplateSpec.parse({"name": name} | fields)
        return finish(self._host, "template_create", lambda r: r, wait=wait, vm=getattr(vm, "id", vm), spec=spec)

    def update(self, template: str, *, description: str | None = None, tags: Iterable[str] | None = None) -> Template:
        """Change what is given of a template's latest version."""
        wanted = None if tags is None else frozenset(tags)
        result: Template = self._host.invoke("template_update", template=template, description=description, tags=wanted)
        return result

    def delete(self, template: str, version: int | None = None) -> Any:
        """Delete a version, or all of them."""
        return self._host.invoke("template_delete", template=template, version=version)

    def deploy(
        self, template: str, name: str, *, version: int | None = None, linked: bool = True, wait: bool = True, **fields: Any
    ) -> Any:
        """Make a VM from a template; `fields` of `VMSpec` take the place of what the template says. Returns the VM's handle."""
        from novacron.handles.vm import VMHandle
        from novacron.specs import VMSpec

        spec = VMSpec.parse({"name": name} | fields)
        wrap = lambda record: VMHandle(self._host, record)  # noqa: E731
        return finish(
            self._host, "template_deploy", wrap, wait=wait, template=template, spec=spec, version=version, linked=linked
        )


__all__ = ["TemplateCollection"]
