"""What vSphere alone has: operations beside the contract, called `vsphere.*`."""

from __future__ import annotations


def areas() -> list[type]:
    """Return the classes that implement native operations."""
    from novacron_vmware.native.alarms import VSphereAlarms
    from novacron_vmware.native.clusters import VSphereClusters
    from novacron_vmware.native.customization import VSphereCustomization
    from novacron_vmware.native.datastore_files import VSphereDatastoreFiles
    from novacron_vmware.native.datastores import VSphereDatastores
    from novacron_vmware.native.diagnostics import VSphereDiagnostics
    from novacron_vmware.native.folders import VSphereFolders
    from novacron_vmware.native.history import VSphereHistory
    from novacron_vmware.native.libraries import VSphereLibraries
    from novacron_vmware.native.library_templates import VSphereLibraryTemplates
    from novacron_vmware.native.linked_mode import VSphereLinkedMode
    from novacron_vmware.native.node_systems import VSphereNodeSystems
    from novacron_vmware.native.nodes import VSphereNodes
    from novacron_vmware.native.performance import VSpherePerformance
    from novacron_vmware.native.policies import VSpherePolicies
    from novacron_vmware.native.recommendations import VSphereRecommendations
    from novacron_vmware.native.registration import VSphereRegistration
    from novacron_vmware.native.resource_pools import VSphereResourcePools
    from novacron_vmware.native.server import VSphereServer
    from novacron_vmware.native.switches import VSphereSwitches
    from novacron_vmware.native.teaming import VSphereTeaming
    from novacron_vmware.native.vapps import VSphereVApps
    from novacron_vmware.native.vm_devices import VSphereVMDevices
    from novacron_vmware.native.vms import VSphereVMs

    return [
        VSphereAlarms,
        VSphereClusters,
        VSphereCustomization,
        VSphereDatastoreFiles,
        VSphereDatastores,
        VSphereDiagnostics,
        VSphereFolders,
        VSphereHistory,
        VSphereLibraries,
        VSphereLibraryTemplates,
        VSphereLinkedMode,
        VSphereNodes,
        VSphereNodeSystems,
        VSpherePerformance,
        VSpherePolicies,
        VSphereRecommendations,
        VSphereRegistration,
        VSphereResourcePools,
        VSphereServer,
        VSphereSwitches,
        VSphereTeaming,
        VSphereVApps,
        VSphereVMDevices,
        VSphereVMs,
    ]


__all__ = ["areas"]
