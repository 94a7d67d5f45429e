"""The driver's provider, and how a connection's parts are put together. pyvmomi is loaded at the first connect."""

from __future__ import annotations

from novacron.plugins import ConnectContext, Driver, DriverProvider, HostURI

SCHEMES = ("vsphere", "esx")


def areas() -> list[type]:
    """Return the classes of a connection's parts."""
    from novacron_vmware.operations.appliances import VMwareAppliances
    from novacron_vmware.operations.console import VMwareConsole
    from novacron_vmware.operations.disks import VMwareDisks
    from novacron_vmware.operations.events import VMwareEvents
    from novacron_vmware.operations.filters import VMwareFilters
    from novacron_vmware.operations.guest import VMwareGuest
    from novacron_vmware.operations.history import VMwareHistory
    from novacron_vmware.operations.host import VMwareHost
    from novacron_vmware.operations.lifecycle import VMwareLifecycle
    from novacron_vmware.operations.listing import VMwareListing
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
        VMwareHost, VMwareListing, VMwarePower, VMwareLifecycle, VMwareResources, VMwareDisks, VMwareNICs, VMwarePools,
        VMwareVolumes, VMwareNetworks, VMwareFilters, VMwareSnapshots, VMwareTemplates, VMwareMigration, VMwareMetrics,
        VMwareHistory, VMwareEvents, VMwareConsole, VMwareGuest, VMwareAppliances,
    ]  # fmt: skip


def limits() -> dict[str, str]:
    """Return what operations can't do here, or how far."""
    return {
        "pinning_set": "the whole VM, not single vCPUs",
        "limits_set": "CPU and memory only; no period, and none for parts of a VM",
        "vm_clone_instant": "by a vCenter",
        "vm_migrate": "between nodes and datacenters; to another vCenter (proved on a faked boundary) with storage='copy'",
        "network_create": "bridged and isolated ones: port groups",
        "network_update": "the VLAN",
        "pool_create": "NFS; on a single ESXi also a directory",
        "volume_resize": "larger only",
        "snapshot_create": "external ones, which is all that vSphere has",
        "template_create": "nothing is sealed: a VM deployed from it gets an identity of its own through cloud-init",
        "guest_exec": "Linux guests; a user of the guest's",
        "console_open": "network serial ports by tcp or telnet, of VMs created with native={'serial_port': ...}",
        "guest_password_set": "Linux guests; their user has to be root",
        "guest_ssh_keys_set": "Linux guests; their user has to be root, or the one whose keys they are",
        "vm_update": "autostart on a single ESXi only",
        "disk_limit": "total_iops only",
        "vm_import": "a ConfigSpec in XML, as vm_export writes it, its disks must be there; or the path of a .vmx",
        "filter_update": "anti_spoofing only: a port group's security policy",
    }


FAKED = (
    "vm_clone_instant",
    "vm_shutdown", "vm_reboot", "snapshot_revert", "vm_migrate_storage", "volume_wipe", "console_open",
    "console_endpoint", "console_screenshot",
    "guest_info", "guest_exec", "guest_file_read", "guest_file_write", "guest_password_set", "guest_ssh_keys_set",
    "appliance_export", "appliance_import",
)  # fmt: skip
"""Operations of which govmomi's simulator lacks a part, so that the tests' own stands in for it (novacron_lab/vcsim)."""


def proofs() -> dict[str, str]:
    """Return on what operations are proved: no vSphere is to be had for the tests."""
    return {"": "a simulator"} | dict.fromkeys(FAKED, "a faked boundary")


def connect(uri: HostURI, context: ConnectContext) -> Driver:
    """Log in to a vCenter (`vsphere://user@vc[:port]/datacenter`) or a standalone ESXi (`esx://user@host`).

    The password comes from the option `password`, a file (the option `password_file` or NOVACRON_VSPHERE_PASSWORD_FILE), the
    environment variable NOVACRON_VSPHERE_PASSWORD, or the keyring (service "novacron", user "USER@HOST"). TLS is verified by the
    system's authorities, or those in `?cafile=`; `?thumbprint=` trusts exactly one certificate (SHA-256 or SHA-1), `?verify=no` any.
    """
    from novacron_vmware.connection import VMwareConnection

    connection = VMwareConnection(uri, context)
    return Driver([area(connection) for area in areas()], close=connection.close, native=connection)


provider = DriverProvider(name="vmware", schemes=SCHEMES, connect=connect, areas=areas, limits=limits, proofs=proofs)

__all__ = ["SCHEMES", "areas", "connect", "limits", "proofs", "provider"]
