"""Devices that serve the guest or guard it: balloon, TPM, watchdog, socket to the host, random numbers, IOMMU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron_kvm.xml.markup import NOTHING, Markup, element, text
from novacron_kvm.xml.platforms import Platform

if TYPE_CHECKING:
    from novacron.specs.vm import VMSpec

BALLOON = element("memballoon", element("stats", period=5), model="virtio")
NO_BALLOON = element("memballoon", model="none")
VSOCK = element("vsock", element("cid", auto="yes"), model="virtio")
RNG = element("rng", text("backend", "/dev/urandom", model="random"), model="virtio")


def services_xml(spec: VMSpec, platform: Platform) -> Markup:
    """Return those devices of a new VM."""
    tpm = element("tpm", element("backend", type="emulator", version="2.0"), model=platform.tpm) if spec.tpm else NOTHING
    return Markup(
        tpm
        + (element("watchdog", model=platform.watchdog, action=spec.watchdog) if spec.watchdog else NOTHING)
        + (VSOCK if spec.vsock else NOTHING)
        + (RNG if spec.rng else NOTHING)
        + (element("iommu", model=spec.features.iommu) if spec.features.iommu else NOTHING)
        + (BALLOON if spec.balloon else NO_BALLOON)
    )


__all__ = ["services_xml"]
