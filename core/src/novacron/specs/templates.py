"""A template as asked for."""

from __future__ import annotations

from novacron.specs.spec import Name, Spec, Tag


class TemplateSpec(Spec):
    """A template to be made from a VM; `seal` removes what must not be shared (machine id, SSH host keys, leases)."""

    name: Name
    description: str = ""
    tags: frozenset[Tag] = frozenset()
    seal: bool = True


__all__ = ["TemplateSpec"]
