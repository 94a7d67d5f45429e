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
    return Markup(
        (tpm_xml(platform) if spec.tpm else NOTHING)
        + (watchdog_xml(spec.watchdog, platform) if spec.watchdog else NOTHING)
        + (element("panic", model=spec.panic) if spec.panic else NOTHING)
        + (VSOCK if spec.vsock else NOTHING)
        + (RNG if spec.rng else NOTHING)
        + (element("iommu", model=spec.features.iommu) if spec.features.iommu else NOTHING)
        + (BALLOON if spec.balloon else NO_BALLOON)
    )


def tpm_xml(platform: Platform) -> Markup:
    """Return an emulated TPM 2.0."""
    return element("tpm", element("backend", type="emulator", version="2.0"), model=platform.tpm)


def watchdog_xml(action: str, platform: Platform) -> Markup:
    """Return a watchdog and its action."""
    return element("watchdog", model=platform.watchdog, action=action)


__all__ = ["services_xml", "tpm_xml", "watchdog_xml"]
