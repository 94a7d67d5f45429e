"""The VMs of all connected hosts by name, for completion: what it shows was read before, so no keystroke waits for a hypervisor."""

from __future__ import annotations

import difflib
import fnmatch
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Unpack

from novacron.errors import HostNotFoundError, VMNotFoundError, either
from novacron.handles.host import HostHandle
from novacron.handles.vm import VMHandle
from novacron.handles.vms import Each
from novacron.specs.query import VMQuery, VMQueryFields

if TYPE_CHECKING:
    from novacron_shell.repl.pipes import Selection

PATIENCE = 5.0
"""Seconds that a host has to list its VMs."""
RETRY, PAUSE = 5.0, 0.5
"""Seconds between two looks for hosts that did not answer, and the least between two readings."""


class Inventory(Mapping[str, VMHandle]):
    """VMs by name, or "HOST/NAME" where two hosts have one of that name.

    They are read again after each command and at each event of a host, in the background: no keystroke waits for a hypervisor.
    """

    def __init__(self, hosts: OpenHosts, on_return: Callable[[HostHandle], object] = lambda _: None) -> None:
        self._hosts, self._on_return = hosts, on_return
        self._vms: dict[str, VMHandle] = {}
        self._reading = threading.Lock()
        self._changed, self._closed = threading.Event(), threading.Event()
        self._subscriptions: dict[str, Any] = {}
        self.unreachable: dict[str, str] = {}

    def __getitem__(self, name: str) -> VMHandle:
        if name not in self._vms:
            near = difflib.get_close_matches(name, self._vms, n=3, cutoff=0.7)
            silent = f"; no answer from {', '.join(self.unreachable)}" if self.unreachable else ""
            raise VMNotFoundError(f"no VM named {name!r}{silent}", hint=f"did you mean {either(near)}?" if near else None)
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
            pages = self._pages()
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

    def where(self, *, host: str | None = None, **query: Unpack[VMQueryFields]) -> Selection:
        """Read the VMs that fulfil all conditions now, from all connected hosts, for actions: `vms.where(tag="web") | shutdown`.

        Args:
            host: name of the host, or a pattern such as "kvm*".
            query: fields of `VMQuery`: name (a pattern), status, tag, node, folder, sort, limit.

        Returns:
            The VMs, by default sorted by name. `unreachable` has the error of each host that did not answer.

        Raises:
            InvalidSpecError: a field, status or sort key is unknown.
            HostNotFoundError: no connected host has this name.
            NovaCronError: no host answered; the error of the first one.

        Example:
            >>> import novacron
            >>> hosts = OpenHosts()
            >>> _ = hosts.add(novacron.connect("sim://where?vms=3"))
            >>> Inventory(hosts).where(status="running", name="*2")
            <1 VM>
        """
        from novacron import fleet
        from novacron_shell.repl.pipes import Selection

        asked = VMQuery.of(**query)
        chosen = [each for each in self._hosts.values() if host is None or fnmatch.fnmatchcase(each.name, host)]
        if host is not None and not chosen:
            raise HostNotFoundError(
                f"no connected host is named {host!r}", hint=f"connected are: {', '.join(self._hosts) or 'none'}"
            )
        answers = fleet().ask(chosen, lambda each: list(each.vms.list(**query)), timeout=PATIENCE)
        failed = {answer.host: answer.error for answer in answers if answer.error is not None}
        if answers and len(failed) == len(answers):
            raise next(iter(failed.values()))
        handles = {id(vm.record): vm for answer in answers if answer.error is None for vm in answer.value}
        page = asked.page(vm.record for vm in handles.values())
        silent = {name: str(error) for name, error in failed.items()} | (self.unreachable if host is None else {})
        return Selection([handles[id(record)] for record in page.items], silent)

    @property
    def each(self) -> Each:
        """Calls a method of all VMs, in parallel: `vms.each.refresh()`."""
        return Each(list(self._vms.values()))

    def keep_fresh(self) -> None:
        """Read again whenever a host tells of an event, and look every few seconds for hosts that did not answer."""
        threading.Thread(target=self._watch, name="novacron-inventory-watch", daemon=True).start()

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()
        self._changed.set()

    def _watch(self) -> None:
        while not self._closed.is_set():
            if self._changed.wait(RETRY) or self.unreachable:
                self._changed.clear()
                self.refresh()
                self._closed.wait(PAUSE)  # many events at once are one change

    def _pages(self) -> list[list[VMHandle]]:
        """Return the VMs of each host that answers in time. Hosts of the fleet that were down are connected when they are back."""
        from novacron import fleet

        absent = [name for name in self.unreachable if name not in self._hosts]
        answers = fleet().ask([*self._hosts.values(), *absent], self._read, timeout=PATIENCE)
        self.unreachable = {answer.host: str(answer.error) for answer in answers if answer.error is not None}
        return [answer.value for answer in answers if answer.error is None]

    def _read(self, host: HostHandle) -> list[VMHandle]:
        if host.name not in self._hosts:
            self._hosts.add(host)
            self._on_return(host)
        if host.name not in self._subscriptions and host.supports("event_subscribe"):
            self._subscriptions[host.name] = host.subscribe(lambda _: self._changed.set())
        return list(host.vms.list())


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
    names = first_names(hosts, vms)
    add_specs(names)
    return names


def first_names(hosts: OpenHosts, vms: Inventory) -> dict[str, Any]:
    """Return the names that are cheap: hosts, VMs, connections."""
    import novacron

    names: dict[str, Any] = {"novacron": novacron, "hosts": hosts, "vms": vms, "fleet": novacron.fleet}

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


def add_specs(names: dict[str, Any]) -> None:
    """Add the other names: specs and workflows. Loading them takes longer than everything else at the start of a session."""
    import novacron
    from novacron import workflow

    for name in novacron.__all__:
        names.setdefault(name, getattr(novacron, name))
    names |= {"steps": workflow.steps, "workflow": workflow, "flows": workflow.FLOWS}


__all__ = ["Inventory", "OpenHosts", "add_specs", "first_names", "identifier", "namespace"]
