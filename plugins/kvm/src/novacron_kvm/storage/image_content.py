"""Rejects images whose headers refer to files of the host that nobody gave them.

libvirt guesses the format of each file when it reads a storage pool. A guest can write the header of a qcow2 image into its raw disk, with
`/etc/shadow` or the disk of another VM as the backing file. An image from elsewhere can have such a header, too. Whoever copies these files
in the format that libvirt guessed gives their content to the guest.
"""

from __future__ import annotations

import io
from typing import Any, BinaryIO, cast

import libvirt

from novacron.errors import ImageError, StorageError
from novacron.image_headers import EXAMINED, reference
from novacron_kvm.storage.streams import read_beginning
from novacron_kvm.storage.volume_files import find_path, volume_of_disk
from novacron_kvm.xml.parsing import parse, text_of
from novacron_kvm.xml.reading import disk as disk_record

IMAGES = frozenset({"cow", "parallels", "qcow", "qcow2", "qed", "vdi", "vhdx", "vmdk", "vpc"})
"""The formats whose headers may refer to other files."""


def format_of(element: Any) -> str:
    """Return the format in which a VM uses a `<disk>`."""
    return text_of(element, "driver/@type") or "raw"


def refuse_other_format(name: str, guessed: str, used_as: str) -> None:
    """Reject a disk that its VM uses as raw, and that libvirt takes for an image.

    Args:
        name: the volume's name.
        guessed: the format by libvirt's record of the volume.
        used_as: the format in the VM's definition.

    Raises:
        ImageError: they differ.
    """
    if used_as == "raw" and guessed in IMAGES:
        raise ImageError(
            f"the raw disk {name!r} begins like an image of the format {guessed}: its guest wrote that header",
            resource=name,
            hint="copy what is in it within the guest, or download it; NovaCron does not follow that header",
        )


def refuse_references(conn: Any, volume: Any, *, backing: bool = True) -> None:
    """Reject an image that needs files outside of the storage pools, or that a VM writes as raw.

    Args:
        conn: libvirt's connection.
        volume: libvirt's volume.
        backing: whether backing files in storage pools are allowed.

    Raises:
        ImageError: it does. The error does not name the other file.
    """
    seen, path = set[str](), str(volume.path())
    while volume is not None and volume.path() not in seen:
        seen.add(str(volume.path()))
        root = parse(volume.XMLDesc(0))
        if text_of(root, "target/format/@type") not in IMAGES:
            return
        below = text_of(root, "backingStore/path")
        needed = reference(read_beginning(conn, volume)) or ("a backing file" if below else "")
        if not needed:
            return
        if needed != "a backing file" or not backing or not below or (volume := find_path(conn, below)) is None:
            where = (
                " that is in no storage pool" if needed == "a backing file" and backing else ", which NovaCron does not follow"
            )
            raise _refused(path, f"needs {needed}{where}")
        if _raw_disk(conn, path):
            raise _refused(path, "is the raw disk of a VM, whose guest wrote its header")


def complete(source: BinaryIO, name: str) -> BinaryIO:
    """Return a file that has the whole content of an image, from where the file stands.

    Args:
        source: the file.
        name: the name of the volume, for the error.

    Raises:
        ImageError: the image needs other files.
        StorageError: the file can't be read.
    """
    try:
        begun = b""
        while len(begun) < EXAMINED and (piece := source.read(EXAMINED - len(begun))):  # a pipe gives less than asked
            begun += piece
    except OSError as error:
        raise StorageError(f"the file for {name!r} can't be read: {error}", resource=name, outcome="not_sent") from error
    if needed := reference(begun):
        raise ImageError(
            f"the image for {name!r} needs {needed}: a file of the host would be shown to the guest",
            resource=name,
            hint="upload a complete image (`qemu-img convert`)",
            outcome="not_sent",
        )
    try:
        source.seek(-len(begun), io.SEEK_CUR)
    except (OSError, ValueError, AttributeError):
        return cast(BinaryIO, _Resumed(begun, source))
    return source


class _Resumed:
    """A file that can't seek, whose first bytes were read already."""

    def __init__(self, begun: bytes, rest: BinaryIO) -> None:
        self._begun, self._rest = begun, rest

    def read(self, size: int = -1) -> bytes:
        if self._begun:
            found, self._begun = (self._begun, b"") if size < 0 else (self._begun[:size], self._begun[size:])
            return found
        return self._rest.read(size)


def _refused(path: str, why: str) -> ImageError:
    return ImageError(
        f"the image {path} {why}: a file of the host would be shown to the guest",
        resource=path,
        hint="use a complete image (`qemu-img convert`), or make a storage pool of the folder of its backing file",
    )


def _raw_disk(conn: Any, path: str) -> bool:
    """Return whether a VM uses a file as a raw disk."""
    for domain in conn.listAllDomains(0):
        try:
            text = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        except libvirt.libvirtError:
            continue  # it is gone
        if path in text or "type='volume'" in text:
            disks = parse(text).iterfind("devices/disk")
            if any(format_of(e) == "raw" and e.get("device", "disk") == "disk" and _path_of(conn, e) == path for e in disks):
                return True
    return False


def _path_of(conn: Any, element: Any) -> str | None:
    """Return the path of a disk's file, also if the definition names it as a volume of a storage pool."""
    if element.get("type") == "volume":
        volume = volume_of_disk(conn, element)
        return None if volume is None else str(volume.path())
    return disk_record(element).source


__all__ = ["IMAGES", "complete", "format_of", "refuse_other_format", "refuse_references"]
