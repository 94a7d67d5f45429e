"""Devices of a VM, but for disks and NICs, which have areas of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BeforeValidator, Field, model_validator

from novacron.specs.spec import FieldError, Spec

Path = Annotated[str, Field(pattern=r"^/[^\x00-\x1f]+$")]
"""An absolute path on the host."""

Video = Literal["vga", "virtio", "qxl", "cirrus", "bochs", "ramfb", "none"]
Sound = Literal["ich6", "ich9", "ac97", "usb"]
Panic = Literal["isa", "hyperv", "pseries", "s390"]
"""A device by which a guest reports that its kernel crashed."""

USBController = Literal["none", "piix3-uhci", "ehci", "nec-xhci", "qemu-xhci"]
SCSIController = Literal["virtio-scsi", "lsilogic", "lsisas1068", "lsisas1078"]
SystemField = Literal["manufacturer", "product", "version", "serial", "sku", "family"]
"""A field of SMBIOS that says what machine the guest runs on."""


def _pci(value: object) -> object:
    """Return "03:00.0" with its domain, "0000:03:00.0"."""
    return f"0000:{value}" if isinstance(value, str) and value.count(":") == 1 else value


PCIAddress = Annotated[
    str,
    BeforeValidator(_pci),
    Field(pattern=r"^[0-9a-fA-F]{4}:[0-9a-fA-F]{2}:[01][0-9a-fA-F]\.[0-7]$"),
]
"""The address of a PCI device of the host, "0000:03:00.0" or "03:00.0", as `lspci -D` prints it."""


class SerialSpec(Spec):
    """The console of a VM: a serial port, or a virtio console, which is faster and needs a driver in the guest.

    With `tcp`, `unix` or `file`, `vm.console` and `novacron console` can't open it. At most one of the three can be given.

    Attributes:
        type: Kind of the console: "serial" for a serial port, "virtio" for a virtio console. Default: "serial".
        log: File on the host (absolute path) to which the output is appended, also after a migration. Without it the output is
            not stored.
        tcp: Port of the host's loopback on which the console is served, such as "127.0.0.1:4555". Anyone on the host can connect.
        unix: UNIX socket on the host (absolute path) on which the console is served.
        file: File on the host (absolute path) that the output is written to. The console then has no input.
    """

    type: Literal["serial", "virtio"] = "serial"
    log: Path | None = None
    tcp: str | None = Field(None, pattern=r"^(127\.0\.0\.1|\[::1\]|localhost):[0-9]{1,5}$")
    unix: Path | None = None
    file: Path | None = None

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if sum(each is not None for each in (self.tcp, self.unix, self.file)) > 1:
            raise ValueError("at most one of tcp, unix, file")
        return self


class ChannelSpec(Spec):
    """A channel between a program in the guest and one on the host, which uses a UNIX socket.

    Attributes:
        name: Name of the channel. The guest sees the device /dev/virtio-ports/NAME.
        path: UNIX socket on the host (absolute path). Without it the hypervisor chooses the path.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")
    path: Path | None = None


class DisplaySpec(Spec):
    """A graphical display of a VM.

    Attributes:
        type: Protocol of the display: "vnc" or "spice". Default: "vnc".
        listen: Address of the host on which the display is served. Default: the loopback, "127.0.0.1". With "none" it has no
            port, and only programs that talk to libvirt on the host can open it.
        port: TCP port on the host, from 5900 on for VNC. Without it a free port is chosen.
        keymap: Keyboard layout such as "de" or "en-us". Without it the hypervisor uses its own.
    """

    type: Literal["vnc", "spice"] = "vnc"
    listen: str = "127.0.0.1"
    port: int | None = Field(None, ge=1, le=65535)
    keymap: str | None = Field(None, pattern=r"^[a-z]{2,3}(-[a-z]{2})?$")

    def upon(self, present: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the fields of a present display with the given fields of this spec. Another type takes no port along.

        Example:
            >>> DisplaySpec(keymap="de").upon({"type": "spice", "listen": "127.0.0.1", "port": 5931})
            {'type': 'spice', 'listen': '127.0.0.1', 'port': 5931, 'keymap': 'de'}
            >>> DisplaySpec(type="vnc").upon({"type": "spice", "listen": "127.0.0.1", "port": 3128})
            {'type': 'vnc', 'listen': '127.0.0.1'}
        """
        given = self.model_dump(exclude_unset=True)
        there = {name: value for name, value in (present or {}).items() if value is not None}
        if there.get("type") not in ("vnc", "spice"):
            return given
        if given.get("type", there["type"]) != there["type"] or given.get("listen") == "none":
            there.pop("port", None)
        return {**there, **given}

    @model_validator(mode="after")
    def _port(self) -> Self:
        if self.listen == "none" and self.port is not None:
            raise FieldError("port", "no port with listen=none")
        if self.type == "vnc" and self.port is not None and self.port < 5900:
            raise ValueError("a port of at least 5900 for VNC")
        return self


class HostDeviceSpec(Spec):
    """A device of the host that the VM gets for itself: exactly one of `pci`, `usb` and `mdev`.

    Attributes:
        pci: PCI address of the device, such as "0000:03:00.0" or "03:00.0", as `lspci -D` prints it.
        usb: Vendor and product of the USB device, such as "046d:c52b", as `lsusb` prints it.
        mdev: UUID of a mediated device, which is a share of a device such as a GPU.
        boot_order: Place in the boot order, from 1. Without it the VM does not boot from this device.

    Example:
        >>> HostDeviceSpec(pci="03:00.0").pci
        '0000:03:00.0'
    """

    pci: PCIAddress | None = None
    usb: str | None = Field(None, pattern=r"^[0-9a-fA-F]{4}:[0-9a-fA-F]{4}$")
    mdev: UUID | None = None
    boot_order: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _one_device(self) -> Self:
        if sum(each is not None for each in (self.pci, self.usb, self.mdev)) != 1:
            raise ValueError("exactly one of pci, usb, mdev")
        if self.mdev and self.boot_order:
            raise ValueError("no boot_order with mdev: a share of a device is not booted from")
        return self


class FilesystemSpec(Spec):
    """A folder of the host that the guest can mount by the name `tag`: `mount -t 9p TAG /mnt`, or `-t virtiofs`.

    Over 9p, owners and permissions that the guest sets are stored beside the files. They give the guest no rights on the host.

    Attributes:
        source: Folder on the host (absolute path).
        tag: Name under which the guest mounts the folder.
        type: Protocol: "9p" or "virtiofs", which is faster and shares the VM's memory with the host. Default: "9p".
        read_only: Whether the guest can only read. Only with "9p"; with "virtiofs" the guest mounts read-only itself. Default:
            false.
    """

    source: Path
    tag: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,31}$")
    type: Literal["9p", "virtiofs"] = "9p"
    read_only: bool = False

    @model_validator(mode="after")
    def _writable(self) -> Self:
        if self.type == "virtiofs" and self.read_only:
            raise ValueError("read_only only with 9p: virtiofs leaves it to the guest's mount")
        return self


__all__ = [
    "ChannelSpec",
    "DisplaySpec",
    "FilesystemSpec",
    "HostDeviceSpec",
    "PCIAddress",
    "Panic",
    "Path",
    "SCSIController",
    "SerialSpec",
    "Sound",
    "SystemField",
    "USBController",
    "Video",
]
