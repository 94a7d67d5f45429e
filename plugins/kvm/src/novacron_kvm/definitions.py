"""Gives definitions to libvirt. Each is checked against libvirt's own schema, for libvirt ignores unknown elements without that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import libvirt

if TYPE_CHECKING:
    from novacron_kvm.connection import KVMConnection

PATIENCE = 30.0
"""Seconds to wait until another process has changed a definition."""
FLAGS = {
    "domain": ("VIR_DOMAIN_DEFINE_VALIDATE", 1_002_012),
    "network": ("VIR_NETWORK_DEFINE_VALIDATE", 7_008_000),
    "filter": ("VIR_NWFILTER_DEFINE_VALIDATE", 7_007_000),
    "secret": ("VIR_SECRET_DEFINE_VALIDATE", 7_007_000),
    "snapshot": ("VIR_DOMAIN_SNAPSHOT_CREATE_VALIDATE", 5_006_000),
    "pool": ("VIR_STORAGE_POOL_DEFINE_VALIDATE", 8_010_000),
}
"""The flag that lets libvirt validate a kind of definition, and the version of the daemon that knows it.

Volumes are not among them: libvirt 9.0 announces VIR_STORAGE_VOL_CREATE_VALIDATE and then refuses it as an unsupported flag.
"""


def validation(connection: Any, kind: str) -> int:
    """Return the flag that lets libvirt validate a definition of a kind ("pool", "filter", ...); 0 where the daemon is too old for it."""
    name, since = FLAGS[kind]
    return int(getattr(libvirt, name, 0)) if connection.getLibVersion() >= since else 0


def redefine(connection: Any, text: str, *, like: Any = None) -> Any:
    """Define a VM that exists, or a copy of one, and return its domain.

    A VM that was imported without validation stays as foreign as it was: when its present definition does not validate either, the new one
    is not validated.

    Args:
        like: libvirt's domain whose definition `text` comes from; the one of the same UUID by default.
    Raises:
        libvirtError: libvirt refuses the definition.
    """
    try:
        return connection.defineXMLFlags(text, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_XML_INVALID_SCHEMA or not _is_foreign(connection, text, like):
            raise
    return connection.defineXML(text)


@contextmanager
def changing(connection: KVMConnection, domain: Any) -> Iterator[None]:
    """Hold a VM's definition against other processes from the moment it is read until it is written back.

    Without it, a process could write back what it read before another one noted a new file, and the VM would start with the old file. Jobs
    do not lock their VM against other processes, because a VM must be stopped from anywhere while one runs. Blocks must not be nested.

    Raises:
        BusyError: another process held it for too long.
    """
    with connection.exclusive(f"definition of the VM {domain.UUIDString()}", PATIENCE):
        yield


def change_definition(connection: KVMConnection, domain: Any, change: Callable[[Any], None]) -> None:
    """Change a VM's definition for its next start, as a tree; everything else in it stays.

    Raises:
        BusyError: another process changes the definition for too long.
        libvirtError: libvirt refuses the definition.
    """
    from novacron_kvm.xml.parsing import parse, serialise

    with changing(connection, domain):
        root = parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE))
        change(root)
        redefine(domain.connect(), serialise(root))


def _is_foreign(connection: Any, text: str, like: Any) -> bool:
    """Whether the definition that libvirt has now does not validate."""
    from novacron_kvm.xml.parsing import parse, text_of

    try:
        domain = like or connection.lookupByUUIDString(text_of(parse(text), "uuid") or "")
        present = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)
        connection.defineXMLFlags(present, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)  # it changes nothing
    except libvirt.libvirtError as error:
        return bool(error.get_error_code() == libvirt.VIR_ERR_XML_INVALID_SCHEMA)
    return False


__all__ = ["change_definition", "changing", "redefine", "validation"]
