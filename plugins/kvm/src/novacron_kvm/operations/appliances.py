"""Appliances of libvirt's VMs: their disks are converted by libvirt, and packed on the machine that NovaCron runs on."""

from __future__ import annotations

from novacron.appliances.area import Appliances


class KVMAppliances(Appliances):
    """Exports and imports through libvirt's volumes."""


__all__ = ["KVMAppliances"]
