"""What vSphere alone has: operations beside the contract, called `vsphere.*`."""

from __future__ import annotations


def areas() -> list[type]:
    """Return the classes that implement native operations."""
    from novacron_vmware.native.clusters import VSphereClusters
    from novacron_vmware.native.folders import VSphereFolders
    from novacron_vmware.native.nodes import VSphereNodes
    from novacron_vmware.native.resource_pools import VSphereResourcePools

    return [VSphereFolders, VSphereResourcePools, VSphereClusters, VSphereNodes]


__all__ = ["areas"]
