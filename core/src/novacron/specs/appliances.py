"""An appliance as it is to be imported."""

from __future__ import annotations

from pydantic import Field

from novacron.specs.spec import Name, Reference, Spec, Tag


class ApplianceSpec(Spec):
    """Where an appliance's VM goes: under its own name unless told, its disks into `pool`.

    `networks` says which of this host's networks takes the place of one that the appliance names, {"VM Network": "default"}; one that it
    does not name has to be here by that name.
    """

    name: Name | None = None
    pool: Reference = "default"
    networks: dict[str, Reference] = Field(default_factory=dict)
    tags: frozenset[Tag] = frozenset()
    metadata: dict[Name, str] = Field(default_factory=dict)
    start: bool = False


__all__ = ["ApplianceSpec"]
