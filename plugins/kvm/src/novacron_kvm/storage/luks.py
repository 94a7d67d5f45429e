"""Passphrases of encrypted volumes: lent to libvirt as private secrets in its memory, while a volume is made or a VM has it.

A VM's own facts say by which names NovaCron knows them; libvirt forgets the values when its daemon ends, so that they are lent anew
whenever a VM starts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import libvirt

from novacron.errors import UnsupportedOperationError
from novacron.secrets import Secrets
from novacron_kvm.definitions import validation
from novacron_kvm.domains.metadata import facts_of
from novacron_kvm.xml.parsing import text_of
from novacron_kvm.xml.storage import secret_identity, secret_xml


def provide_secret(secrets: Secrets, connection: Any, path: str, name: str) -> str:
    """Let libvirt know the passphrase of a volume; return the identity that it knows it by.

    Raises:
        SecretNotFoundError: NovaCron has no secret of that name.
    """
    value = secrets.get(name)
    lent = connection.secretDefineXML(secret_xml(path, name), validation(connection, "secret"))
    try:
        lent.setValue(value.encode(), 0)
    except libvirt.libvirtError:
        lent.undefine()
        raise
    return secret_identity(path)


def forget_secret(connection: Any, path: str) -> None:
    """Let libvirt forget the passphrase of a volume."""
    try:
        connection.secretLookupByUUIDString(secret_identity(path)).undefine()
    except libvirt.libvirtError:
        pass  # it has forgotten it already


@contextmanager
def secret_provided(secrets: Secrets, connection: Any, path: str, name: str | None) -> Iterator[str | None]:
    """Lend the passphrase of a volume, if it has one, while something is done with it."""
    if name is None:
        yield None
        return
    identity = provide_secret(secrets, connection, path, name)
    try:
        yield identity
    finally:
        forget_secret(connection, path)


def secret_names(domain: Any) -> dict[str, str]:
    """Return the names of the secrets of a VM's encrypted volumes, by path."""
    return dict(facts_of(domain).secrets)


def provide_secrets(secrets: Secrets, connection: Any, names: Mapping[str, str], undo: ExitStack | None = None) -> None:
    """Lend the passphrases of a VM's volumes; `undo` takes them back."""
    for path, name in names.items():
        provide_secret(secrets, connection, path, name)
        if undo is not None:
            undo.callback(forget_secret, connection, path)


def forget_secrets(connection: Any, names: Mapping[str, str]) -> None:
    """Let libvirt forget the passphrases of a VM's volumes."""
    for path in names:
        forget_secret(connection, path)


def refuse_encrypted(name: str, disks: list[Any], verb: str) -> None:
    """Refuse what would write the content of an encrypted disk down in the clear.

    Raises:
        UnsupportedOperationError: one of the <disk>s is encrypted.
    """
    encrypted = [str(text_of(disk, "target/@dev")) for disk in disks if disk.find(".//encryption") is not None]
    if encrypted:
        raise UnsupportedOperationError(
            f"can't {verb} {name!r}: its content would be written in the clear, and {', '.join(encrypted)} is encrypted",
            resource=name,
            hint="attach the encrypted disk to another VM, or copy within the guests",
        )


__all__ = [
    "provide_secret",
    "provide_secrets",
    "secret_provided",
    "secret_names",
    "refuse_encrypted",
    "forget_secrets",
    "forget_secret",
]
