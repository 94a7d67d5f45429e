"""Plugging devices into VMs and out of them, running or stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import libvirt
from lxml import etree

from novacron.errors import InvalidStateError, OperationTimeoutError
from novacron_kvm.domains.metadata import CONFIG, LIVE, where
from novacron_kvm.xml.parsing import parse

UNPLUG = 45.0
"""Seconds that a guest has to release a device."""
POLL = 0.2

Find = Callable[[Any], Any]
"""Finds a device's element in a domain's root element; None when it is not there."""


def plug(domain: Any, element: Any) -> None:
    """Attach a device at once when the VM runs, and persistently; to both or to none."""
    text = etree.tostring(element, encoding="unicode")
    scope = where(domain)
    domain.attachDeviceFlags(text, scope)


def unplug(domain: Any, find: Find, what: str, *, seconds: float | None = None, persistent: bool = True) -> None:
    """Detach a device, of a running VM with its guest's help, and wait until it is gone; then, if `persistent`, from the definition.

    The guest has `seconds` to release it, by default `UNPLUG`.

    Raises:
        OperationTimeoutError: the guest did not release the device; it is still attached, also in the definition.
    """
    if domain.isActive():
        element = find(parse(domain.XMLDesc(0)))
        if element is not None:
            state = domain.state()[0]
            if state == libvirt.VIR_DOMAIN_PAUSED:
                raise InvalidStateError(
                    f"can't detach {what} from {domain.name()!r}: it is suspended",
                    resource=domain.name(),
                    hint="resume it: its guest has to release the device",
                )
            _ask_guest(domain, element, find, what, UNPLUG if seconds is None else seconds)
    if persistent and domain.isPersistent():
        element = find(parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)))
        if element is not None:
            domain.detachDeviceFlags(etree.tostring(element, encoding="unicode"), CONFIG)


def _ask_guest(domain: Any, element: Any, find: Find, what: str, seconds: float) -> None:
    text = etree.tostring(element, encoding="unicode")
    deadline = time.monotonic() + seconds
    asked = 0.0
    while find(parse(domain.XMLDesc(0))) is not None:
        now = time.monotonic()
        if now > deadline:
            raise OperationTimeoutError(
                f"the guest of {domain.name()!r} did not release {what} within {seconds:g} s",
                resource=domain.name(),
                hint="it may still do so; is the device in use in the guest, and does the guest run?",
                outcome="unknown",
            )
        if now > asked + 10:  # a guest that is still booting does not hear the first request
            asked = now
            try:
                domain.detachDeviceFlags(text, LIVE)
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_DEVICE_MISSING:
                    return
                if "in the process of unplug" not in error.get_error_message():
                    raise
        time.sleep(POLL)


def update(domain: Any, find: Find, change: Callable[[Any], None], *, force: bool = False) -> None:
    """Change a device in both definitions of a VM, each as it is there; `force` opens a locked tray."""
    flags = libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE if force else 0
    if domain.isActive():
        element = find(parse(domain.XMLDesc(0)))
        if element is not None:
            change(element)
            domain.updateDeviceFlags(etree.tostring(element, encoding="unicode"), LIVE | flags)
    if domain.isPersistent():
        element = find(parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)))
        if element is not None:
            change(element)
            domain.updateDeviceFlags(etree.tostring(element, encoding="unicode"), CONFIG)


__all__ = [
    "plug",
    "unplug",
    "update",
]
