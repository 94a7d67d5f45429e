"""The VMs of all connected hosts by name, for completion: what it shows was read before, so no keystroke waits for a hypervisor."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from novacron.errors import NovaCronError, VMNotFoundError, either
from novacron.handles.host import HostHandle
from novacron.handles.vm import VMHandle


class Inventory(Mapping[str, VMHandle]):
    """VMs by name, or "HOST/NAME" where two hosts have one of that name. Read again after each command, in the background."""

    def __init__(self, hosts: Mapping[str, HostHandle]) -> None:
        self._hosts = hosts
        self._vms: dict[str, VMHandle] = {}
        self._reading = threading.Lock()
        self.unreachable: dict[str, str] = {}

    def __getitem__(self, name: str) -> VMHandle:
        if name not in self._vms:
            near = difflib.get_close_matches(name, self._vms, n=3, cutoff=0.7)
            raise VMNotFoundError(f"no VM named {name!r}", hint=f"did you mean {either(near)}?" if near else None)
        return self._vms[name]

    def __contains__(self, name: object) -> bool:
        return name in self._vms

    def get(self, name: str, default: Any = None) -> Any:
        """Return the VM of that name, or `default`."""
        return self._vms.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._vms)

    def __len__(self) -> int:
        return len(self._vms)

    def __repr__(self) -> str:
        return f"<VMs {', '.join(self) or 'none'}>"

    def name_of(self, vm: str) -> str:
        """Return the name of the VM with this UUID, or what was given."""
        return next((handle.name for handle in self._vms.values() if handle.id == vm), vm)

    def refresh(self) -> None:
        """Read all hosts' VMs; does nothing while another thread does it."""
        if not self._reading.acquire(blocking=False):
            return
        try:
            hosts = list(self._hosts.values())
            with ThreadPoolExecutor(max(1, min(16, len(hosts)))) as pool:
                pages = list(pool.map(self._read, hosts))
            found: dict[str, VMHandle] = {}
            names = [vm.name for page in pages for vm in page]
            for page in pages:
                for vm in page:
                    found[vm.name if names.count(vm.name) == 1 else f"{vm.host.name}/{vm.name}"] = vm
            self._vms = found
        finally:
            self._reading.release()

    def refresh_soon(self) -> None:
        """Read in the background."""
        threading.Thread(target=self.refresh, name="novacron-inventory", daemon=True).start()

    def _read(self, host: HostHandle) -> list[VMHandle]:
        try:
            page = list(host.vms.list())
        except NovaCronError as error:
            self.unreachable[host.name] = str(error)
            return []
        self.unreachable.pop(host.name, None)
        return page


class OpenHosts(Mapping[str, HostHandle]):
    """The hosts that the shell has connected to, by name."""

    def __init__(self) -> None:
        self._open: dict[str, HostHandle] = {}

    def __getitem__(self, name: str) -> HostHandle:
        return self._open[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._open)

    def __len__(self) -> int:
        return len(self._open)

    def __repr__(self) -> str:
        return f"<hosts {', '.join(self) or 'none'}>"

    def add(self, host: HostHandle) -> HostHandle:
        """Keep a connected host."""
        self._open[host.name] = host
        return host

    def close(self) -> None:
        """Close all."""
        while self._open:
            self._open.popitem()[1].close()


def identifier(name: str) -> str:
    """Return a host's name as a Python name.

    Example:
        >>> identifier("lab-a"), identifier("10.0.0.1")
        ('lab_a', 'host_10_0_0_1')
    """
    word = "".join(c if c.isalnum() else "_" for c in name)
    return word if word.isidentifier() else f"host_{word}"


def namespace(hosts: OpenHosts, vms: Inventory) -> dict[str, Any]:
    """Return the names that the shell and `novacron script` start with; `host` too where there is one alone."""
    import novacron
    from novacron import workflow

    names: dict[str, Any] = {name: getattr(novacron, name) for name in novacron.__all__}
    names |= {"novacron": novacron, "steps": workflow.steps, "workflow": workflow, "hosts": hosts, "vms": vms}
    names["flows"] = workflow.FLOWS

    def connect(uri: str | None = None, **options: Any) -> HostHandle:
        """Connect to a host and keep it among `hosts`; see `novacron.connect`."""
        host = hosts.add(novacron.connect(uri, **options))
        names[identifier(host.name)] = host
        vms.refresh_soon()
        return host

    names["connect"] = connect
    names |= {identifier(name): host for name, host in hosts.items()}
    if len(hosts) == 1:
        names["host"] = next(iter(hosts.values()))
    return names


__all__ = ["Inventory", "OpenHosts", "identifier", "namespace"]
