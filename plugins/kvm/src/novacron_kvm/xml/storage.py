"""Definitions of storage pools, volumes, and the secrets that open encrypted ones."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from novacron_kvm.xml.markup import NOTHING, Markup, element, text

if TYPE_CHECKING:
    from novacron.specs.pools import StoragePoolSpec

SECRETS = uuid.UUID("9b7a3f0e-5d0a-4a53-8a51-6f4f0a1f6c55")
"""The namespace of the identities that secrets have."""


def pool_xml(spec: StoragePoolSpec) -> Markup:
    """Return a pool's definition."""
    host = element("host", name=spec.source_host) if spec.source_host else NOTHING
    where = "dir" if spec.type == "netfs" else "device"
    source = element(
        "source",
        host,
        element(where, path=spec.source_path) if spec.source_path else NOTHING,
        text("name", spec.source_name) if spec.source_name else NOTHING,
    )
    target = element("target", text("path", spec.path)) if spec.path else NOTHING
    return element("pool", text("name", spec.name), source, target, type=spec.type)


def volume_xml(
    name: str,
    capacity: int,
    format_: str,
    backing: tuple[str, str] | None,
    *,
    preallocate: bool = False,
    secret: str | None = None,
) -> Markup:
    """Return a volume's definition; `backing` is (path, format), `secret` the identity of the secret that encrypts it."""
    target = element(
        "target",
        element("format", type=format_),
        # libvirt's own choice, 0.10, can't grow once it has snapshots
        text("compat", "1.1") if format_ == "qcow2" else NOTHING,
        encryption_xml(secret) if secret else NOTHING,
    )
    below = element("backingStore", text("path", backing[0]), element("format", type=backing[1])) if backing else NOTHING
    return element(
        "volume",
        text("name", name),
        text("capacity", capacity),
        text("allocation", capacity if preallocate else 0),
        target,
        below,
    )


def encryption_xml(secret: str) -> Markup:
    """Return how a volume, or a disk on it, is encrypted: LUKS, with the secret of an identity."""
    return element("encryption", element("secret", type="passphrase", uuid=secret), format="luks")


def secret_identity(path: str) -> str:
    """Return the identity of the secret of an encrypted volume: the same on all hosts that see it at that path.

    Example:
        >>> secret_identity("/pool/a.img") == secret_identity("/pool/a.img") != secret_identity("/pool/b.img")
        True
    """
    return str(uuid.uuid5(SECRETS, path))


def secret_xml(path: str, name: str) -> Markup:
    """Return the definition of the secret of a volume: its value never leaves libvirt, and is in its memory only."""
    return element(
        "secret",
        text("uuid", secret_identity(path)),
        text("description", f"NovaCron's secret {name}"),
        element("usage", text("volume", path), type="volume"),
        ephemeral="yes",
        private="yes",
    )


__all__ = ["encryption_xml", "pool_xml", "secret_identity", "secret_xml", "volume_xml"]
