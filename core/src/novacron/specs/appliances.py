"""An appliance as it is to be imported."""

from __future__ import annotations

from pydantic import Field

from novacron.specs.spec import Name, Reference, Spec, Tag


class ApplianceSpec(Spec):
    """How an appliance is imported: the name of the VM, its storage pool and its networks.

    Attributes:
        name: Name of the new VM. Without it the VM gets the name that the appliance states.
        pool: Storage pool for the disks. Default: the pool "default".
        networks: Network of this host for each network that the appliance names, such as {"VM Network": "default"}. A network
            that is not listed must exist here under the same name.
        tags: Tags of the new VM, for groups and filters.
        metadata: Your own keys and values to store with the VM. NovaCron does not interpret them.
        start: Whether the VM is started after the import. Default: it stays stopped.
    """

    name: Name | None = None
    pool: Reference = "default"
    networks: dict[str, Reference] = Field(default_factory=dict)
    tags: frozenset[Tag] = frozenset()
    metadata: dict[Name, str] = Field(default_factory=dict)
    start: bool = False


__all__ = ["ApplianceSpec"]
