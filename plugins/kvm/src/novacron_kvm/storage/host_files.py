"""The files of a host's storage, and which of them each disk means, whatever it calls them.

libvirt compares paths as text. The same file has many names: `/images/./a`, a symbolic link to it or to its folder, a hard link, or a
volume of a storage pool (`<source pool= volume=>`). `HostFiles` reads the storage pools once for one operation and then tells whether two
names are the same file: all that libvirt says of it is equal, that is owner, mode, sizes, content format, backing file and the time stamps
in nanoseconds. If the file was written lately, one name is looked at before and after the other. A file outside all pools is looked at
through a temporary pool of its folder, so this also works on hosts that only libvirt can reach.

Linux takes time stamps from a clock that ticks 100 to 1,000 times a second, so different files that were last written at the same moment
can be equal in all this. They are then taken for the same, except those that NovaCron made for different VMs in one folder.
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
READING = Decimal(3600)
"""More seconds than it takes to look at all files of a host."""
LOOKS = 20
"""How often a file is looked at that changes all the time, until it is taken for the same as another."""
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
        self._newest = Decimal(0)
        self._later: dict[str, File | None] = {}
        self._first: dict[tuple[str | None, ...], str] = {}
        self._folders: set[str] = set()
        self._pools: dict[str, Any] = {}
        self._parts: dict[str, list[str]] = {}
        self._made: dict[str, set[str]] = defaultdict(set)
        self._with_parts = False
        for pool in connection.listAllStoragePools(ACTIVE):
            self._read(pool)

    def name(self, path: str) -> str:
        """Return the name under which the file of a path is known. The name of a network image or a device is itself."""
        if _has_prefix(path):
            return path
        found = normalised(path)
        self._look_at(found)
        if ".." in path:  # a symbolic link may stand before it, and then the text alone misleads
            self._look_at(path, as_written=True)
            found = path if path in self._files else found
        return found if found in self._files else self._by_libvirt(path) or found

    def name_of(self, source: Any) -> str | None:
        """Return the name of the file of a disk's <source>, None for an empty drive."""
        written = source.get("file")
        if written and source.getparent().get("type", "file") == "file":
            return self.name(written)
        found = source_key(source, self._volume_name)
        return self.name(found) if found and found.startswith("/") else found

    def _volume_name(self, pool: str, volume: str) -> str | None:
        """Return the name of the file of a volume; of one in an inactive pool, by its folder."""
        for file in self._files.values():
            if (file.pool, file.name) == (pool, volume):
                return file.key
        try:
            folder = text_of(parse(self._connection.storagePoolLookupByName(pool).XMLDesc(0)), "target/path")
        except libvirt.libvirtError:
            return None
        return self.name(f"{folder}/{volume}") if folder else None

    def key(self, path: str) -> str:
        """Return the first name of all that looked the same as a path when the pools were read."""
        name = self.name(path)
        return self._aliases.get(name, name)

    def file(self, path: str) -> File | None:
        """Return what is known of a file, None if it is in no folder that libvirt can read."""
        return self._files.get(self.name(path))

    def chain(self, path: str) -> list[str]:
        """Return the name of a file and those of all that it is backed by, from the top down.

        After `look_for_parts`, the other files that have the content of each image are among them.
        """
        found: list[str] = []
        name = self.name(path) if path.startswith("/") else path
        while name and name not in found:
            found.append(name)
            self._look_at(name)
            found += self._parts_of(name) if self._with_parts else []
            file = self._files.get(name)
            below = file.backing if file else None
            name = self.name(below) if below and below.startswith("/") else below or ""
        return found

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
        """Return the names of all files that a VM needs: those of its definitions and snapshots, with their backing chains."""
        found: set[str] = set()
        made = self._made[domain.UUIDString()]
        for root in (*map(parse, _definitions(domain)), *_snapshots(domain)):
            facts = VMFacts.read(root)
            made.update(facts.made)
            names = {name for source in sources(root) if (name := self.name_of(source))}
            names |= {self.name(path) for path in (*beside_disks(root), *facts.switching.values())}
            for name in names - found:
                found.update(self.chain(name))
        return found

    def users(self, paths: Iterable[str], *, only_running: bool = False, made: bool = False) -> dict[str, dict[str, str]]:
        """Return which VMs need each of some files: by path as it was given, the names of the VMs by UUID.

        Args:
            made: NovaCron made the files, for a VM that need not be defined any more.
        """
        wanted = {path: self.name(path) for path in paths}
        self.look_for_parts(wanted)
        found: dict[str, dict[str, str]] = defaultdict(dict)
        needs: dict[str, set[str]] = {}
        for domain in self._connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE if only_running else 0):
            try:
                used, identity, vm = self.used_by(domain), domain.UUIDString(), domain.name()
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                    raise
                continue  # it was deleted meanwhile
            needs[identity] = used
            for path, name in wanted.items():
                if name in used or any(self.is_same(name, other) for other in used):
                    found[path][identity] = vm
        for path, vms in found.items():
            if made or any(path in files for files in self._made.values()):
                for identity in [each for each in vms if self._has_only_its_own(each, path, needs[each])]:
                    del vms[identity]
        return found

    def _has_only_its_own(self, vm: str, path: str, needs: set[str]) -> bool:
        """Whether NovaCron made for a VM all that it needs and that looks the same as a file which it made in the same folder."""
        if path in self._made[vm]:
            return False
        name = self.name(path)
        own = {self.name(each) for each in self._made[vm] if posixpath.dirname(each) == posixpath.dirname(path)} - {name}
        return not any(self.is_same(name, other) for other in needs - own)

    def writers(self, path: str, *, only_running: bool = False) -> list[str]:
        """Return the names of the VMs that can write to a file: it is the file of a disk of theirs, not one that a disk is backed by."""
        name, found = self.name(path), set[str]()
        for domain in self._connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE if only_running else 0):
            try:
                texts, vm = _definitions(domain), domain.name()
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                    raise
                continue  # it was deleted meanwhile
            disks = [disk for root in map(parse, texts) for disk in root.iterfind("devices/disk") if is_writable(disk)]
            names = {other for disk in disks if (source := disk.find("source")) is not None and (other := self.name_of(source))}
            if any(self.is_same(name, other) for other in names):
                found.add(vm)
        return sorted(found)

    def is_same(self, name: str, other: str) -> bool:
        """Whether two names are the same file. Two that are written all the time and always look the same are taken for one."""
        if name == other:
            return True
        first, second = self._files.get(name), self._files.get(other)
        if first is None or second is None or first.inode != second.inode or not (_has_stamps(first) and _has_stamps(second)):
            return False
        lately = self._newest - READING
        if max(first.changed_at, second.changed_at) < lately:  # neither was written since we looked at the other
            return first.looks == second.looks
        if name not in self._later:
            self._later[name] = self._again(first)
        before = self._later[name]
        if before is not None and second.changed_at > before.changed_at:
            return False  # the first was looked at last, and still has not changed
        for _ in range(LOOKS):
            between, after = self._again(second), self._again(first)
            if before is None or between is None or after is None:
                return first.looks == second.looks  # one of them is gone
            if before.looks == after.looks != between.looks:
                return False
            before = after
        return True

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
        self._later.clear()
        if not _has_stamps(file):
            return
        self._newest = max(self._newest, file.changed_at)
        first = self._first.setdefault(file.looks, file.key)
        if first != file.key:
            self._aliases[file.key] = first


def _has_stamps(file: File) -> bool:
    """Whether time stamps tell files apart: those of devices and network images do not."""
    return file.key.startswith("/") and not file.key.startswith("/dev/") and bool(file.changes[-1])


def looks_of(volume: Any) -> tuple[str | None, ...] | None:
    """Return what libvirt says of a volume now: it changes with each write and each new owner. None if no time stamps tell that."""
    file = _described(volume, "")
    return file.looks if _has_stamps(file) else None


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


__all__ = ["File", "HostFiles", "is_writable", "looks_of"]
