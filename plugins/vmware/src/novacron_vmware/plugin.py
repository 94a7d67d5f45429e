"""The driver's provider, and how a connection's parts are put together. pyvmomi is loaded at the first connect."""

from __future__ import annotations

from novacron.plugins import ConnectContext, Driver, DriverProvider, HostURI
from novacron_vmware.fields import FIELDS, REASONS
from novacron_vmware.limits import limits, proofs

SCHEMES = ("vsphere", "esx")


def areas() -> list[type]:
    """Return the classes of a connection's parts."""
    from novacron_vmware.native import areas as native_areas
    from novacron_vmware.operations.appliances import VMwareAppliances
    from novacron_vmware.operations.console import VMwareConsole
    from novacron_vmware.operations.devices import VMwareDevices
    from novacron_vmware.operations.diagnosis import VMwareDiagnosis
    from novacron_vmware.operations.disks import VMwareDisks
    from novacron_vmware.operations.events import VMwareEvents
    from novacron_vmware.operations.filters import VMwareFilters
    from novacron_vmware.operations.guest import VMwareGuest
    from novacron_vmware.operations.host import VMwareHost
    from novacron_vmware.operations.lifecycle import VMwareLifecycle
    from novacron_vmware.operations.metrics import VMwareMetrics
    from novacron_vmware.operations.migration import VMwareMigration
    from novacron_vmware.operations.networks import VMwareNetworks
    from novacron_vmware.operations.nics import VMwareNICs
    from novacron_vmware.operations.pools import VMwarePools
    from novacron_vmware.operations.power import VMwarePower
    from novacron_vmware.operations.resources import VMwareResources
    from novacron_vmware.operations.snapshots import VMwareSnapshots
    from novacron_vmware.operations.templates import VMwareTemplates
    from novacron_vmware.operations.volumes import VMwareVolumes

    return [
        VMwareHost,
        VMwarePower,
        VMwareLifecycle,
        VMwareResources,
        VMwareDisks,
        VMwareNICs,
        VMwareDevices,
        VMwarePools,
        VMwareVolumes,
        VMwareNetworks,
        VMwareFilters,
        VMwareSnapshots,
        VMwareTemplates,
        VMwareMigration,
        VMwareMetrics,
        VMwareEvents,
        VMwareConsole,
        VMwareGuest,
        VMwareAppliances,
        VMwareDiagnosis,
        *native_areas(),
    ]


def connect(uri: HostURI, context: ConnectContext) -> Driver:
    """Log in to a vCenter (`vsphere://user@vc[:port]/datacenter`) or a standalone ESXi (`esx://user@host`).

    The password comes from the option `password`, a file (the option `password_file` or NOVACRON_VSPHERE_PASSWORD_FILE), the
    environment variable NOVACRON_VSPHERE_PASSWORD, or the keyring (service "novacron", user "USER@HOST"). TLS is verified by the
    system's authorities, or those in `?cafile=`; `?thumbprint=` trusts exactly one certificate (SHA-256 or SHA-1), `?verify=no` any.
    """
    from novacron_vmware.connection import VMwareConnection
    from novacron_vmware.errors import faults_translated

    connection = VMwareConnection(uri, context)
    return Driver([area(connection) for area in areas()], close=connection.close, native=connection, during=faults_translated)


provider = DriverProvider(
    name="vmware",
    schemes=SCHEMES,
    connect=connect,
    options=("password", "password_file", "guest_user", "guest_password"),
    parameters=("cafile", "thumbprint", "verify", "password_file"),
    areas=areas,
    limits=limits,
    proofs=proofs,
    fields=lambda: FIELDS,
    reasons=lambda: REASONS,
    native="What vSphere alone has: folders, resource pools, clusters, datastore files, tasks and more.",
)

__all__ = ["SCHEMES", "areas", "connect", "limits", "proofs", "provider"]
