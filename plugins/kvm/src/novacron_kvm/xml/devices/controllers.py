"""The controllers that libvirt would not add by itself, or not rightly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from novacron.errors import InvalidSpecError, SpecProblem
from novacron_kvm.xml.devices.disk import DiskFile
from novacron_kvm.xml.markup import NOTHING, Markup, element
from novacron_kvm.xml.platforms import Platform

if TYPE_CHECKING:
    from novacron.specs.vm import VMSpec

PORTS = 14
"""PCI Express ports by default. Each takes one device, also while the VM runs; libvirt adds more only when a VM is defined."""

USB2 = element("controller", type="usb", index=0, model="ich9-ehci1") + "".join(
    element("controller", element("master", startport=port), type="usb", index=0, model=f"ich9-uhci{number}")
    for number, port in ((1, 0), (2, 2), (3, 4))
)
"""USB 2.0 with its companions for slower devices: what virt-manager gives an i440FX machine, whose own controller knows USB 1.1 only."""


def controllers_xml(spec: VMSpec, platform: Platform, disks: Sequence[DiskFile]) -> Markup:
    """Return the <controller>s of a new VM.

    Raises:
        InvalidSpecError: SCSI disks name different I/O threads, although all of them are on one controller; queues or an I/O thread
            are asked of a controller that has none; the machine has no PCI Express.
    """
    usb = not platform.ps2 and (
        any(d.bus == "usb" for d in disks) or any(d.usb for d in spec.host_devices) or spec.sound == "usb"
    )
    return Markup(
        _pcie(spec, platform)
        + (_scsi(spec, disks) if spec.scsi_controller or any(d.bus == "scsi" for d in disks) else NOTHING)
        + _usb(spec.usb_controller or ("qemu-xhci" if usb else None), platform)
        + _virtio_serial(spec)
    )


def _pcie(spec: VMSpec, platform: Platform) -> Markup:
    """Return the last PCI Express port; libvirt makes those with the numbers before it."""
    if platform.pcie:
        return element("controller", type="pci", index=spec.pcie_ports or PORTS, model="pcie-root-port")
    if spec.pcie_ports is not None:
        problem = SpecProblem("pcie_ports", str(spec.pcie_ports), 'left out, or a machine with PCI Express such as "q35"')
        raise InvalidSpecError("this machine has no PCI Express", problems=[problem])
    return NOTHING


def _virtio_serial(spec: VMSpec) -> Markup:
    if spec.virtio_serial_ports is None:
        return NOTHING
    return element("controller", type="virtio-serial", index=0, ports=spec.virtio_serial_ports)


def _usb(model: str | None, platform: Platform) -> Markup:
    if model:
        return element("controller", type="usb", model=model)
    return Markup(USB2) if platform.i440fx else NOTHING


def _scsi(spec: VMSpec, disks: Sequence[DiskFile]) -> Markup:
    there = [disk.spec for disk in disks if disk.bus == "scsi"]
    threads = {disk.iothread for disk in there if disk.iothread}
    if len(threads) > 1:
        problem = SpecProblem("disks.iothread", ", ".join(map(str, sorted(threads))), "the same for all SCSI disks")
        raise InvalidSpecError("SCSI disks share one controller", problems=[problem])
    queues = max((disk.queues or 0 for disk in there), default=0)
    model = spec.scsi_controller or "virtio-scsi"
    if model != "virtio-scsi" and (queues or threads):
        problem = SpecProblem("scsi_controller", model, "virtio-scsi, because disks have queues or an iothread")
        raise InvalidSpecError("this SCSI controller has no queues and no I/O thread", problems=[problem])
    driver = element("driver", queues=queues or None, iothread=next(iter(threads), None)) if queues or threads else NOTHING
    return element("controller", driver, type="scsi", model=model)


__all__ = ["controllers_xml"]
