"""The driver's provider, and how a connection's parts are put together. libvirt is loaded at the first connect."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.plugins import ConnectContext, Driver, DriverProvider, HostURI
from novacron_kvm.fields import FIELDS, REASONS

if TYPE_CHECKING:
    from novacron_kvm.connection import KVMConnection

SCHEMES = ("qemu", "qemu+unix", "qemu+ssh", "qemu+tls", "qemu+tcp", "qemu+libssh2", "qemu+libssh", "test")

PARAMETERS = (
    "auth",
    "authfile",
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
)
"""The parameters of libvirt's URIs (https://libvirt.org/uri.html, https://libvirt.org/auth.html). libvirt ignores others."""

PROGRAMS = ("command", "netcat")
"""Parameters of a URI that name a program: libvirt runs `command` on this machine in place of ssh, and `netcat` on the host."""

OPT_IN = "NOVACRON_URI_PROGRAMS"
"""The environment variable that allows them on this machine. A URI may come from the state database, which others may be able to write."""


_AREAS = {
    "host": "KVMHost",
    "lifecycle": "KVMLifecycle",
    "power": "KVMPower",
    "resources": "KVMResources",
    "pools": "KVMPools",
    "volumes": "KVMVolumes",
    "disks": "KVMDisks",
    "networks": "KVMNetworks",
    "nics": "KVMNICs",
    "devices": "KVMDevices",
    "filters": "KVMFilters",
    "snapshots": "KVMSnapshots",
    "migration": "KVMMigration",
    "metrics": "KVMMetrics",
    "console": "KVMConsole",
    "guest": "KVMGuest",
    "templates": "KVMTemplates",
    "events": "KVMEvents",
    "appliances": "KVMAppliances",
    "diagnosis": "KVMDiagnosis",
}
"""The module of each area in `operations`, and its class. A module is imported when an operation of its area is first used."""


def areas() -> list[type]:
    """Return the classes of the area objects."""
    return [_area(name) for name in _AREAS]


def _area(name: str) -> type:
    """Import the class of an area."""
    found: type = getattr(import_module(f"novacron_kvm.operations.{name}"), _AREAS[name])
    return found


def _make(area: str, connection: KVMConnection) -> object:
    """Return the object of an area."""
    return _area(area)(connection)


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
    refuse_programs(uri)
    load_libraries()
    from novacron_kvm.connection import KVMConnection

    connection = KVMConnection(
        uri.text,
        context.name,
        context.timeout,
        secrets=context.secrets,
        macs=context.macs,
        state=context.state,
        ask_peers=context.ask_peers,
        shared_pools=context.shared_pools,
        exclusive=context.exclusive,
    )
    made = {area: partial(_make, area, connection) for area in _AREAS}
    return Driver(areas=made, close=connection.close, native=connection, answers=connection.answers, during=connection.operation)


def load_libraries() -> None:
    """Load libvirt's shared libraries, and let other threads run meanwhile.

    An import would stop all threads until the libraries are loaded: 25 ms, and 0.1 s on a busy machine. Somebody who types would notice.
    """
    if "libvirtmod" in sys.modules:
        return
    import ctypes

    module = importlib.util.find_spec("libvirtmod")
    if module is not None and module.origin is not None:
        load = ctypes.CDLL(None).dlopen  # a call through ctypes, unlike `ctypes.CDLL(path)`, lets other threads run
        load.argtypes, load.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
        load(os.fsencode(module.origin), os.RTLD_NOW)  # if it fails, the import fails too, and says why


def refuse_programs(uri: HostURI) -> None:
    """Refuse a URI that names a program, unless `NOVACRON_URI_PROGRAMS=1` allows it."""
    parts = re.split("[&;]", urlsplit(uri.text).query)  # after the last "&", libvirt separates parameters at ";" too
    names = {unquote(part.partition("=")[0]).lower() for part in parts}
    named = [name for name in PROGRAMS if name in names]
    if named and os.environ.get(OPT_IN) != "1":
        raise InvalidSpecError(
            "invalid URI",
            problems=[SpecProblem(f"uri.{name}", "a program", "no program: libvirt would run it") for name in named],
            outcome="not_sent",
            hint=f"set {OPT_IN}=1 on this machine if you trust everyone who can register hosts",
        )


provider = DriverProvider(
    name="kvm",
    schemes=SCHEMES,
    connect=connect,
    options=(),
    parameters=PARAMETERS,
    areas=areas,
    limits=limits,
    versions=versions,
    fields=lambda: FIELDS,
    reasons=lambda: REASONS,
)

__all__ = ["SCHEMES", "areas", "connect", "limits", "provider", "versions"]
