"""Where a guest's text goes out and in: its console, its serial port, and channels to programs on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron_kvm.xml.markup import NOTHING, Markup, element

if TYPE_CHECKING:
    from novacron.specs.devices import SerialSpec
    from novacron.specs.vm import VMSpec

SPICE_AGENT = element("channel", element("target", type="virtio", name="com.redhat.spice.0"), type="spicevmc")


def _channel(name: str, path: str | None = None) -> Markup:
    source = element("source", mode="bind", path=path) if path else NOTHING
    return element("channel", source, element("target", type="virtio", name=name), type="unix")


AGENT = _channel("org.qemu.guest_agent.0")


def ports_xml(spec: VMSpec) -> Markup:
    """Return the console and the channels of a new VM."""
    return Markup(
        _console(spec)
        + (AGENT if spec.guest_agent else NOTHING)
        + "".join(_channel(channel.name, channel.path) for channel in spec.channels)
        + (SPICE_AGENT if spec.display and spec.display.type == "spice" else NOTHING)
    )


def _console(spec: VMSpec) -> Markup:
    log = element("log", file=spec.serial.log, append="on") if spec.serial.log else NOTHING
    kind, ends = _end(spec.serial)
    if spec.serial.type == "virtio":
        return element("console", *ends, element("target", type="virtio"), log, type=kind)
    return element("serial", *ends, log, type=kind)  # libvirt makes it the console


def _end(serial: SerialSpec) -> tuple[str, tuple[Markup, ...]]:
    """Return the type of a console on the host, and the elements that say where it is."""
    if serial.tcp:
        host, _, port = serial.tcp.rpartition(":")
        source = element("source", mode="bind", host=host.strip("[]"), service=port)
        return "tcp", (source, element("protocol", type="raw"))
    if serial.unix:
        return "unix", (element("source", mode="bind", path=serial.unix),)
    if serial.file:
        return "file", (element("source", path=serial.file),)
    return "pty", ()


__all__ = ["ports_xml"]
