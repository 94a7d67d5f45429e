"""VMs of the fleet's other hosts that have the same UUID or use the same files. On shared storage a host sees only its own VMs.

A host that does not answer may have a VM that needs any file that it can see. What destroys content therefore leaves such files alone
(`Elsewhere.keeping`, `refuse_if_silent`), until that host answers or is no host of the fleet any more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from decimal import Decimal
from shlex import quote
from typing import Any, NamedTuple

import libvirt

from novacron.errors import AlreadyExistsError, InvalidStateError, VMNotFoundError
from novacron.peers import UNKNOWN
from novacron.plugins.driver import NO_ANSWER
from novacron.records.pools import NETWORK_POOLS
from novacron_kvm.connection import KVMConnection
from novacron_kvm.storage.host_files import File, HostFiles
from novacron_kvm.xml.parsing import parse

STALE = Decimal(60)
"""Seconds for which a network file system may report old time stamps of a file that another host writes."""


class User(NamedTuple):
    """A VM of another host that needs one of our files."""

    path: str
    vm: str
    running: bool


class Elsewhere(NamedTuple):
    """What the fleet's other hosts need of some files of a host.

    Attributes:
        users: who needs each file, in words, by path.
        silent: the hosts that do not answer and may need each file, by path.
    """

    users: Mapping[str, list[str]]
    silent: Mapping[str, list[str]]

    @property
    def keeping(self) -> set[str]:
        """The files that are not deleted: a VM of another host needs them, or may need them."""
        return {*self.users, *self.silent}

    def hint(self, files: HostFiles, *, host: str | None = None) -> str | None:
        """Return in words why files stay that a silent host may need, and the commands that delete them later; None if none does.

        Args:
            files: those of the host that has them.
            host: its name, if the command has to say it.
        """
        if not self.silent:
            return None
        pools: dict[str, list[str]] = {}
        for file in filter(None, map(files.file, sorted(self.silent))):
            pools.setdefault(file.pool, []).append(file.name)
        hosts = {each for found in self.silent.values() for each in found}
        delete = f"novacron volume delete --host {quote(host)}" if host else "novacron volume delete"
        commands = [f"`{delete} --pool {quote(pool)} {' '.join(map(quote, names))}`" for pool, names in sorted(pools.items())]
        return (
            f"{silence(hosts)}, and a VM there may need {', '.join(sorted(self.silent))}; "
            f"{'; '.join(commands) or 'delete them'} when {'it answers' if len(hosts) == 1 else 'they answer'}; {insisting(hosts)}"
        )


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
    return dict(look_elsewhere(connection, conn, paths, only_running=only_running, files=files).users)


def may_be_needed_elsewhere(
    connection: KVMConnection, conn: Any, paths: Collection[str], *, files: HostFiles | None = None
) -> Set[str]:
    """Return the files that VMs of the fleet's other hosts need, or may need because their host does not answer."""
    return look_elsewhere(connection, conn, paths, files=files).keeping


def refuse_if_silent(resource: str, action: str, hosts: Collection[str]) -> None:
    """Refuse to destroy the content of a file that a VM of a host which does not answer may need.

    Args:
        resource: the name of the VM or volume.
        action: what is refused, such as "delete the volume 'a'".
        hosts: those of `Elsewhere.silent`.

    Raises:
        InvalidStateError
    """
    if hosts:
        raise InvalidStateError(
            f"can't {action}: {silence(hosts)}, and a VM there may need it",
            resource=resource,
            outcome="not_sent",
            hint=f"try again when {'it answers' if len(hosts) == 1 else 'they answer'}; {insisting(hosts)}",
        )


def silence(hosts: Collection[str]) -> str:
    """Return in words which hosts do not answer."""
    if UNKNOWN in hosts:
        return "the state database can't be read, so the fleet's other hosts are not known"
    names = ", ".join(map(repr, sorted(hosts)))
    return f"the host {names} does not answer" if len(hosts) == 1 else f"the hosts {names} do not answer"


def insisting(hosts: Collection[str]) -> str:
    """Return in words how to go on without hosts that do not answer."""
    if UNKNOWN in hosts:
        return "`novacron host list` says what is wrong"
    commands = " and ".join(f"`novacron host remove {name}`" for name in sorted(hosts))
    return (
        f"if {'it is' if len(hosts) == 1 else 'they are'} gone for good, {commands} first; "
        "if no other host has the storage pool, `novacron fleet set-group fleet --no-shared-pools` says so"
    )


def look_elsewhere(
    connection: KVMConnection,
    conn: Any,
    paths: Collection[str],
    *,
    only_running: bool = False,
    but: str = "",
    files: HostFiles | None = None,
) -> Elsewhere:
    """Return which files of this host's storage the fleet's other hosts need, and which hosts do not answer.

    Args:
        but: the UUID of a VM that does not count.
        files: those of this host, if they were read already.
    """
    if not paths or not connection.shared:
        return Elsewhere({}, {})
    ours = connection.identity
    if not any(other for _, other in connection.ask_peers(lambda peer: _is_other(peer, ours))):
        return Elsewhere({}, {})  # without other hosts the storage pools need not be read
    own = files or HostFiles(conn)
    wanted = {path: (own.key(path), own.file(path)) for path in paths}

    def look(peer: Any) -> list[User]:
        return find_users(peer.read, wanted, only_running=only_running, but=but) if _is_other(peer, ours) else []

    found, silent = dict[str, list[str]](), list[str]()
    for host, users in connection.ask_peers(look):
        if users is NO_ANSWER:
            silent.append(host)
            continue
        for user in users:
            found.setdefault(user.path, []).append(f"the VM {user.vm!r} of the host {host}")
    if not silent:
        return Elsewhere(found, {})
    shared = connection.shared_pools()
    return Elsewhere(found, {path: silent for path, (_, file) in wanted.items() if not _is_local(conn, file, shared)})


def _is_local(conn: Any, file: File | None, shared: Collection[str] | None) -> bool:
    """Whether a file is in a storage pool that other hosts do not share; `shared` names those that they do, if the settings say."""
    if shared is None or file is None or file.pool in shared:
        return False
    try:
        return parse(conn.storagePoolLookupByName(file.pool).XMLDesc(0)).get("type") not in NETWORK_POOLS
    except libvirt.libvirtError:
        return False  # no pool has it


def find_users(
    conn: Any, wanted: Mapping[str, tuple[str, File | None]], *, only_running: bool = False, but: str = ""
) -> list[User]:
    """Return the VMs of a host that need files which another host describes.

    Args:
        conn: libvirt's connection to the host.
        wanted: for each path on the other host its key there, and what is known of the file.
        but: the UUID of a VM that does not count.
    """
    files, found = HostFiles(conn), list[User]()
    files.look_for_parts(key for key, _ in wanted.values())
    for domain in conn.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE if only_running else 0):
        if but and domain.UUIDString() == but:
            continue
        try:
            used, name, running = files.used_by(domain), domain.name(), bool(domain.isActive())
            used |= {files.key(path) for path in used}
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


__all__ = [
    "Elsewhere",
    "User",
    "find_users",
    "insisting",
    "look_elsewhere",
    "may_be_needed_elsewhere",
    "refuse_identity_elsewhere",
    "refuse_if_silent",
    "silence",
    "users_elsewhere",
]
