"""VMs of the fleet's other hosts that have the same UUID or use the same files. On shared storage a host sees only its own VMs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from decimal import Decimal
from typing import Any, NamedTuple

import libvirt

from novacron.errors import AlreadyExistsError, VMNotFoundError
from novacron.plugins.driver import NO_ANSWER
from novacron_kvm.connection import KVMConnection
from novacron_kvm.storage.host_files import File, HostFiles

STALE = Decimal(60)
"""Seconds for which a network file system may report old time stamps of a file that another host writes."""


class User(NamedTuple):
    """A VM of another host that needs one of our files."""

    path: str
    vm: str
    running: bool


def refuse_identity_elsewhere(connection: KVMConnection, identity: str | None) -> None:
    """Refuse the UUID of a VM that another host of the fleet has.

    Raises:
        AlreadyExistsError
    """
    ours = connection.identity
    if not identity or not connection.shared:
        return

    def name_of(peer: Any) -> str | None:
        if not _is_other(peer, ours):
            return None
        try:
            return str(peer.domain(identity).name())
        except VMNotFoundError:
            return None

    for host, name in connection.ask_peers(name_of):
        if name not in (None, NO_ANSWER):
            raise AlreadyExistsError(
                f"the host {host} has a VM with the UUID {identity}: {name!r}",
                resource=identity,
                hint="migrate that VM, or delete it there first, with keep_disks=True (--keep-disks) if the new VM uses its disks; "
                "or give another UUID",
            )


def users_elsewhere(
    connection: KVMConnection, conn: Any, paths: Collection[str], *, only_running: bool = False, files: HostFiles | None = None
) -> dict[str, list[str]]:
    """Return which VMs of the fleet's other hosts need files of this host's storage: by path, in words.

    A file is the same if both hosts report the same sizes, owner and times for it. Two files with the same path are also assumed to be the
    same if they differ only in times that are less than a minute apart.

    Args:
        files: those of this host, if they were read already.
    """
    users, _ = _ask(connection, conn, paths, files, only_running=only_running)
    return users


def may_be_needed_elsewhere(
    connection: KVMConnection, conn: Any, paths: Collection[str], *, files: HostFiles | None = None
) -> Set[str]:
    """Return the files that VMs of the fleet's other hosts need: all of them if one of these hosts does not answer."""
    users, silent = _ask(connection, conn, paths, files)
    return {*paths} if silent else users.keys()


def _ask(
    connection: KVMConnection, conn: Any, paths: Collection[str], files: HostFiles | None, *, only_running: bool = False
) -> tuple[dict[str, list[str]], list[str]]:
    """Return the users of each path, and the hosts that did not answer."""
    if not paths or not connection.shared:
        return {}, []
    ours = connection.identity
    if not any(other for _, other in connection.ask_peers(lambda peer: _is_other(peer, ours))):
        return {}, []  # without other hosts the storage pools need not be read
    own = files or HostFiles(conn)
    wanted = {path: (own.key(path), own.file(path)) for path in paths}

    def look(peer: Any) -> list[User]:
        return find_users(peer.read, wanted, only_running=only_running) if _is_other(peer, ours) else []

    found, silent = dict[str, list[str]](), list[str]()
    for host, users in connection.ask_peers(look):
        if users is NO_ANSWER:
            silent.append(host)
            continue
        for user in users:
            found.setdefault(user.path, []).append(f"the VM {user.vm!r} of the host {host}")
    return found, silent


def find_users(conn: Any, wanted: Mapping[str, tuple[str, File | None]], *, only_running: bool = False) -> list[User]:
    """Return the VMs of a host that need files which another host describes.

    Args:
        conn: libvirt's connection to the host.
        wanted: for each path on the other host its key there, and what is known of the file.
    """
    files, found = HostFiles(conn), list[User]()
    files.look_for_parts(key for key, _ in wanted.values())
    for domain in conn.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE if only_running else 0):
        try:
            used, name, running = files.used_by(domain), domain.name(), bool(domain.isActive())
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise  # a host that can't say what its VMs use has not answered
            continue  # it was deleted meanwhile
        for path, (key, file) in wanted.items():
            if any(_same(key, file, other, files.file(other)) for other in used):
                found.append(User(path, name, running))
    return found


def _same(key: str, file: File | None, other_key: str, other: File | None) -> bool:
    if file is None or other is None:
        return key == other_key
    if file.inode != other.inode:
        return False
    if file.looks == other.looks:
        return bool(file.changes[-1])
    return key == other_key and abs(file.changed_at - other.changed_at) <= STALE


def _is_other(peer: Any, ours: str) -> bool:
    """Whether a peer is another machine, and not this host under another name."""
    return isinstance(peer, KVMConnection) and peer.shared and peer.identity != ours


__all__ = ["User", "find_users", "may_be_needed_elsewhere", "refuse_identity_elsewhere", "users_elsewhere"]
