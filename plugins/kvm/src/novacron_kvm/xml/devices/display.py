"""What a person sees, hears and touches: display, video, sound, pointer and keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron_kvm.xml.markup import NOTHING, Markup, element
from novacron_kvm.xml.platforms import Platform

if TYPE_CHECKING:
    from novacron.specs.vm import VMSpec


def display_xml(spec: VMSpec, platform: Platform) -> Markup:
    """Return the display of a new VM with what belongs to it; no sound unless it was asked for."""
    return Markup(
        _inputs(spec, platform)
        + _graphics(spec)
        + (element("sound", model=spec.sound) if spec.sound else NOTHING)
        + _video(spec, platform)
    )


def _graphics(spec: VMSpec) -> Markup:
    asked = spec.display
    if asked is None:
        return NOTHING
    port = {"port": asked.port, "autoport": "no"} if asked.port else {"port": -1, "autoport": "yes"}
    return element("graphics", type=asked.type, **port, listen=asked.listen, keymap=asked.keymap)


def _inputs(spec: VMSpec, platform: Platform) -> Markup:
    """Return a pointer that is where the person's is; a mouse that moves by steps never stays there."""
    if spec.display is None:
        return NOTHING
    if platform.ps2:
        return element("input", type="tablet", bus="usb")
    return Markup(element("input", type="tablet", bus="virtio") + element("input", type="keyboard", bus="virtio"))


def _video(spec: VMSpec, platform: Platform) -> Markup:
    model = spec.video or (platform.video if spec.display else None)
    return element("video", element("model", type=model)) if model else NOTHING


__all__ = ["display_xml"]
