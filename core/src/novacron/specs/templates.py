"""A template as asked for."""

from __future__ import annotations

from novacron.specs.spec import Name, Spec, Tag


class TemplateSpec(Spec):
    """A template that is made from a VM.

    Attributes:
        name: Name of the template.
        description: Your own text, of one or more lines.
        tags: Tags of the template, for groups and filters.
        seal: Whether data that must be unique is removed: machine id, SSH host keys, DHCP leases. Default: true.
    """

    name: Name
    description: str = ""
    tags: frozenset[Tag] = frozenset()
    seal: bool = True


__all__ = ["TemplateSpec"]
