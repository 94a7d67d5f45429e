"""Folders of the host that a guest can mount."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron_kvm.xml.markup import NOTHING, Markup, element

if TYPE_CHECKING:
    from novacron.specs.devices import FilesystemSpec

ACCESS = {"9p": "mapped", "virtiofs": "passthrough"}
DRIVER = {"9p": "path", "virtiofs": "virtiofs"}


def filesystem_xml(spec: FilesystemSpec) -> Markup:
    """Return a <filesystem>."""
    return element(
        "filesystem",
        element("driver", type=DRIVER[spec.type]),
        element("source", dir=spec.source),
        element("target", dir=spec.tag),
        element("readonly") if spec.read_only else NOTHING,
        type="mount",
        accessmode=ACCESS[spec.type],
    )


__all__ = ["DRIVER", "filesystem_xml"]
