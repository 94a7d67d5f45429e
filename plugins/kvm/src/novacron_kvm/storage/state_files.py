"""What a VM keeps beside its disks on its host: UEFI variables (NVRAM) and the state of its TPM.

libvirt keeps neither with a snapshot that has no memory in it, and offers no way to copy them. A storage pool of their folder does: it is
made for the moment of copying, and works for a remote host as for this one.
"""

from __future__ import annotations

import io
import re
import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import libvirt
from lxml import etree

from novacron.errors import BusyError, InvalidStateError
from novacron.jobs import Job
from novacron_kvm.storage.busy_pools import refresh_if_free
from novacron_kvm.storage.image_content import refuse_references
from novacron_kvm.storage.streams import download, upload
from novacron_kvm.storage.volume_files import remove_volume
from novacron_kvm.xml.parsing import parse, serialise, text_of
from novacron_kvm.xml.sources import boot_file, normalised
from novacron_kvm.xml.storage import volume_xml

NVRAM_FOLDER = "/var/lib/libvirt/qemu/nvram"
VARIABLES = ("/libvirt/qemu/nvram", "/lib/qemu/nvram")
"""How libvirt's folders of UEFI variables end: that of the system and those of users, and that of `qemu:///embed`."""
OF_USER = ("/session", "/embed")
"""The paths of the URIs whose libvirt has folders of its own."""
TPM_FOLDER = "/var/lib/libvirt/swtpm"
PREFIX = "novacron-state-"
"""How the names of our pools begin: each lives for the moment of copying."""
PATIENCE = 10.0
"""Seconds after which a pool of ours that is still there is taken to be left by a process that died."""


def state_folders(root: Any) -> dict[str, list[str]]:
    """Return where a VM has state files, each folder with the files' names, none meaning all; empty when it has none."""
    found = {}
    if nvram := boot_file(root, "os/nvram"):
        path = PurePosixPath(nvram)
        found[str(path.parent)] = [path.name]
    elif text_of(root, "os/@firmware") == "efi":  # libvirt names it when the VM starts
        found[NVRAM_FOLDER] = _variables_of(root.findtext("name"))
    backend = root.find("devices/tpm/backend[@type='emulator']")
    if backend is not None:
        version = "tpm1.2" if backend.get("version") == "1.2" else "tpm2"
        found[f"{TPM_FOLDER}/{root.findtext('uuid')}/{version}"] = []
    return found


def foreign_variables(conn: Any, root: Any) -> str | None:
    """Return the UEFI variables (NVRAM) of a VM if they are not its own; None if they are, or if it has none."""
    return None if owns_variables(conn, root) else boot_file(root, "os/nvram")


def owns_variables(conn: Any, root: Any) -> bool:
    """Return whether the UEFI variables (NVRAM) of a VM are in libvirt's folder, and no other VM names them.

    A definition from elsewhere can name any file of the host, and libvirt deletes whatever is named together with the VM.
    """
    path = _variables(root)
    if path is None:
        return True
    return str(PurePosixPath(path).parent).endswith(VARIABLES) and not _users_of_variables(
        conn, {path}, but=root.findtext("uuid")
    )


def _users_of_variables(conn: Any, paths: Collection[str], but: str) -> list[str]:
    """Return the names of the VMs whose definitions name files as their UEFI variables, except the VM `but`."""
    found = []
    for domain in conn.listAllDomains(0):
        try:
            other = parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        except libvirt.libvirtError:
            continue  # it was deleted meanwhile
        if _variables(other) in paths and other.findtext("uuid") != but:
            found.append(other.findtext("name"))
    return found


@contextmanager
def renaming_variables(conn: Any, domain: Any, name: str) -> Iterator[None]:
    """Let a VM's UEFI variables follow it to another name, which it gets in the block.

    libvirt finds them by the VM's name, and leaves them behind: the VM would start with new ones, without its boot entries and keys, and
    the next VM of its old name would get them. Until the VM has its new name, the old files stay; so do files that another VM names. Where
    a user's libvirt (`qemu:///session`) has them is not known: there they are left behind.

    Raises:
        InvalidStateError: a VM of another name uses the files of the new name.
    """
    root = parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    if boot_file(root, "os/nvram") or text_of(root, "os/@firmware") != "efi":
        yield  # its definition names them, or it has none
        return
    if urlsplit(conn.getURI()).path in OF_USER:
        yield
        return
    old, new = (_variables_of(each) for each in (domain.name(), name))
    users = _users_of_variables(conn, {f"{NVRAM_FOLDER}/{file}" for file in new}, but=domain.UUIDString())
    if users:
        raise InvalidStateError(
            f"can't rename {domain.name()!r}: its UEFI variables would be those of {', '.join(map(repr, users))}",
            resource=domain.name(),
            hint="choose another name",
        )
    with _pool_of(conn, NVRAM_FOLDER) as pool:
        there = _names(pool, old)
        for before, after in zip(old, new, strict=True):
            if before in there:
                _copy(pool.storageVolLookupByName(before), pool, after)
            elif pool is not None:
                remove_volume(pool, after)  # left by a VM that is gone
        try:
            yield
        finally:
            unneeded = old if conn.lookupByUUIDString(domain.UUIDString()).name() == name else new
            for file in unneeded if there else ():
                if not _users_of_variables(conn, {f"{NVRAM_FOLDER}/{file}"}, but=domain.UUIDString()):
                    remove_volume(pool, file)


def _variables_of(name: str) -> list[str]:
    """Return how libvirt names the UEFI variables of a VM."""
    return [f"{name}_VARS.{suffix}" for suffix in ("fd", "qcow2")]


def _variables(root: Any) -> str | None:
    path = boot_file(root, "os/nvram")
    return normalised(path) if path else None


def copy_state(conn: Any, root: Any, pool: Any, label: str, undo: ExitStack) -> list[str]:
    """Copy a VM's state files to a pool, the copies' names beginning with `label`; return their paths. `undo` removes them.

    No two calls give the same names: `undo` removes nothing that another process has copied.
    """
    made, label = [], unique(label)
    for folder, names in state_folders(root).items():
        with _pool_of(conn, folder) as there:
            for name in _names(there, names):
                copy = f"{label}.{PurePosixPath(folder).name}.{name}"
                undo.callback(remove_volume, pool, copy)
                made.append(str(_copy(there.storageVolLookupByName(name), pool, copy).path()))
    return made


def unique(label: str) -> str:
    """Return the beginning of the names of files that belong together; no snapshot's name has this sign."""
    return f"{label}~{uuid.uuid4().hex[:8]}"


class Copy(NamedTuple):
    """A file that `copy_state` made of the state file `name` in `folder`."""

    path: str
    folder: str
    name: str


def copies_of(root: Any, label: str, paths: Iterable[str]) -> list[Copy]:
    """Return which of some files `copy_state` made of a VM's state files with this label."""
    found, paths = list[Copy](), list(paths)
    for folder, names in state_folders(root).items():
        pattern = re.compile(rf"{re.escape(label)}(~[0-9a-f]{{8}})?\.{re.escape(PurePosixPath(folder).name)}\.(?P<name>.+)")
        matches = [(path, match["name"]) for path in paths if (match := pattern.fullmatch(PurePosixPath(path).name))]
        found += [Copy(path, folder, name) for path, name in matches if not names or name in names]
    return found


def restore_state(conn: Any, root: Any, pool: Any, label: str, made: Sequence[str]) -> None:
    """Put a VM's state files back as they were copied; what was not there then is removed.

    Args:
        made: files that were made for the VM, in this order: if a process died while it took the snapshot, it has left earlier copies.
    """
    refresh_if_free(pool)
    order = {PurePosixPath(path).name: number for number, path in enumerate(made)}
    copies = copies_of(root, label, sorted(pool.listVolumes(), key=lambda name: order.get(name, -1)))
    for folder, names in state_folders(root).items():
        kept = {copy.name: copy.path for copy in copies if copy.folder == folder}
        with _pool_of(conn, folder) as there:
            if there is None:
                continue  # the VM has never run
            for name, copy in kept.items():
                _copy(pool.storageVolLookupByName(copy), there, name)
            for name in {*_names(there, names)} - {*kept}:
                remove_volume(there, name)


class StateFile(NamedTuple):
    """A state file of a VM, with what it takes to make it anew. `content` may be firmware variables or a TPM's keys: never shown."""

    folder: str
    name: str
    content: bytes
    permissions: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        return f"<StateFile {self.folder}/{self.name}>"


def read_state(conn: Any, root: Any) -> list[StateFile]:
    """Return a VM's state files, as its host has them."""
    found = []
    for folder, names in state_folders(root).items():
        with _pool_of(conn, folder) as pool:
            for name in _names(pool, names):
                volume, content = pool.storageVolLookupByName(name), io.BytesIO()
                download(conn, volume, content, Job("read", name))
                found.append(StateFile(folder, name, content.getvalue(), _permissions(volume)))
    return found


def write_state(conn: Any, files: Iterable[StateFile]) -> None:
    """Write state files to a host, their folders too; one that is there is replaced."""
    for file in files:
        with _pool_of(conn, file.folder, build=True) as pool:
            remove_volume(pool, file.name)
            volume = pool.createXML(_definition(file.name, len(file.content), file.permissions), 0)
            upload(conn, volume, io.BytesIO(file.content), Job("write", file.name))


def remove_state(conn: Any, files: Iterable[StateFile]) -> None:
    """Delete state files from a host."""
    for file in files:
        with _pool_of(conn, file.folder) as pool:
            if pool is not None:
                remove_volume(pool, file.name)


def _names(pool: Any, names: list[str]) -> list[str]:
    """Return which of a folder's files are the VM's: those named, or all but locks."""
    there = [] if pool is None else pool.listVolumes()
    return [name for name in there if (name in names if names else not name.startswith("."))]


def _copy(volume: Any, pool: Any, name: str) -> Any:
    """Copy a small file, its owner and mode with it; one that is there is replaced."""
    refuse_references(volume.connect(), volume, backing=False)  # a guest without Secure Boot can write any header into its NVRAM
    definition = _definition(name, volume.info()[1], _permissions(volume))
    remove_volume(pool, name)
    return pool.createXMLFrom(definition, volume, 0)


def _permissions(volume: Any) -> tuple[tuple[str, str], ...]:
    root = parse(volume.XMLDesc(0))
    return tuple((tag, text_of(root, f"target/permissions/{tag}") or "") for tag in ("mode", "owner", "group"))


def _definition(name: str, size: int, permissions: Iterable[tuple[str, str]]) -> str:
    root = parse(volume_xml(name, size, "raw", None))
    owner = etree.SubElement(root.find("target"), "permissions")
    for tag, value in permissions:
        etree.SubElement(owner, tag).text = value
    return serialise(root)


@contextmanager
def _pool_of(conn: Any, folder: str, *, build: bool = False) -> Iterator[Any]:
    """Give a storage pool of a folder, None when there is no such folder (unless it is to be made); an administrator's is used."""
    pool, own = _opened(conn, folder, build=build)
    try:
        yield pool
    finally:
        if own:
            pool.destroy()


def _opened(conn: Any, folder: str, *, build: bool) -> tuple[Any, bool]:
    root = etree.Element("pool", type="dir")
    etree.SubElement(root, "name").text = PREFIX + uuid.uuid4().hex[:12]
    etree.SubElement(etree.SubElement(root, "target"), "path").text = folder
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return conn.storagePoolCreateXML(serialise(root), libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD if build else 0), True
        except libvirt.libvirtError as error:
            there = _existing(conn, folder)
            if there is None and error.get_error_code() == libvirt.VIR_ERR_SYSTEM_ERROR and error.get_int1() == 2:
                return None, False
            if there is None and time.monotonic() > deadline:
                raise
        if there is not None and not there.name().startswith(PREFIX):
            refresh_if_free(there)
            return there, False
        if time.monotonic() > deadline:
            if there is None:
                raise BusyError(f"somebody else copies files of {folder}", hint="try again")
            _destroy(there)  # its maker is dead
            deadline += PATIENCE
        time.sleep(0.05)


def _existing(conn: Any, folder: str) -> Any:
    try:
        return conn.storagePoolLookupByTargetPath(folder)
    except libvirt.libvirtError:
        return None


def _destroy(pool: Any) -> None:
    try:
        pool.destroy()
    except libvirt.libvirtError:
        pass  # it is gone


__all__ = [
    "StateFile",
    "copies_of",
    "copy_state",
    "foreign_variables",
    "owns_variables",
    "read_state",
    "remove_state",
    "renaming_variables",
    "restore_state",
    "state_folders",
    "unique",
    "write_state",
]
