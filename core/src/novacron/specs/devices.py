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

    Attributes:
        log: a file on the host (absolute) to which its output is appended, also after a migration.
        tcp: the port of the host's loopback on which it is served, such as "127.0.0.1:4555". Anyone on the host can connect.
        unix: the UNIX socket on the host at which it is served.
        file: the file on the host that its output is written to; it then has no input.

    With `tcp`, `unix` or `file`, `vm.console` and `novacron console` can't open it.
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
    """A channel between a program in the guest, which finds it as /dev/virtio-ports/NAME, and one on the host, at a UNIX socket.

    Without `path` the hypervisor chooses where the socket is.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")
    path: Path | None = None


class DisplaySpec(Spec):
    """A graphical display, on the host's loopback unless `listen` says otherwise, on a free port unless `port` does.

    With `listen="none"` it has no port: only programs that talk to libvirt on the host can open it.
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
    """A device of the host that the VM gets for itself: one of `pci`, `usb` (vendor:product), `mdev` (a mediated device, a GPU's share).

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
    """A folder of the host that a guest can mount by the name `tag`: `mount -t 9p TAG /mnt`, or `-t virtiofs`, which is faster.

    What the guest writes over 9p is kept with the rights that it set noted beside it; it gets no rights on the host.
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
