"""Keys of a USB keyboard as vSphere takes them."""

from __future__ import annotations

from typing import Any

from novacron.keys import MODIFIERS, combination
from novacron_vmware.sdk import vim

FIELDS = {
    "ctrl": "leftControl",
    "shift": "leftShift",
    "alt": "leftAlt",
    "meta": "leftGui",
    "altgr": "rightAlt",
}
KEYBOARD_PAGE = 7
"""The page of the USB HID Usage Tables that the usages of keys are on."""


def key_event(text: str) -> Any:
    """Return the event of a combination such as "ctrl-alt-delete". Raises InvalidSpecError for an unknown key."""
    *held, last = combination(text)
    names = [FIELDS[name] for name, key in MODIFIERS.items() if key in held]
    modifiers = vim.UsbScanCodeSpec.ModifierType(**dict.fromkeys(names, True)) if names else None
    return vim.UsbScanCodeSpec.KeyEvent(usbHidCode=last.usb << 16 | KEYBOARD_PAGE, modifiers=modifiers)


__all__ = ["key_event"]
