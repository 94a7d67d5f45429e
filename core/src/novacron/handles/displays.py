"""Graphical displays of VMs, reached from this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING

from novacron.errors import UnsupportedOperationError
from novacron.plugins.driver import HostURI
from novacron.ssh.target import jump_of
from novacron.ssh.tunnel import Tunnel

if TYPE_CHECKING:
    from novacron.handles.vm import VMHandle


@contextmanager
def display_url(vm: VMHandle) -> Iterator[str]:
    """Yield the URL of a VM's display as this machine reaches it. It is valid until the context ends.

    The display of a host that is added by `...+ssh://` goes through SSH, so that it may listen on the host's loopback. The URL has no
    password; viewers ask for it.

    Args:
        vm: a running VM.

    Raises:
        UnsupportedOperationError: the VM has no display, or this machine can't reach it.
        InvalidStateError: the VM does not run.
        HostConnectionError: SSH to the host failed.

    Example:
        >>> import novacron
        >>> vm = novacron.connect("sim://displays").vms.create(name="web1", display={"type": "vnc", "port": 5901}, start=True)
        >>> with display_url(vm) as url:
        ...     url
        'vnc://127.0.0.1:5901'
    """
    found = vm.display()
    if found.kind == "webmks":
        yield f"wss://{_host(found.address or '')}:{found.port}{found.path}"
        return
    if found.kind not in ("vnc", "spice"):
        raise UnsupportedOperationError(
            f"{vm.name!r} has no display", resource=vm.name, hint="create it with --set display.type=vnc", outcome="not_sent"
        )
    if found.port is None:
        raise UnsupportedOperationError(
            f"the display of {vm.name!r} has no port",
            resource=vm.name,
            hint="change display.listen to 127.0.0.1; it applies at the next start",
            outcome="not_sent",
        )
    jump = jump_of(vm.host.uri)
    address, everywhere = found.address or "127.0.0.1", found.address in ("0.0.0.0", "::")  # noqa: S104 - it is compared
    if jump is not None:
        folder = vm.host.dispatcher.audit.state.create()
        with Tunnel(jump, "127.0.0.1" if everywhere else address, found.port, folder) as tunnel:
            yield f"{found.kind}://127.0.0.1:{tunnel.port}"
        return
    parsed = HostURI.parse(vm.host.uri)
    remote = parsed.host if "+" in parsed.scheme else None
    if remote and ip_address(address).is_loopback:
        raise UnsupportedOperationError(
            f"the display of {vm.name!r} listens on the loopback of {vm.host.name!r} only",
            resource=vm.name,
            hint=f"add the host as qemu+ssh://root@{remote}/system: displays then go through SSH",
            outcome="not_sent",
        )
    yield f"{found.kind}://{_host((remote or '127.0.0.1') if everywhere else address)}:{found.port}"


def through_ssh(vm: VMHandle) -> bool:
    """Return whether the display of a VM is reached through SSH."""
    return jump_of(vm.host.uri) is not None


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


__all__ = ["display_url", "through_ssh"]
