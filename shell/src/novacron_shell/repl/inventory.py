"""The VMs of all connected hosts by name, for completion: what it shows was read before, so no keystroke waits for a hypervisor."""

from __future__ import annotations

import difflib
import fnmatch
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from novacron.errors import HostNotFoundError, VMNotFoundError, either
from novacron.handles.collection import NamedMapping
from novacron.text import printable_line

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle
    from novacron.handles.vms import Each
    from novacron.specs.query import VMQueryFields
    from novacron_shell.repl.pipes import Selection

D = TypeVar("D")
PATIENCE = 5.0
"""Seconds that a host has to list its VMs."""
RETRY, PAUSE = 5.0, 0.5
"""Seconds between two looks for hosts that did not answer, and the least between two readings."""
HUNG = 60.0
"""Seconds after which a host that has not answered yet is asked by another thread: the first one may never return."""
CLOSING = 2.0
"""Seconds that a host has to close its connection."""
CONNECTING = "still connecting"
"""What `unreachable` says about a host until it has answered for the first time."""


class Inventory(NamedMapping["VMHandle"]):
    """VMs by name, or "HOST/NAME" where two hosts have one of that name.

    They are read again after each command and at each event of a host, in the background: no keystroke waits for a hypervisor. The VMs of
    a host are there as soon as this host has answered, whatever the other hosts do.

    Args:
        hosts: the connected hosts.
        on_return: called in a thread with each host of the fleet that was connected after it had been unreachable.
    """

    def __init__(self, hosts: OpenHosts, on_return: Callable[[HostHandle], object] = lambda _: None) -> None:
        self._hosts, self._on_return = hosts, on_return
        self._vms: dict[str, VMHandle] = {}
        self._pages: dict[str, Sequence[VMHandle]] = {}
        self._guard = threading.Lock()
        self._asked: dict[str, _Turn] = {}
        self._again: set[str] = set()
        self._changed, self._closed = threading.Event(), threading.Event()
        self._subscriptions: dict[str, Any] = {}
        self.unreachable: dict[str, str] = {}

    def expect(self, hosts: Sequence[str]) -> None:
        """Name hosts of the fleet that are to be connected. They count as unreachable until they answer."""
        self.unreachable = {**self.unreachable, **dict.fromkeys(hosts, CONNECTING)}

    def __getitem__(self, name: str) -> VMHandle:
        if name not in self._vms:
            near = difflib.get_close_matches(name, self._vms, n=3, cutoff=0.7)
            silent = f"; no answer from {', '.join(self.unreachable)}" if self.unreachable else ""
            raise VMNotFoundError(f"no VM named {name!r}{silent}", hint=f"did you mean {either(near)}?" if near else None)
        return self._vms[name]

    def __contains__(self, name: object) -> bool:
        return name in self._vms

    @overload
    def get(self, key: str) -> VMHandle | None: ...
    @overload
    def get(self, key: str, default: VMHandle | D) -> VMHandle | D: ...
    def get(self, key: str, default: object = None) -> object:
        """Return the VM of that name, or `default`. No similar names are searched for."""
        return self._vms.get(key, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._vms)

    def __len__(self) -> int:
        return len(self._vms)

    def __repr__(self) -> str:
        return printable_line(f"<VMs {', '.join(self) or 'none'}>")

    def name_of(self, vm: str) -> str:
        """Return the name of the VM with this UUID, or what was given."""
        return next((handle.name for handle in self._vms.values() if handle.id == vm), vm)

    def refresh(self) -> None:
        """Read the VMs of all hosts. A host that another thread is asking is not waited for: that thread asks it once more."""
        from novacron import fleet

        now = time.monotonic()
        with self._guard:
            known: dict[str, Any] = dict.fromkeys(self.unreachable) | dict(self._hosts)
            busy = {name for name, turn in self._asked.items() if now - turn.began < HUNG}
            self._again |= known.keys() & busy
            turns = {name: _Turn(now) for name in known if name not in busy}
            self._asked |= turns
        if not turns:
            return
        hosts = [known[name] or name for name in turns]
        for answer in fleet().ask(hosts, lambda host: self._read(host, turns[host.name]), timeout=PATIENCE):
            if answer.error is not None:
                self._failed(answer.host, turns[answer.host], str(answer.error))

    def _read(self, host: HostHandle, turn: _Turn) -> None:
        """Read the VMs of one host, in a thread of its own. A host that answers late is no longer unreachable from then on."""
        turn.connected = True
        try:
            while self._read_once(host, turn):
                pass
        finally:
            with self._guard:
                self._end(host.name, turn)

    def _read_once(self, host: HostHandle, turn: _Turn) -> bool:
        """Read the VMs of one host, and return whether they have to be read again."""
        turn.answered = False
        self._subscribe(host)
        page = list(host.vms.list())
        with self._guard:
            if self._closed.is_set() or self._asked.get(host.name) is not turn:
                return False
            if back := host.name not in self._hosts:
                self._hosts.add(host)
            turn.answered, self._pages[host.name] = True, page
            self.unreachable = {name: error for name, error in self.unreachable.items() if name != host.name}
            self._gather()
            again = host.name in self._again
            self._again.discard(host.name)
            if not again:
                self._end(host.name, turn)
        if back:
            self._on_return(host)
        return again

    def _subscribe(self, host: HostHandle) -> None:
        if host.name not in self._subscriptions and host.supports("event_subscribe"):
            self._subscriptions[host.name] = host.subscribe(lambda _: self._changed.set())

    def _failed(self, host: str, turn: _Turn, error: str) -> None:
        """Note that a host did not answer. Its VMs are not shown until it does."""
        with self._guard:
            if turn.answered:
                return  # just now
            self.unreachable = {**self.unreachable, host: error}
            self._pages.pop(host, None)
            self._gather()
            if not turn.connected:
                self._end(host, turn)

    def _end(self, host: str, turn: _Turn) -> None:
        if self._asked.get(host) is turn:
            del self._asked[host]
            self._again.discard(host)

    def _gather(self) -> None:
        """Put the VMs of all hosts together."""
        count = Counter(vm.name for page in self._pages.values() for vm in page)
        self._vms = {
            vm.name if count[vm.name] == 1 else f"{vm.host.name}/{vm.name}": vm for page in self._pages.values() for vm in page
        }

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
        from novacron.specs.query import VMQuery
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
        from novacron.handles.vms import Each

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
                self.refresh_soon()
                self._closed.wait(PAUSE)  # many events at once are one change


class _Turn:
    """One thread's reading of one host.

    Attributes:
        began: `time.monotonic()` of its start.
        connected: whether the thread has the connection, so that it notes the end itself.
        answered: whether the host has answered.
    """

    def __init__(self, began: float) -> None:
        self.began, self.connected, self.answered = began, False, False


class OpenHosts(Mapping[str, "HostHandle"]):
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
        return printable_line(f"<hosts {', '.join(self) or 'none'}>")

    def add(self, host: HostHandle) -> HostHandle:
        """Keep a connected host."""
        self._open = {**self._open, host.name: host}  # other threads may be iterating
        return host

    def close(self) -> None:
        """Close all. A host that hangs is not waited for longer than `CLOSING` seconds."""
        from novacron.threads import fan_out

        hosts, self._open = list(self._open.values()), {}
        for closed in fan_out(hosts, lambda host: host.close(), seconds=CLOSING, limit=16, name="novacron-close"):
            if closed.done() and (error := closed.exception()) is not None:
                raise error


def identifier(name: str) -> str:
    """Return a host's name as a Python name.

    Example:
        >>> identifier("lab-a"), identifier("10.0.0.1")
        ('lab_a', 'host_10_0_0_1')
    """
    word = "".join(c if c.isalnum() else "_" for c in name)
    return word if word.isidentifier() else f"host_{word}"


def namespace(hosts: OpenHosts, vms: Inventory, names: dict[str, Any] | None = None) -> dict[str, Any]:
    """Add the names that the shell and `novacron script` start with to `names`, and return it; `host` too if there is only one."""
    names = first_names(hosts, vms, names)
    add_specs(names)
    return names


def first_names(hosts: OpenHosts, vms: Inventory, names: dict[str, Any] | None = None) -> dict[str, Any]:
    """Add the names that are cheap, those of hosts, VMs and connections, to `names`, and return it."""
    import novacron

    names = {} if names is None else names
    names |= {"novacron": novacron, "hosts": hosts, "vms": vms, "fleet": novacron.fleet}

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
