"""What is refused of a new VM and of a changed one alike."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from novacron.errors import AlreadyExistsError, InvalidSpecError, SpecProblem, VMNotFoundError
from novacron_kvm.connection import KVMConnection

NO_AUTOSTART = "false: a host that boots does not know the secrets of encrypted disks"
LOOPBACK = "127.0.0.1 or ::1: a display has no password; use an SSH tunnel"


def refuse_taken(connection: KVMConnection, conn: Any, name: str, identity: str | None) -> None:
    """Refuse a name or UUID that a VM of the host has already.

    Raises:
        AlreadyExistsError
    """
    for key in filter(None, (name, identity)):
        try:
            connection.domain(key, conn)
        except VMNotFoundError:
            continue
        raise AlreadyExistsError(f"a VM {key!r} is already there", resource=name, hint="give another name, or delete that one")


def is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def unfit(path: str, given: str, allowed: str) -> InvalidSpecError:
    return InvalidSpecError("this host can't run that VM", problems=[SpecProblem(path, given, allowed)])


__all__ = ["LOOPBACK", "NO_AUTOSTART", "is_loopback", "refuse_taken", "unfit"]
