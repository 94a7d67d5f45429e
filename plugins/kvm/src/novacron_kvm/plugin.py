"""The driver's provider, and how a connection's parts are put together. libvirt is loaded at the first connect."""

from __future__ import annotations

import os

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.plugins import ConnectContext, Driver, DriverProvider, HostURI
from novacron_kvm.fields import FIELDS

SCHEMES = ("qemu", "qemu+unix", "qemu+ssh", "qemu+tls", "qemu+tcp", "qemu+libssh2", "qemu+libssh", "test")

PARAMETERS = frozenset(
    {
        "auth",
        "command",
        "keyfile",
        "known_hosts",
        "known_hosts_verify",
        "mode",
        "name",
        "netcat",
        "no_sanity",
        "no_tty",
        "no_verify",
        "pkipath",
        "proxy",
        "root",
        "socket",
        "sshauth",
        "tls_priority",
    }
)
"""The parameters of libvirt's URIs."""

PROGRAMS = ("command", "netcat")
"""Parameters of a URI that name a program: libvirt runs `command` on this machine in place of ssh, and `netcat` on the host."""

OPT_IN = "NOVACRON_URI_PROGRAMS"
"""The environment variable that allows them on this machine. A URI may come from the state database, which others may be able to write."""


def areas() -> list[type]:
    """Return the classes of a connection's parts."""
    from novacron_kvm.operations.appliances import KVMAppliances
    from novacron_kvm.operations.console import KVMConsole
    from novacron_kvm.operations.devices import KVMDevices
    from novacron_kvm.operations.diagnosis import KVMDiagnosis
    from novacron_kvm.operations.disks import KVMDisks
    from novacron_kvm.operations.events import KVMEvents
    from novacron_kvm.operations.filters import KVMFilters
    from novacron_kvm.operations.guest import KVMGuest
    from novacron_kvm.operations.host import KVMHost
    from novacron_kvm.operations.lifecycle import KVMLifecycle
    from novacron_kvm.operations.metrics import KVMMetrics
    from novacron_kvm.operations.migration import KVMMigration
    from novacron_kvm.operations.networks import KVMNetworks
    from novacron_kvm.operations.nics import KVMNICs
    from novacron_kvm.operations.pools import KVMPools
    from novacron_kvm.operations.power import KVMPower
    from novacron_kvm.operations.resources import KVMResources
    from novacron_kvm.operations.snapshots import KVMSnapshots
    from novacron_kvm.operations.templates import KVMTemplates
    from novacron_kvm.operations.volumes import KVMVolumes

    return [
        KVMHost,
        KVMLifecycle,
        KVMPower,
        KVMResources,
        KVMPools,
        KVMVolumes,
        KVMDisks,
        KVMNetworks,
        KVMNICs,
        KVMDevices,
        KVMFilters,
        KVMSnapshots,
        KVMMigration,
        KVMMetrics,
        KVMConsole,
        KVMGuest,
        KVMTemplates,
        KVMEvents,
        KVMAppliances,
        KVMDiagnosis,
    ]


def limits() -> dict[str, str]:
    """Return what operations need of libvirt."""
    from novacron_kvm.operations.host import limits

    return limits(0)


def versions() -> dict[str, str]:
    """Return the version of libvirt that each operation needs."""
    from novacron_kvm.versions import versions

    return versions()


def connect(uri: HostURI, context: ConnectContext) -> Driver:
    """Open a libvirt URI.

    Raises:
        InvalidSpecError: the URI names a program, and this machine does not allow that.
    """
    from novacron_kvm.connection import KVMConnection

    refuse_unknown(uri)
    refuse_programs(uri)
    connection = KVMConnection(
        uri.text,
        context.name,
        context.timeout,
        secrets=context.secrets,
        macs=context.macs,
        state=context.state,
        ask_peers=context.ask_peers,
    )
    return Driver([area(connection) for area in areas()], close=connection.close, native=connection)


def refuse_unknown(uri: HostURI) -> None:
    """Refuse a parameter that libvirt does not know: libvirt would ignore it, so that a typing error changes the connection unnoticed."""
    unknown = [name for name in uri.query if name.lower() not in PARAMETERS]
    if unknown:
        allowed = f"one of {', '.join(sorted(PARAMETERS))}"
        raise InvalidSpecError(
            "invalid URI",
            problems=[SpecProblem(f"uri.{name}", uri.query[name], allowed) for name in unknown],
            outcome="not_sent",
            hint="https://libvirt.org/uri.html lists the parameters",
        )


def refuse_programs(uri: HostURI) -> None:
    """Refuse a URI that names a program, unless `NOVACRON_URI_PROGRAMS=1` allows it."""
    named = [name for name in uri.query if name.lower() in PROGRAMS]  # libvirt does not distinguish case
    if named and os.environ.get(OPT_IN) != "1":
        raise InvalidSpecError(
            "invalid URI",
            problems=[SpecProblem(f"uri.{name}", "a program", "no program: libvirt would run it") for name in named],
            outcome="not_sent",
            hint=f"set {OPT_IN}=1 on this machine if you trust everyone who can register hosts",
        )


provider = DriverProvider(
    name="kvm", schemes=SCHEMES, connect=connect, options=(), areas=areas, limits=limits, versions=versions, fields=lambda: FIELDS
)

__all__ = ["SCHEMES", "areas", "connect", "limits", "provider", "versions"]
