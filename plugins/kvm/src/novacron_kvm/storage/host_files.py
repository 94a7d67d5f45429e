"""The files of a host's storage, and which of them each disk means, whatever it calls them.

libvirt compares paths as text. The same file has many names: `/images/./a`, a symbolic link to it or to its folder, a hard link, or a
volume of a storage pool (`<source pool= volume=>`). `HostFiles` reads the storage pools once for one operation and gives each file one key.
Two names are the same file when all that libvirt says of it is equal: owner, mode, sizes, content format, backing file and the time
stamps in nanoseconds. A file that is written meanwhile is recognised by a change time between two looks at the other name. A file outside
all pools is looked at through a temporary pool of its folder, so this also works on hosts that only libvirt can reach.

Linux takes time stamps from a clock that ticks 100 to 1,000 times a second, so files that are made at the same moment can be equal in all
this. Those that NovaCron made in one folder are known to be different. Of others, all backing files are taken for needed.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

import libvirt

from novacron.errors import NovaCronError
from novacron.image_headers import EXAMINED, data_files
from novacron_kvm.domains.snapshots import snapshots_of
from novacron_kvm.storage.folders import pool_of_folder
from novacron_kvm.storage.streams import read_beginning
from novacron_kvm.xml.facts import VMFacts
from novacron_kvm.xml.parsing import parse, text_of
from novacron_kvm.xml.sources import backing_key, beside_disks, normalised, source_key, sources

ACTIVE = libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE
INACTIVE_XML = libvirt.VIR_DOMAIN_XML_INACTIVE
INODE = ("target/permissions/mode", "target/permissions/owner", "target/permissions/group", "capacity", "target/format/@type")
SPLIT_FORMATS = ("qcow2", "vmdk")
"""Formats of images that can have their content in other files. libvirt 9.0 does not report these files."""
CHANGED = ("physical", "allocation", "target/timestamps/mtime", "target/timestamps/ctime")


class File(NamedTuple):
    """A file that libvirt lists.

    Attributes:
        inode: what stays the same as long as nobody changes the file's attributes.
        changes: sizes and time stamps; these change with each write.
    """

    key: str
    name: str
    pool: str
    backing: str | None
    inode: tuple[str | None, ...]
    changes: tuple[str | None, ...]

    @property
    def format(self) -> str | None:
        """The format of the content: libvirt recognises it when it reads the pool."""
        return self.inode[-1]

    @property
    def looks(self) -> tuple[str | None, ...]:
        """All that is equal for two names of one file."""
        return (posixpath.basename(self.backing or ""), *self.inode, *self.changes)

    @property
    def changed_at(self) -> Decimal:
        """The time of the last change, in seconds."""
        return Decimal(self.changes[-1] or 0)


class HostFiles:
    """All files in the storage pools of a host, as they are now.

    Args:
        connection: libvirt's connection; temporary pools are made on it when a disk is outside all pools.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._files: dict[str, File] = {}
        self._aliases: dict[str, str] = {}
        self._names: dict[str, set[str]] = defaultdict(set)
        self._first: dict[tuple[str | None, ...], str] = {}
        self._folders: set[str] = set()
        self._pools: dict[str, Any] = {}
        self._parts: dict[str, list[str]] = {}
        self._made: dict[str, set[str]] = defaultdict(set)
        self._with_parts = False
        for pool in connection.listAllStoragePools(ACTIVE):
            self._read(pool)

    def key(self, path: str) -> str:
        """Return the key of a path. Two paths of one file have the same key. The key of a network image or a device is itself."""
        if _has_prefix(path):
            return path
        found = normalised(path)
        self._look_at(found)
        if ".." in path:  # a symbolic link may stand before it, and then the text alone misleads
            self._look_at(path, as_written=True)
            found = path if path in self._files else found
        if found not in self._files:
            found = self._by_libvirt(path) or found
        return self._aliases.get(found, found)

    def key_of(self, source: Any) -> str | None:
        """Return the key of a <source> of a disk, None for an empty drive."""
        written = source.get("file")
        if written and source.getparent().get("type", "file") == "file":
            return self.key(written)
        found = source_key(source, self.volume_key)
        return self.key(found) if found and found.startswith("/") else found

    def volume_key(self, pool: str, volume: str) -> str | None:
        """Return the key of a volume by the names of its pool and itself; of an inactive pool, by its folder."""
        for file in self._files.values():
            if (file.pool, file.name) == (pool, volume):
                return self._aliases.get(file.key, file.key)
        try:
            folder = text_of(parse(self._connection.storagePoolLookupByName(pool).XMLDesc(0)), "target/path")
        except libvirt.libvirtError:
            return None
        return self.key(f"{folder}/{volume}") if folder else None

    def file(self, path: str) -> File | None:
        """Return what is known of a file, None if it is in no folder that libvirt can read."""
        return self._files.get(self.key(path))

    def chain(self, key: str) -> list[str]:
        """Return a file's key and those of all that it is backed by, from the top down.

        After `look_for_parts`, the other files that have the content of each image are among them.
        """
        found: list[str] = []
        following = [key]
        while following:
            key = following.pop()
            if key in found:
                continue
            found.append(key)
            self._look_at(key)
            for file in self._alike(key) if self._with_parts else ():
                found += self._parts_of(file.key)
            following += self._below(key)
        return found

    def _alike(self, key: str) -> list[File]:
        """Return what has a key: one file under each of its names, and rarely different files that look the same."""
        return [self._files[name] for name in (key, *self._names[key]) if name in self._files]

    def _below(self, key: str) -> set[str]:
        """Return the keys of what the file of a key is directly backed by."""
        backing = [file.backing for file in self._alike(key) if file.backing]
        return {self.key(path) if path.startswith("/") else path for path in backing}

    def look_for_parts(self, paths: Iterable[str]) -> None:
        """Let `chain` also read the headers of images, if one of these files can be a part of an image."""
        files = [self.file(path) for path in paths]
        self._with_parts = self._with_parts or any(file is None or file.format in (None, "raw", "vmdk") for file in files)

    def above(self, path: str) -> list[str]:
        """Return the names of the volumes that are directly backed by a file, or that have their content in it."""
        key = self.key(path)
        self.look_for_parts([key])
        pool = self._files[key].pool if self._with_parts and key in self._files else None
        above = {
            file.name
            for file in list(self._files.values())
            if (file.backing and self._canonical(file.backing) == key)
            or (file.pool == pool and file.key != key and key in self._parts_of(file.key))
        }
        return sorted(above)

    def _parts_of(self, key: str) -> list[str]:
        """Return the keys of the other files that have the content of an image."""
        if key not in self._parts:
            file = self._files.get(key)
            header = self._header(file) if file and _may_be_split(file) else b""
            self._parts[key] = []  # an image that names itself is asked once
            named = (self._key_of_part(name, posixpath.dirname(key)) for name in data_files(header))
            self._parts[key] = [part for part in named if part]
        return self._parts[key]

    def _key_of_part(self, name: str, folder: str) -> str | None:
        """Return the key of a file that a header names; None if no file can have that name. A guest may have written the header."""
        try:
            return self.key(normalised(name, folder))
        except (ValueError, NovaCronError):
            return None

    def _header(self, file: File) -> bytes:
        with pool_of_folder(self._connection, posixpath.dirname(file.key)) as pool:
            try:
                return read_beginning(self._connection, pool.storageVolLookupByName(file.name)) if pool is not None else b""
            except (libvirt.libvirtError, NovaCronError):
                return b""  # it was deleted meanwhile

    def below(self) -> dict[str, str | None]:
        """Return the key of what each file is directly backed by, by each name of the file."""
        return {name: self._canonical(file.backing) for name, file in self._files.items()}

    def used_by(self, domain: Any) -> set[str]:
        """Return the keys of all files that a VM needs: those of its definitions and snapshots, with their backing chains."""
        found: set[str] = set()
        made = self._made[domain.UUIDString()]
        for root in (*map(parse, _definitions(domain)), *_snapshots(domain)):
            facts = VMFacts.read(root)
            made.update(facts.made)
            keys = {key for source in sources(root) if (key := self.key_of(source))}
            keys |= {self.key(path) for path in (*beside_disks(root), *facts.switching.values())}
            for key in keys - found:
                found.update(self.chain(key))
        return found

    def users(self, paths: Iterable[str], *, only_running: bool = False, made: bool = False) -> dict[str, dict[str, str]]:
        """Return which VMs need each of some files: by path as it was given, the names of the VMs by UUID.

        Args:
            made: NovaCron made the files, for a VM that need not be defined any more.
        """
        wanted = {path: self.key(path) for path in paths}
        self.look_for_parts(wanted)
        stamps = {path: file for path, key in wanted.items() if (file := self._files.get(key))}
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for domain in self._connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE if only_running else 0):
            try:
                used, identity, name = self.used_by(domain), domain.UUIDString(), domain.name()
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                    raise
                continue  # it was deleted meanwhile
            for path, key in wanted.items():
                if key in used or (path in stamps and self._written_meanwhile(stamps[path], used)):
                    found[path][identity] = name
        for path, names in found.items():
            if made or any(path in files for files in self._made.values()):
                for identity in [each for each in names if self._has_its_own(each, path)]:
                    del names[identity]
        return found

    def _has_its_own(self, vm: str, path: str) -> bool:
        """Whether NovaCron made for a VM another file, which only looks the same as one that it made in the same folder."""
        alike = [own for own in self._made[vm] if self.key(own) == self.key(path)]
        return path not in alike and any(posixpath.dirname(own) == posixpath.dirname(path) for own in alike)

    def writers(self, path: str, *, only_running: bool = False) -> list[str]:
        """Return the names of the VMs that can write to a file: it is the file of a disk of theirs, not one that a disk is backed by."""
        key, found = self.key(path), set[str]()
        for domain in self._connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE if only_running else 0):
            try:
                texts, name = _definitions(domain), domain.name()
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                    raise
                continue  # it was deleted meanwhile
            disks = [disk for root in map(parse, texts) for disk in root.iterfind("devices/disk") if is_writable(disk)]
            if key in {self.key_of(source) for disk in disks if (source := disk.find("source")) is not None}:
                found.add(name)
        return sorted(found)

    def _written_meanwhile(self, file: File, keys: set[str]) -> bool:
        """Whether one of some files is the same as `file`, which changed between our first look at it and now."""
        others = [self._files[key] for key in keys if key in self._files and key != file.key]
        likely = [other for other in others if other.inode == file.inode and other.changed_at >= file.changed_at]
        if not likely:
            return False
        now = self._again(file)
        return now is not None and any(other.changed_at <= now.changed_at for other in likely)

    def _again(self, file: File) -> File | None:
        try:
            pool = self._connection.storagePoolLookupByName(file.pool)
            return _described(pool.storageVolLookupByName(file.name), file.pool)
        except libvirt.libvirtError:
            return None

    def _canonical(self, key: str | None) -> str | None:
        return self._aliases.get(key, key) if key else None

    def _by_libvirt(self, path: str) -> str | None:
        try:
            return str(self._connection.storageVolLookupByPath(path).path())  # it knows the names of block devices
        except libvirt.libvirtError:
            return None

    def _look_at(self, path: str, *, as_written: bool = False) -> None:
        folder = posixpath.dirname(path)
        if path in self._files or folder in self._folders or not folder.startswith("/") or folder.startswith(("/dev/", "/proc")):
            return
        self._folders.add(folder)
        if folder in self._pools:
            self._refresh(self._pools[folder])  # another tool or host made the file after libvirt last looked
            return
        with pool_of_folder(self._connection, folder) as pool:
            if pool is not None:
                self._read(pool, folder if as_written else None)

    def _refresh(self, pool: Any) -> None:
        try:
            pool.refresh()
        except libvirt.libvirtError:
            return  # it was stopped, or somebody writes a volume of it
        self._read(pool)

    def _read(self, pool: Any, folder: str | None = None) -> None:
        """Take in the volumes of a pool; `folder` is its path as a definition writes it."""
        try:
            root, volumes, name = parse(pool.XMLDesc(0)), pool.listAllVolumes(0), pool.name()
        except libvirt.libvirtError:
            return  # it was stopped meanwhile
        self._pools.setdefault(normalised(text_of(root, "target/path") or "/"), pool)
        for volume in volumes:
            try:
                file = _described(volume, name)
            except libvirt.libvirtError:
                continue  # it was deleted meanwhile
            self._take_in(file._replace(key=f"{folder}/{file.name}") if folder else file)

    def _take_in(self, file: File) -> None:
        self._files[file.key] = file
        if not file.key.startswith("/") or file.key.startswith("/dev/") or not file.changes[-1]:
            return
        first = self._first.setdefault(file.looks, file.key)
        if first != file.key:
            self._aliases[file.key] = first
            self._names[first].add(file.key)


def _may_be_split(file: File) -> bool:
    """Whether a file can be an image whose content is in other files. libvirt takes the small text file that describes a VMDK for raw."""
    return file.format in SPLIT_FORMATS or int(file.changes[0] or EXAMINED) < EXAMINED


def _has_prefix(key: str) -> bool:
    """Whether a key is that of a network image, an NVMe disk or the like, not of a file."""
    return not key.startswith("/") and ":" in key


def _described(volume: Any, pool: str) -> File:
    root = parse(volume.XMLDesc(0))
    path = text_of(root, "target/path") or volume.path()
    key = path if not path.startswith("/") else normalised(path)
    if not path.startswith("/") and root.get("type") == "network":
        key = f"rbd:{path}"
    return File(
        key=key,
        name=text_of(root, "name") or "",
        pool=pool,
        backing=backing_key(text_of(root, "backingStore/path"), key),
        inode=tuple(text_of(root, field) for field in INODE),
        changes=tuple(text_of(root, field) for field in CHANGED),
    )


def is_writable(disk: Any) -> bool:
    """Whether a VM can write to the file of a <disk>."""
    return disk.get("device", "disk") in ("disk", "lun") and disk.find("readonly") is None


def _definitions(domain: Any) -> list[str]:
    """Return the XML of a VM as it is, and as it is at its next start."""
    texts = [domain.XMLDesc(0)]
    if domain.isActive() and domain.isPersistent():
        texts.append(domain.XMLDesc(INACTIVE_XML))
    return texts


def _snapshots(domain: Any) -> list[Any]:
    """Return the root elements of the definitions of a VM's snapshots."""
    try:
        return [root for _, root in snapshots_of(domain)]
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise
        return []  # the hypervisor has none


__all__ = ["File", "HostFiles", "is_writable"]
