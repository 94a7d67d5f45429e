"""What a person sees, hears and touches: display, video, sound, pointer and keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron_kvm.xml.markup import NOTHING, Markup, element
from novacron_kvm.xml.platforms import Platform

if TYPE_CHECKING:
    from novacron.specs.devices import DisplaySpec
    from novacron.specs.vm import VMSpec


def display_xml(spec: VMSpec, platform: Platform) -> Markup:
    """Return the display of a new VM with its input devices; no sound unless it was asked for."""
    video = spec.video or (platform.video if spec.display else None)
    return Markup(
        (inputs_xml(platform, usb=spec.usb_controller != "none") if spec.display else NOTHING)
        + (graphics_xml(spec.display) if spec.display else NOTHING)
        + (element("sound", model=spec.sound) if spec.sound else NOTHING)
        + (video_xml(video) if video else NOTHING)
    )


def graphics_xml(asked: DisplaySpec) -> Markup:
    """Return a graphical display."""
    if asked.listen == "none":
        return element("graphics", element("listen", type="none"), type=asked.type, keymap=asked.keymap)
    port = {"port": asked.port, "autoport": "no"} if asked.port else {"port": -1, "autoport": "yes"}
    return element("graphics", type=asked.type, **port, listen=asked.listen, keymap=asked.keymap)


def inputs_xml(platform: Platform, *, usb: bool = True) -> Markup:
    """Return a pointer with absolute positions: the pointer of a relative mouse drifts away from the user's."""
    if platform.ps2 and usb:
        return element("input", type="tablet", bus="usb")
    return Markup(element("input", type="tablet", bus="virtio") + element("input", type="keyboard", bus="virtio"))


def video_xml(model: str) -> Markup:
    """Return a graphics card."""
    return element("video", element("model", type=model))


__all__ = ["display_xml", "graphics_xml", "inputs_xml", "video_xml"]
