"""The driver's provider, and how a connection's parts are put together. pyvmomi is loaded at the first connect."""

from __future__ import annotations

from novacron.plugins import ConnectContext, Driver, DriverProvider, HostURI

SCHEMES = ("vsphere", "esx")


def areas() -> list[type]:
    """Return the classes of a connection's parts."""
    from novacron_vmware.operations.host import VMwareHost
    from novacron_vmware.operations.lifecycle import VMwareLifecycle
    from novacron_vmware.operations.listing import VMwareListing
    from novacron_vmware.operations.power import VMwarePower

    return [VMwareHost, VMwareListing, VMwarePower, VMwareLifecycle]


def connect(uri: HostURI, context: ConnectContext) -> Driver:
    """Log in to a vCenter (`vsphere://user@vc[:port]/datacenter`) or a standalone ESXi (`esx://user@host`).

    The password comes from the option `password` or the environment variable NOVACRON_VSPHERE_PASSWORD. TLS is verified by the
    system's authorities; `?thumbprint=` trusts exactly one certificate instead (SHA-256 or SHA-1), `?verify=no` any.
    """
    from novacron_vmware.connection import VMwareConnection

    connection = VMwareConnection(uri, context)
    return Driver([area(connection) for area in areas()], close=connection.close, native=connection)


provider = DriverProvider(name="vmware", schemes=SCHEMES, connect=connect, areas=areas)

__all__ = ["SCHEMES", "areas", "connect", "provider"]
