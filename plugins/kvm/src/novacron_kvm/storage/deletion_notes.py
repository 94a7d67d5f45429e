"""Notes of files that are being deleted with their VM: a process that is killed meanwhile leaves the note, and a later one finishes.

Once the definition of a VM is gone, nothing else says which files were made for it. So libvirt gets a secret without a value before, whose
description lists these files. Nothing of it is secret: it is a record that libvirt keeps on the host, also when the host is restarted.

A note is certain when libvirt has removed the definition. Only then are files deleted by it, and only those that nobody has written to,
replaced or begun to use since. Files of an uncertain note, whose VM is gone, are reported: another tool may have removed the definition and
kept the files.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any

import libvirt
import msgspec

from novacron.conversion import decode
from novacron_kvm.storage.host_files import looks_of
from novacron_kvm.storage.volume_files import find_path
from novacron_kvm.xml.markup import element, text
from novacron_kvm.xml.parsing import parse

SPACE = uuid.UUID("0b7a2c52-6a77-4d0c-8d1b-0a4a4d0be6a1")
USAGE = "novacron deletes the files of "
"""How the usage of such a secret begins; the UUID of the VM follows. libvirt lists usages without a call for each secret."""


class Note(msgspec.Struct, frozen=True):
    """The files that are deleted with a VM.

    Attributes:
        vm: UUID of the VM.
        name: its name.
        files: the times of the last change of each file, by path.
        certain: whether libvirt has removed the definition of the VM.
    """

    vm: str
    name: str
    files: Mapping[str, str]
    certain: bool = False


def write(conn: Any, note: Note) -> None:
    """Keep a note on the host, or replace it. Without one, a process that is killed leaves the files."""
    definition = element(
        "secret",
        text("uuid", _id_of(note.vm)),
        text("description", msgspec.json.encode(note).decode()),
        element("usage", text("volume", USAGE + note.vm), type="volume"),
        ephemeral="no",
        private="yes",
    )
    with suppress(libvirt.libvirtError):  # not allowed, or there are no secrets on that host
        conn.secretDefineXML(definition)


def remove(conn: Any, vm: str) -> None:
    """Remove the note of a VM, if there is one."""
    with suppress(libvirt.libvirtError):
        conn.secretLookupByUUIDString(_id_of(vm)).undefine()


def notes(conn: Any) -> Iterator[Note]:
    """Yield the notes of a host whose VMs are gone, in one call and two more for each of them."""
    try:
        secrets = conn.listAllSecrets(0)
    except libvirt.libvirtError:
        return  # there are no secrets on that host
    for secret in secrets:
        if (secret.usageID() or "").startswith(USAGE):
            with suppress(libvirt.libvirtError, msgspec.MsgspecError):  # it is gone, or another tool wrote it
                note = decode(parse(secret.XMLDesc(0)).findtext("description") or "", Note)
                if not _is_there(conn, note.vm):
                    yield note


def spare(conn: Any, paths: Collection[str]) -> None:
    """Take files out of the notes of VMs that are gone: something begins to use them, so they are not left over from these VMs any more."""
    for note in [*notes(conn)]:
        left = {path: changed for path, changed in note.files.items() if path not in paths}
        if not left:
            remove(conn, note.vm)
        elif len(left) < len(note.files):
            write(conn, msgspec.structs.replace(note, files=left))


def last_change(conn: Any, path: str) -> str | None:
    """Return the times of the last change of a file; None if it is in no storage pool, or is no file.

    The time of its content alone would not tell a file from an older one that a backup has restored with its time.
    """
    volume = find_path(conn, path)
    looks = looks_of(volume) if volume is not None else None
    return " ".join(map(str, looks[-2:])) if looks else None


def _is_there(conn: Any, vm: str) -> bool:
    try:
        return bool(conn.lookupByUUIDString(vm))
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return False


def _id_of(vm: str) -> str:
    return str(uuid.uuid5(SPACE, vm))


__all__ = ["Note", "last_change", "notes", "remove", "spare", "write"]
