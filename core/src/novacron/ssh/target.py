"""Where and how to log in to a VM by SSH."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path

import msgspec

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.plugins.driver import HostURI

_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63}\$?")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")


class JumpHost(msgspec.Struct, frozen=True, kw_only=True):
    """A host that SSH connections pass through (ProxyJump).

    Attributes:
        address: its name or IP address.
        user: the user to log in as; None leaves it to the user's ssh_config.
        port: its port; None leaves it to the user's ssh_config.
        keyfile: the private key to log in with; None leaves it to the user's ssh_config.
        known_hosts: the file with its host key; None leaves it to the user's ssh_config.
    """

    address: str
    user: str | None = None
    port: int | None = None
    keyfile: str | None = None
    known_hosts: str | None = None

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return (f"{self.user}@" if self.user else "") + address + (f":{self.port}" if self.port else "")


class SSHTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A VM as a destination of SSH.

    Attributes:
        name: the VM's name.
        id: the VM's UUID. It identifies the VM's host keys, so that a new address does not look like another machine.
        address: the IP address to connect to.
        known_hosts: the file with the host keys of VMs.
        user: the user to log in as; None leaves it to the user's ssh_config.
        port: the port of the SSH server.
        jump: the host to connect through; None connects directly.
        identity: the private key to log in with; None leaves it to the user's ssh_config.
    """

    name: str
    id: str
    address: str
    known_hosts: Path
    user: str | None = None
    port: int = 22
    jump: JumpHost | None = None
    identity: str | None = None

    @property
    def alias(self) -> str:
        """The name under which the VM's host keys are stored."""
        return key_alias(self.id)


def key_alias(vm_id: str) -> str:
    """Return the name under which the host keys of a VM are stored in `known_hosts`.

    Example:
        >>> key_alias("6B1F0000-0000-0000-0000-000000000001")
        'novacron-6b1f0000-0000-0000-0000-000000000001'
    """
    return "novacron-" + re.sub(r"[^a-z0-9-]", "-", vm_id.lower())


def jump_of(uri: str) -> JumpHost | None:
    """Return the host that leads to the VMs of a hypervisor: the one that its URI reaches by SSH. None for other URIs.

    Example:
        >>> str(jump_of("qemu+ssh://root@kvm1:2222/system")), jump_of("qemu:///system")
        ('root@kvm1:2222', None)
    """
    parsed = HostURI.parse(uri)
    if parsed.host is None or not parsed.scheme.partition("+")[2].startswith(("ssh", "libssh")):
        return None
    return JumpHost(
        address=checked_host(parsed.host),
        user=checked_user(parsed.username),
        port=parsed.port,
        keyfile=parsed.query.get("keyfile") or None,
        known_hosts=parsed.query.get("known_hosts") or None,
    )


def parse_jump(text: str) -> JumpHost:
    """Return the jump host that `[USER@]HOST[:PORT]` names.

    Raises:
        InvalidSpecError: It is not in this form.

    Example:
        >>> parse_jump("ann@gate:2222").port, parse_jump("[2001:db8::1]").address
        (2222, '2001:db8::1')
    """
    user, at, place = text.rpartition("@")
    match = re.fullmatch(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>\d{1,5}))?", place)
    if not match:
        raise _invalid("jump", text, "[USER@]HOST[:PORT]; an IPv6 address in brackets")
    port = checked_port(match["port"]) if match["port"] else None
    return JumpHost(address=checked_host(match["ipv6"] or match["host"]), user=checked_user(user) if at else None, port=port)


def checked_user(user: str | None) -> str | None:
    """Return a user's name. Raises InvalidSpecError for a name that ssh could read as an option or a shell as a command."""
    if user is not None and not _USER.fullmatch(user):
        raise _invalid("user", user, "letters, digits, and _ . @ + - after the first character")
    return user


def checked_host(host: str) -> str:
    """Return a host's name or IP address. Raises InvalidSpecError for others."""
    try:
        return str(ip_address(host))
    except ValueError:
        if not _HOST.fullmatch(host):
            raise _invalid("host", host, "a host name or an IP address") from None
        return host


def checked_port(port: object) -> int:
    """Return a port as a number. Raises InvalidSpecError if it is none."""
    text = str(port)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise _invalid("port", port, "1 to 65535")
    return int(text)


def _invalid(path: str, given: object, allowed: str) -> InvalidSpecError:
    return InvalidSpecError(f"invalid {path}", problems=[SpecProblem(path, given, allowed)], outcome="not_sent")


__all__ = ["JumpHost", "SSHTarget", "checked_host", "checked_port", "checked_user", "jump_of", "key_alias", "parse_jump"]
